"""When two sides agree: the bounds that every op and every block has to keep."""

from __future__ import annotations

import numpy as np

RELATIVE, ABSOLUTE = 1e-4, 1e-6

Arrays = dict[str, np.ndarray]


def disagreements(found: Arrays, expected: Arrays, each: float | None = None) -> list[str]:
    """What differs by more than 1e-4 of the largest reference value and 1e-6.

    With `each`, what differs by more than that share of the very element. A gradient that one
    side does not mention is zero.
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
        elif not _near(a, b, each):
            wrong.append(f"{name} is\n{a}\nbut should be\n{b}")
    return wrong


def _near(a: np.ndarray, b: np.ndarray, each: float | None) -> bool:
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    special = ~np.isfinite(b)
    if not np.array_equal(a[special], b[special], equal_nan=True):
        return False
    a, b = a[~special], b[~special]
    largest = np.abs(b).max(initial=0)
    bound = RELATIVE * largest + ABSOLUTE if each is None else each * np.abs(b)
    return bool((np.abs(a - b) <= bound).all())  # false for a NaN
