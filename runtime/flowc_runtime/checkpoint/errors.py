"""What can go wrong with checkpoints and weights, as coded errors."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


CODES: Mapping[str, str] = {
    "checkpoint-none": "There is nothing to resume from or to load: no checkpoint was ever saved "
    "there, or no such file exists. --resume never starts afresh without saying so.",
    "checkpoint-damaged": "A checkpoint, or a safetensors file, is not what was written: cut "
    "short, or changed bytes (every file's sha256 stands in MANIFEST.json). A run resumes from "
    "the newest sound one and warns about each that it passed over.",
    "checkpoint-other-model": "The variables in the file are not those of the model: another "
    "path, kind, dtype or shape. The message names them.",
    "checkpoint-other-data": "The checkpoint stands at a batch that the data of this run does "
    "not have at that step, because the batch size or the number of examples has changed.",
    "checkpoint-other-seed": "The checkpoint was trained with another seed. The order of the data "
    "and all random numbers depend on it, so a resumed run must keep it; leave --seed out.",
    "checkpoint-other-build": "The checkpoint was written with another NumPy or BLAS. Training "
    "goes on, but its numbers may differ in their last bits from those of one undisturbed run.",
    "checkpoint-version": "A later flowc, with another checkpoint format, wrote it.",
    "checkpoint-unwritable": "The system refused to write a checkpoint: missing rights, a "
    "read-only disk, or a folder that was removed. Training goes on; three failures in a row "
    "stop it.",
    "disk-full": "A checkpoint could not be written: no space, no quota left, or an input/output "
    "error. Earlier checkpoints are intact and training goes on; three failures in a row stop it.",
    "weights-dtype": "A safetensors file holds a tensor of a dtype that flowc does not have.",
}


class CheckpointError(Exception):
    """A checkpoint that cannot be read or written; `code` is one of CODES."""

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


class Damaged(Exception):
    """Why a checkpoint is not to be trusted (`model.safetensors: sha256 differs`)."""


def unwritten(error: OSError, target: Path, needed_bytes: int) -> CheckpointError:
    """A save that failed before `target` was in place."""
    return CheckpointError(
        _code(error),
        f"{_cause(error)} while saving {target.name} ({_room(target.parent, needed_bytes)}); "
        "earlier checkpoints are intact",
        help=_help(error),
    )


def unconfirmed(error: OSError, target: Path) -> CheckpointError:
    """A save that failed when `target` was already complete: it verifies, but may not last."""
    return CheckpointError(
        _code(error),
        f"{_cause(error)} after {target.name} was written: it is complete, but the disk did not "
        "confirm that it will last",
        help=_help(error),
    )


def nothing_saved(directory: Path) -> CheckpointError:
    return CheckpointError(
        "checkpoint-none",
        f"there is no checkpoint in {directory}",
        help="start without --resume, or name the folder of a run that has saved one",
    )


def readable_bytes(count: int) -> str:
    """`412.0 MB`: decimal units, as disks are sold."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _code(error: OSError) -> str:
    return "disk-full" if error.errno in FULL else "checkpoint-unwritable"


def _cause(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "disk full"
    if error.errno == errno.EDQUOT:
        return "disk quota used up"
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _room(directory: Path, needed_bytes: int) -> str:
    try:
        free = readable_bytes(shutil.disk_usage(directory).free)
    except OSError:
        free = "unknown space"
    return f"{directory}: {free} free, {readable_bytes(needed_bytes)} needed"


def _help(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on that disk, or train into another one with --out"
    return "look at the disk and at the rights of that folder, or train into another with --out"
