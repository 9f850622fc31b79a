"""The Python API: the command line's own driver, from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flowc.diagnostic import Diagnostic, Sink, Stop
from flowc.source import Source

if TYPE_CHECKING:
    import numpy as np

    from flowc.driver import Checked
    from flowc.jobs import Predictor
    from flowc_runtime.events import End, Event
    from flowc_runtime.plan import Plan
    from flowc_runtime.training import Evaluation


T = TypeVar("T")


class FlowError(Exception):
    """A text has mistakes. `diagnostics` are the mistakes as data; `str` renders them."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]):
        super().__init__(f"{len(diagnostics)} mistakes")
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        from flowc.render import render_text

        return "\n" + render_text(self.diagnostics)


@dataclass
class Model:
    """A `.flow` model. `weights` is where evaluation and prediction find what was learned.

    Raises FlowError where the text has mistakes, DataError and CheckpointError of the runtime
    for data and weights.
    """

    source: Source
    defines: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = 1
    weights: Path | None = None

    def check(self) -> Checked:
        """The checked model: inputs, parameters, data, settings. Reads no data."""
        from flowc.driver import Options, check

        return self._diagnosed(lambda sink: check(self.source, sink, Options(self.defines)))

    def compile(self) -> Plan:
        """The plan, for the batch size of the train section."""
        from flowc.driver import Options, compile

        return self._diagnosed(lambda sink: compile(self.source, sink, Options(self.defines)))[1]

    def train(
        self, out: str | Path | None = None, *, on_event: Callable[[Event], None] | None = None,
        **settings: Any,
    ) -> End:
        """Trains into a run folder (`out`, or a new one in `runs/`), and keeps its weights.

        `settings` replace those of the train section: `epochs=3`, `seed=1`.
        """
        from flowc.jobs import Setup, new_run, prepare_training, run_training
        from flowc_runtime.training import StopSignal

        given = {f"train.{name}": str(value) for name, value in settings.items()}
        setup = Setup({**self.defines, **given}, self.threads)
        job = self._diagnosed(lambda sink: prepare_training(self.source, sink, setup))
        with new_run(job, ("flowc.train",), Path(out) if out else None) as run:
            end = run_training(job, run, on_event or _nobody, False, StopSignal())
            self.weights = run.path
        return end

    def evaluate(self, data: str | None = None) -> Evaluation:
        """Loss and metrics over a data item, by default what `validate` names."""
        from flowc.jobs import Setup, evaluate_model

        setup = Setup(self.defines, self.threads)
        return self._diagnosed(
            lambda sink: evaluate_model(self.source, sink, setup, self._weights(), data))

    def predictor(self) -> Predictor:
        """The model with its weights in memory, for many predictions."""
        from flowc.jobs import Setup, make_predictor

        setup = Setup(self.defines, self.threads)
        return self._diagnosed(
            lambda sink: make_predictor(self.source, sink, setup, self._weights()))

    def predict(
        self, examples: np.ndarray | None = None, **inputs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Outputs by name. One array serves a model whose outputs need one input."""
        predictor = self.predictor()
        if examples is not None:
            names = list(predictor.inputs)
            if len(names) != 1:
                raise TypeError(f"the outputs need {', '.join(names)}; give each by name")
            inputs = {names[0]: examples}
        return predictor.predict(inputs)

    def _weights(self) -> Path:
        if self.weights is None:
            raise ValueError("the model has no weights yet: train it, or set `weights`")
        return self.weights

    def _diagnosed(self, work: Callable[[Sink], T]) -> T:
        sink = Sink()
        try:
            return work(sink)
        except Stop:
            raise FlowError(tuple(sink.diagnostics)) from None


def load(path: str | Path, weights: str | Path | None = None, **defines: Any) -> Model:
    """The model in a file. `defines` set hyperparameters: `load("m.flow", hidden=256)`."""
    from flowc.syntax.read import read_source

    sink = Sink()
    source = read_source(Path(path), sink)
    if source is None:
        raise FlowError(tuple(sink.diagnostics))
    texts = {name: str(value) for name, value in defines.items()}
    return Model(source, texts, weights=Path(weights) if weights else None)


def _nobody(event: Event) -> None:
    return None
