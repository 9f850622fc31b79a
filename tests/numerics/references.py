"""The committed references: one file for each family of cases, written by write_references.py."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from numerics.case import Case

SEED = 0
FOLDER = Path(__file__).parent / "references"

Arrays = dict[str, np.ndarray]


def path_of(family: str) -> Path:
    return FOLDER / f"{family}.npz"


def reference(family: str, case: Case) -> Arrays:
    """What PyTorch said about a case for SEED; empty where nobody asked it yet."""
    prefix = f"{case}/"
    return {name.removeprefix(prefix): value for name, value in _file(family).items()
            if name.startswith(prefix)}


@cache
def _file(family: str) -> Arrays:
    with np.load(path_of(family), allow_pickle=False) as arrays:
        return dict(arrays)
