"""The training loop, and what it decides, tells and keeps."""

from flowc_runtime.training.agenda import Agenda, Due, TrainOptions
from flowc_runtime.training.engine import Engine, Stepped, WholeBatch
from flowc_runtime.training.errors import CODES, TrainingFailed
from flowc_runtime.training.evaluate import Evaluation, evaluate, evaluation_program
from flowc_runtime.training.inputs import bind_inputs
from flowc_runtime.training.loop import train
from flowc_runtime.training.resume import resume
from flowc_runtime.training.signals import Signals, StopSignal
from flowc_runtime.training.steps import Steps

__all__ = [
    "CODES",
    "Agenda",
    "Due",
    "Engine",
    "Evaluation",
    "Signals",
    "Steps",
    "Stepped",
    "StopSignal",
    "TrainOptions",
    "TrainingFailed",
    "WholeBatch",
    "bind_inputs",
    "evaluate",
    "evaluation_program",
    "resume",
    "train",
]
