"""What differs between the variables of a model and those in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowc_runtime.checkpoint.errors import CheckpointError

SHOWN = 3  # differences that a message names; more than that nobody reads


@dataclass(frozen=True)
class Differences:
    """Paths only in the model, only in the file, and in both but not alike (file's, model's)."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unlike: Mapping[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.unlike)

    def __str__(self) -> str:
        parts = [
            *(f"{p}: {a} in the file, {b} in the model" for p, (a, b) in self.unlike.items()),
            *(f"{path}: only in the model" for path in self.missing),
            *(f"{path}: only in the file" for path in self.extra),
        ]
        rest = len(parts) - SHOWN
        return "; ".join(parts[:SHOWN]) + (f" (+{rest} more)" if rest > 0 else "")


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> Differences:
    """Compare descriptions by path: `found` in a file, `wanted` by a model."""
    return Differences(
        missing=_without(wanted, found),
        extra=_without(found, wanted),
        unlike={
            path: (found[path], wanted[path])
            for path in sorted(found.keys() & wanted.keys())
            if found[path] != wanted[path]
        },
    )


def other_model(place: object, unlike: Differences) -> CheckpointError:
    return CheckpointError(
        "checkpoint-other-model",
        f"{place} belongs to another model: {unlike}",
        help="--resume never starts afresh; to start from the weights that match, "
        "train with --weights",
    )


def _without(paths: Iterable[str], others: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(path for path in paths if path not in others))
