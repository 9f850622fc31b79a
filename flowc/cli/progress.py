"""How the events of a training are shown: live on a terminal, as plain lines, or as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

import click

from flowc.cli.ending import say
from flowc.planning.units import time_text
from flowc_runtime.events import (
    End,
    Error,
    Event,
    Start,
    StepDone,
    StepTime,
    Validation,
    Warning,
)

STYLES = ("auto", "rich", "plain", "json", "none")
PLAIN_SECONDS = 10.0  # between two plain lines about steps
VALIDATION_SECONDS = 1.0  # between two about validations, which tiny data makes many of


class Reporter(Protocol):
    """Shows events as they come; `close` leaves the terminal as it was."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


def reporter(style: str, as_json: bool) -> Reporter:
    """The reporter for a style; `auto` is rich where stderr is a terminal that can do it."""
    if as_json or style == "json":
        return JsonLines()
    if style == "auto":
        context = click.get_current_context(silent=True)
        dumb = context is not None and context.color is False
        style = "rich" if sys.stderr.isatty() and not dumb else "plain"
    reporters: dict[str, type[Live] | type[Plain] | type[Quiet]] = {
        "rich": Live, "plain": Plain, "none": Quiet,
    }  # fmt: skip
    return reporters[style]()


def values(metrics: Mapping[str, float]) -> str:
    return "".join(f"  {name} {value:.4f}" for name, value in metrics.items())


class JsonLines:
    """One object a line on stdout."""

    def __call__(self, event: Event) -> None:
        click.echo(json.dumps(event.to_json()))

    def close(self) -> None:
        return None


class Quiet:
    """Warnings and errors only."""

    def __call__(self, event: Event) -> None:
        tell_trouble(event)

    def close(self) -> None:
        return None


class Plain:
    """Lines about validations, and one every few seconds between them, on stderr."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PLAIN_SECONDS
        self._next_validation = time.monotonic()
        self._total = 0

    def __call__(self, event: Event) -> None:
        tell_trouble(event)
        match event:
            case Start():
                self._total = event.total_steps
                self._say(start_line(event))
            case StepDone() if time.monotonic() >= self._next:
                self._next = time.monotonic() + PLAIN_SECONDS
                self._say(self._step_line(event))
            case Validation() if self._is_due(event):
                self._say(
                    f"step {event.step}/{self._total}  epoch {event.epoch}  "
                    f"validation loss {event.loss:.4f}{values(event.metrics)}"
                )

    def _is_due(self, event: Validation) -> bool:
        now = time.monotonic()
        if now < self._next_validation and event.step != self._total:
            return False
        self._next_validation = now + VALIDATION_SECONDS
        return True

    def _step_line(self, event: StepDone) -> str:
        speed = event.steps_per_second
        left = f"  {(self._total - event.step) / speed:.0f} s left" if speed else ""
        rate = f"  {speed:.1f} steps/s" if speed else ""
        return (
            f"step {event.step}/{self._total}  epoch {event.epoch}  loss {event.loss:.4f}"
            f"{values(event.metrics)}{rate}{left}"
        )

    def _say(self, line: str) -> None:
        click.echo(line, err=True)

    def close(self) -> None:
        return None


class Live:
    """A bar that moves, with a line above it for each validation, on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"),
            TimeRemainingColumn(), console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task: Any = None

    def __call__(self, event: Event) -> None:
        match event:
            case Start():
                self._print(start_line(event))
                self._task = self._progress.add_task(
                    "", total=event.total_steps, completed=event.step
                )
                self._progress.start()
            case StepDone():
                speed = event.steps_per_second
                text = f"loss {event.loss:.4f}{values(event.metrics)}"
                text += f"  {speed:.0f} steps/s" if speed else ""
                self._progress.update(self._task, completed=event.step, description=text)
            case Validation():
                self._print(
                    f"epoch {event.epoch}  validation loss {event.loss:.4f}"
                    f"{values(event.metrics)}"
                )
            case Warning() | Error():
                self._progress.stop()
                tell_trouble(event)
                if isinstance(event, Warning) and self._task is not None:
                    self._progress.start()

    def _print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


def start_line(event: Start) -> str:
    onward = f"from step {event.step} " if event.step else ""
    return (
        f"training {event.model} {onward}to step {event.total_steps}: "
        f"{event.batches_per_epoch} batches an epoch, seed {event.seed}"
    )


def tell_trouble(event: Event) -> None:
    """Warnings and errors in the form of all messages."""
    match event:
        case Warning():
            say(event.message, event.code, event.help, severity="warning")
        case Error():
            say(event.message, event.code, event.help)
            if event.at:
                click.echo(f"  at {event.at}{f' ({event.path})' if event.path else ''}", err=True)
            if event.checkpoint:
                click.echo(f"  last good checkpoint: {event.checkpoint}", err=True)


def end_lines(
    end: End, seconds: float, model: str, step_time: StepTime | None = None
) -> list[str]:
    """What a training has come to, and what to try next."""
    loss = "" if end.loss is None else f"  training loss {end.loss:.4f}"
    metrics = values(end.metrics).strip()
    validation = f"  validation {metrics}" if metrics else ""
    lines = [f"step {end.step}{loss}{validation}  in {seconds:.1f} s"]
    if step_time is not None and step_time.measured is not None:
        lines.append(
            f"a step took {time_text(step_time.measured)}, predicted "
            f"{time_text(step_time.predicted)}")
    if end.run is not None:
        lines += [
            f"run: {end.run}",
            "next:",
            f"  flowc eval {model} --weights {end.run}",
            f"  flowc inspect {end.run}",
            f"  flowc train {model} --resume --out {end.run} --epochs N",
        ]
    return lines
