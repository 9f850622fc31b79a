"""Kinds: what a file or folder is, by its name, its first bytes, or what lies in it."""

from __future__ import annotations

import errno
from pathlib import Path

from flowc.views.errors import unknown_kind

MODEL, PLAN, WEIGHTS = "model", "plan", "weights"
CHECKPOINT, CHECKPOINTS, RUN = "checkpoint", "checkpoints", "run"

PLAN_FILE = "plan.json"
HEAD_BYTES = 64
_PLAN_KEY = b'"flowc_plan"'
_INSIDE = {"MANIFEST.json": CHECKPOINT, "run.json": RUN}


def kind_of(path: Path) -> tuple[str, Path]:
    """What is to be shown for a path, and where it lies: a file may stand for its folder.

    Raises FileNotFoundError, and NotShown `inspect-unknown` for anything else than flowc's.
    """
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "no such file or folder", str(path))
    return _kind_of_folder(path) if path.is_dir() else _kind_of_file(path)


def _kind_of_folder(folder: Path) -> tuple[str, Path]:
    if (folder / "run.json").is_file():
        return RUN, folder
    if (folder / "MANIFEST.json").is_file() or folder.name.startswith("step-"):
        return CHECKPOINT, folder
    if any(folder.glob("step-*")) or folder.name == "checkpoints":
        return CHECKPOINTS, folder
    if (folder / PLAN_FILE).is_file():
        return PLAN, folder / PLAN_FILE
    raise unknown_kind(folder)


def _kind_of_file(file: Path) -> tuple[str, Path]:
    if file.suffix == ".flow":
        return MODEL, file
    if file.suffix == ".safetensors":
        return WEIGHTS, file
    if file.name in _INSIDE:
        return _INSIDE[file.name], file.parent
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    if _PLAN_KEY in head or file.name == PLAN_FILE:
        return PLAN, file
    if head[8:9] == b"{" and not head.startswith(b"{"):  # a length of 8 bytes, then JSON
        return WEIGHTS, file
    raise unknown_kind(file)
