"""How a training fails, as coded errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from flowc_runtime.device import ExecutionError, NonFinite
from flowc_runtime.events import Error

CODES: Mapping[str, str] = {
    "not-finite": "The loss became NaN or infinite. The message names the first op whose value "
    "was not finite and the line that it comes from. The step was not applied, so the variables "
    "are those of the step before. A lower learning rate, gradient clipping, or a small number "
    "added inside `log` or under a division are the usual cures.",
    "bad-value": "An op met a value that it has no meaning for, such as an index outside of its "
    "table. The message names the op, its line and the value.",
    "metrics-unwritable": "metrics.jsonl or TensorBoard's event file could not be written. "
    "Training goes on; what was written before is intact.",
    "validation-left-out": "The plan has no program for the last, smaller batch of the "
    "validation data, so those examples are not part of loss and metrics.",
}


class TrainingFailed(Exception):
    """The training cannot go on; `event` says why, and has already been told."""

    def __init__(self, event: Error):
        super().__init__(event.message)
        self.event = event


def execution_failed(
    error: ExecutionError, when: str, step: int, checkpoint: Path | None
) -> TrainingFailed:
    """`when` reads `at step 312`; `step` is the last one that was applied."""
    event = Error(
        "bad-value",
        f"{error} ({when})",
        help=_last(checkpoint),
        step=step,
        op=error.op,
        at=error.at,
        path=error.path,
        checkpoint=str(checkpoint) if checkpoint else None,
    )
    if isinstance(error, NonFinite):
        event = replace(
            event,
            code="not-finite",
            message=f"the loss is not finite {when}; the first value that is not finite comes "
            f"from {error}",
            help=f"{event.help}; try a lower learning rate, clip the gradients, or keep `log` "
            "and `/` away from 0",
        )
    return TrainingFailed(event)


def weights_not_finite(path: str, step: int, checkpoint: Path | None) -> TrainingFailed:
    return TrainingFailed(
        Error(
            "not-finite",
            f"parameter `{path}` is not finite after step {step}",
            help=f"{_last(checkpoint)}; try a lower learning rate or clip the gradients",
            step=step,
            path=path,
            checkpoint=str(checkpoint) if checkpoint else None,
        )
    )


def _last(checkpoint: Path | None) -> str:
    return f"last good checkpoint: {checkpoint.name}" if checkpoint else "no checkpoint was saved"
