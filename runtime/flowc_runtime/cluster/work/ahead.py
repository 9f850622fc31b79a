"""Asynchronous training: weights as they will be when a gradient of them arrives.

A gradient that comes `s` steps late belongs to weights that have moved on. Late gradients turn
momentum into oscillation: with momentum of 0.9, one step of delay shrinks the largest stable
product of learning rate and curvature from 3.8 to 0.05 (the roots of z^3 - 1.9 z^2 + 0.9 z + a). So
a worker is given the weights ahead by `s` steps like the last one, which brings it back to 0.27
(Hakimi et al. 2019, "Taming momentum in a distributed asynchronous environment"; there the
optimizer's velocity is followed, here the step that was made, whatever the optimizer).
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import numpy as np

from flowc_runtime.cluster.plan import ClusterPlan, TaskName, whole_and_rows
from flowc_runtime.cluster.work.packing import Packing, view_of
from flowc_runtime.memory import aligned_zeros
from flowc_runtime.ops.op import Array


def params_of(plan: ClusterPlan, me: TaskName) -> frozenset[str]:
    return frozenset(v.path for v in plan.part(me.role).plan.variables if v.kind == "param")


def is_float(array: Array) -> bool:
    """Whether NumPy can calculate with it; bf16 is stored as whole numbers."""
    return np.issubdtype(array.dtype, np.floating)


class Ahead:
    """The variables of one channel, now and a step ago. What is not of `params`, such as a running
    mean, is given as it is."""

    def __init__(self, packing: Packing, now: Mapping[str, Array], params: Container[str]):
        before = packing.views(aligned_zeros(packing.channel.bytes))
        self._packing = packing
        self._now = [view_of(now, t.name) for t in packing.channel.tensors]
        self._before: list[Array | None] = [
            view if whole_and_rows(t.name)[0] in params and is_float(view) else None
            for t, view in zip(packing.channel.tensors, before, strict=True)
        ]
        self.remember()

    def remember(self) -> None:
        """The variables as they are, before they change."""
        for now, before in zip(self._now, self._before, strict=True):
            if before is not None:
                np.copyto(before, now)

    def give(self, slot: Array, steps: int) -> None:
        """Writes the payload: now + steps * (now - before) of each parameter."""
        targets = self._packing.views(slot)
        for target, now, before in zip(targets, self._now, self._before, strict=True):
            if before is None or not steps:
                np.copyto(target, now)
                continue
            np.subtract(now, before, out=target)
            np.multiply(target, target.dtype.type(steps), out=target)
            np.add(target, now, out=target)
