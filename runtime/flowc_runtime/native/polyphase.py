"""Sliding windows by phases: results along an axis that lie a stride apart sum alike."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from flowc_runtime.native.sliding import Sliding, sliding_of
from flowc_runtime.ops.window import Axis


@dataclass(frozen=True, slots=True)
class Phase:
    """What every so many-th result sums: what each sees with tap `k`, times the weight of number
    `weight + k*step`."""

    sliding: Sliding
    weight: int
    step: int


def forward(axis: Axis) -> tuple[Phase, ...]:
    """Of a convolution: one."""
    return (Phase(sliding_of(axis), 0, 1),)


def backward(axis: Axis) -> tuple[Phase, ...]:
    """Of the gradient of its image: phase `r` is that of the elements `r + m*stride`.

    Tap `i` of window `p` sees such an element where `p*stride + i*dilation - before` is its
    number, which every `stride / gcd(stride, dilation)`-th tap does. They come from the last to
    the first, since windows are further right the further left their tap is.
    """
    step = axis.stride // gcd(axis.stride, axis.dilation)
    gap = step * axis.dilation // axis.stride
    return tuple(_phase_back(axis, r, step, gap) for r in range(min(axis.stride, axis.size)))


def _phase_back(axis: Axis, r: int, step: int, gap: int) -> Phase:
    seeing = [i for i in range(axis.window)
              if (r + axis.before - i * axis.dilation) % axis.stride == 0]
    last = max(seeing, default=0)
    start = (r + axis.before - last * axis.dilation) // axis.stride
    positions = len(range(r, axis.size, axis.stride))
    return Phase(Sliding(axis.steps, positions, 1, len(seeing), gap, start), last, -step)
