"""Rates from measured works: least squares of relative errors, no rate below zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from flowc.costs.work import QUANTITIES, Work

Amounts = tuple[float, ...]


@dataclass(frozen=True)
class Rates:
    """Seconds of each of QUANTITIES: of a call, an inner loop, an operation, a byte, a far byte."""

    seconds: Amounts

    def of(self, work: Work) -> float:
        return sum(a * s for a, s in zip(work.amounts, self.seconds, strict=True))


def fit(works: Sequence[Work], seconds: Sequence[float]) -> Rates:
    """The rates of works of one key that took so long; ValueError without any.

    The best rates that are not negative are the plain least-squares solution for some of the
    quantities, so all choices of quantities are tried: there are few.
    """
    if not works:
        raise ValueError("nothing was measured")
    measured = np.maximum(np.array(seconds), 1e-9)
    relative = np.array([w.amounts for w in works]) / measured[:, None]
    best, least = (0.0,) * len(QUANTITIES), np.inf
    for chosen in _choices(relative):
        columns = list(chosen)
        found, *_ = np.linalg.lstsq(relative[:, columns], np.ones(len(works)), rcond=None)
        error = float(np.sum((relative[:, columns] @ found - 1) ** 2))
        if found.min() >= 0 and error < least:
            least = error
            rates = dict(zip(columns, map(float, found), strict=True))
            best = tuple(rates.get(k, 0.0) for k in range(len(QUANTITIES)))
    return Rates(best)


def _choices(relative: np.ndarray) -> chain[tuple[int, ...]]:
    used = [k for k in range(relative.shape[1]) if relative[:, k].any()]
    sizes = range(1, len(used) + 1)
    return chain.from_iterable(combinations(used, n) for n in sizes)
