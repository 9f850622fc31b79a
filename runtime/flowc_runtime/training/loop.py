"""The training loop: reads, steps, and does what the agenda says is due."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowc_runtime.checkpoint.manifest import Position, Progress
from flowc_runtime.checkpoint.weights import weights_sha256
from flowc_runtime.data.stream import Stream
from flowc_runtime.device import ExecutionError
from flowc_runtime.events import End, Start, StepDone, Validation, Warning
from flowc_runtime.plan import Plan
from flowc_runtime.runfolder.folder import RunFolder
from flowc_runtime.training.agenda import Agenda, TrainOptions
from flowc_runtime.training.clock import Speed, Throttle
from flowc_runtime.training.engine import Engine, Stepped
from flowc_runtime.training.errors import TrainingFailed, execution_failed, weights_not_finite
from flowc_runtime.training.evaluate import evaluate
from flowc_runtime.training.finite import first_not_finite
from flowc_runtime.training.record import Emit, KeepInRun, Record, TellOnly
from flowc_runtime.training.signals import StopSignal
from flowc_runtime.training.steps import Steps, metrics_of

LOG_SECONDS = 0.1
SAVE_SECONDS = 30.0

Array = np.ndarray


def train(
    plan: Plan,
    steps: Steps,
    engine: Engine,
    data: Stream,
    validation: Stream | None,
    options: TrainOptions,
    run: RunFolder | None,
    emit: Emit,
    stop: StopSignal,
    resumed: Progress | None = None,
) -> End:
    """Train from the variables as they stand to `options.total_steps`, or until `stop` is set.

    `engine` does the steps, on the variables of `steps`, which also evaluates.
    `resumed` is what `resume` returned, for a run that goes on. Every event is passed to `emit`,
    the returned End last; checkpoints and metrics go into `run`. Raises TrainingFailed, after
    its Error was emitted, where the loss is not finite (`not-finite`; the variables are those of
    the step before), where a kernel refuses a value (`bad-value`), or where the disk does for
    the third time in a row; DataError as it comes, and CheckpointError `checkpoint-other-data` or
    `checkpoint-other-seed` where `resumed` does not go with the rest.
    """
    job = _Job(plan, steps, engine, data, validation, options)
    record = KeepInRun(run, plan, emit) if run else TellOnly(emit)
    try:
        end = _Loop(job, record, emit, stop, resumed or Progress(Position(), options.seed)).run()
    except TrainingFailed as failed:
        emit(failed.event)
        raise
    finally:
        record.close()
    emit(end)
    return end


@dataclass(frozen=True)
class _Job:
    plan: Plan
    steps: Steps
    engine: Engine
    data: Stream
    validation: Stream | None
    options: TrainOptions


class _Loop:
    """What moves: the position, the last step's outputs, the last validation's metrics."""

    def __init__(self, job: _Job, record: Record, emit: Emit, stop: StopSignal, start: Progress):
        self._job = job
        self._record = record
        self._emit = emit
        self._stop = stop
        self._agenda = Agenda(job.options, job.data.batches_per_epoch)
        self._agenda.check(start)
        self._position = start.position
        self._outputs: Mapping[str, Array] = {}
        self._loss_before = start.loss
        self._metrics = start.metrics
        self._log_clock = Throttle(_seconds(job.options.log_every, LOG_SECONDS))
        self._save_clock = Throttle(_seconds(job.options.checkpoint_every, SAVE_SECONDS))
        self._speed = Speed(start.position.step)
        self._told_left_out = False

    def run(self) -> End:
        self._begin()
        ended = self._position.step >= self._agenda.total_steps
        while not ended:
            ended = self._step()
        return self._finish()

    def _begin(self) -> None:
        job = self._job
        job.engine.begin(self._position)
        self._record.begin(self._position.step)
        self._emit(
            Start(
                model=job.plan.model,
                step=self._position.step,
                total_steps=job.options.total_steps,
                batches_per_epoch=job.data.batches_per_epoch,
                seed=job.options.seed,
                run=self._record.path,
            )
        )
        self._save()  # so that there is something to resume from, however early the end

    def _step(self) -> bool:
        """A step, or some with nothing due between, and what is due after; true after the last."""
        position = self._position
        done = self._run(self._agenda.next_due(position.step))
        self._outputs = done.outputs
        self._position = self._agenda.after(position, done.steps)
        due = self._agenda.due(self._position, self._stop.reason is not None)
        if due.validate:
            self._validate()
        if due.log or self._log_clock.ready():
            self._log()
        if due.save or self._save_clock.ready():
            self._save()
        self._record.poll()
        return due.end

    def _run(self, until: int) -> Stepped:
        try:
            return self._job.engine.advance(self._position, until)
        except ExecutionError as error:
            step = self._position.step + 1 if error.step is None else error.step
            raise self._failed(error, f"at step {step}", step - 1) from error

    def _validate(self) -> None:
        job, step = self._job, self._position.step
        if job.validation is None:
            return
        job.engine.settle()
        try:
            seen = evaluate(job.plan, job.steps, job.validation, job.options.seed, step)
        except ExecutionError as error:
            raise self._failed(error, f"in the validation after step {step}", step) from error
        if seen.left_out and not self._told_left_out:
            self._told_left_out = True
            total = seen.examples + seen.left_out
            self._emit(
                Warning(
                    "validation-left-out",
                    f"{seen.left_out} of {total} validation examples fill no batch and are left "
                    "out",
                )
            )
        if not seen.examples:
            return
        self._metrics = seen.metrics
        epoch = self._agenda.epoch_of(step)
        self._record.validation(Validation(step, epoch, seen.loss, seen.metrics, seen.examples))

    def _log(self) -> None:
        step, loss = self._position.step, self._loss
        assert loss is not None
        self._record.step(
            StepDone(
                step=step,
                epoch=self._agenda.epoch_of(step),
                loss=loss,
                metrics=metrics_of(self._outputs),
                steps_per_second=self._speed.at(step),
            )
        )

    def _save(self) -> None:
        self._job.engine.settle()
        self._record.save(self._job.steps.variables, self._progress)

    def _finish(self) -> End:
        self._job.engine.settle()
        variables, values = self._job.plan.variables, self._job.steps.variables
        spoilt = first_not_finite(variables, values)
        if spoilt is not None:
            self._record.settle()
            raise weights_not_finite(spoilt, self._position.step, self._record.last_checkpoint)
        self._record.finish(values, self._progress)
        return End(
            step=self._position.step,
            loss=self._loss,
            metrics=self._metrics,
            weights_sha256=weights_sha256(variables, values),
            run=self._record.path,
            stopped=self._stop.reason if self._position.step < self._agenda.total_steps else None,
        )

    @property
    def _loss(self) -> float | None:
        return float(self._outputs["loss"]) if self._outputs else self._loss_before

    @property
    def _progress(self) -> Progress:
        return Progress(self._position, self._job.options.seed, self._loss, self._metrics)

    def _failed(self, error: ExecutionError, when: str, step: int) -> TrainingFailed:
        self._record.settle()
        return execution_failed(error, when, step, self._record.last_checkpoint)


def _seconds(every: int | None, otherwise: float) -> float:
    """The clock decides only where no number of steps is given."""
    return otherwise if every is None else math.inf
