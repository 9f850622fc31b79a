"""When two sides agree: the bound that every op and every block has to keep."""

from __future__ import annotations

import numpy as np

RELATIVE, ABSOLUTE = 1e-4, 1e-6

Arrays = dict[str, np.ndarray]


def disagreements(found: Arrays, expected: Arrays) -> list[str]:
    """What differs by more than 1e-4 of the largest reference value and 1e-6.

    A gradient that one side does not mention is zero.
    """
    wrong = []
    for name in sorted(found.keys() | expected.keys()):
        a, b = found.get(name), expected.get(name)
        if a is None or b is None:
            there = a if b is None else b
            assert there is not None
            if name == "y" or np.abs(there).max(initial=0) > ABSOLUTE:
                wrong.append(f"{name} is only on one side")
            continue
        if a.shape != b.shape:
            wrong.append(f"{name} has the shape {a.shape}, not {b.shape}")
        elif not _near(a, b):
            wrong.append(f"{name} is\n{a}\nbut should be\n{b}")
    return wrong


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    special = ~np.isfinite(b)
    if not np.array_equal(a[special], b[special], equal_nan=True):
        return False
    largest = np.abs(b[~special]).max(initial=0)
    off = np.abs(a[~special] - b[~special])
    return bool((off <= RELATIVE * largest + ABSOLUTE).all())  # false for a NaN
