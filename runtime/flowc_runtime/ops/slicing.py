"""Slices with constant bounds, and their gradient."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from flowc_runtime.dims import Dim
from flowc_runtime.ops.cost import moves_only
from flowc_runtime.ops.elementwise import single
from flowc_runtime.ops.op import (
    Array,
    Attr,
    Attrs,
    BadValue,
    Emit,
    Forward,
    Op,
    Reject,
    Sample,
    Types,
)
from flowc_runtime.ops.rules import Shape, shape_text
from flowc_runtime.types import TensorType

BOUNDS = (
    Attr("starts", "for each axis, the first index"),
    Attr("stops", "for each axis, the index to stop before (-1 when counting down to 0), or None"),
    Attr("steps", "for each axis, the distance to the next index; negative to count down"),
)


def _infer(types: Types, attrs: Attrs) -> Types:
    return (TensorType(types[0].dtype, _sliced(types[0].shape, attrs)),)


def _unslice_infer(types: Types, attrs: Attrs) -> Types:
    (g,), shape = types, tuple(attrs["shape"])
    sliced = _sliced(shape, attrs)
    if g.shape != sliced:
        raise Reject(f"is {g}, but the slice of {shape_text(shape)} is {shape_text(sliced)}", 0)
    return (TensorType(g.dtype, shape),)


def _sliced(shape: Shape, attrs: Attrs) -> Shape:
    starts, stops, steps = attrs["starts"], attrs["stops"], attrs["steps"]
    if not len(starts) == len(stops) == len(steps) == len(shape):
        raise Reject(f"has {len(shape)} axes, but is sliced along {len(starts)}", 0)
    bounds = zip(shape, starts, stops, steps, strict=True)
    return tuple(_length(axis, *bound) for axis, bound in enumerate(bounds))


def _length(axis: int, dim: Dim, start: Dim, stop: Dim | None, step: int) -> Dim:
    """How many indices the slice holds: those of `range(start, stop, step)`."""
    if stop is None:
        if (start, step) != (0, 1):
            raise Reject(f"has an open slice along axis {axis}, which must start at 0, step 1", 0)
        return dim
    if step == 0:
        raise Reject(f"is sliced along axis {axis} with step 0", 0)
    if isinstance(dim, int) and isinstance(start, int) and isinstance(stop, int):
        _need_inside(axis, dim, start, stop, step)
        return len(range(start, stop, step))
    if step != 1:
        raise Reject(f"needs a known size along axis {axis} for step {step}, not `{dim}`", 0)
    return stop - start


def _need_inside(axis: int, dim: int, start: int, stop: int, step: int) -> None:
    inside = 0 <= start <= stop <= dim if step > 0 else -1 <= stop <= start < dim
    if not inside:
        raise Reject(f"has size {dim} along axis {axis}; {start}..{stop} does not lie inside", 0)


def slices_of(attrs: Attrs) -> tuple[slice | EllipsisType, ...]:
    """NumPy's form of the bounds, which gives a view, also of rank 0."""
    bounds = zip(attrs["starts"], attrs["stops"], attrs["steps"], strict=True)
    return (
        *(slice(start, None if step < 0 and stop == -1 else stop, step)
          for start, stop, step in bounds),
        ...,
    )  # fmt: skip


def _slices(whole: Array, part: Array, attrs: Attrs) -> tuple[slice | EllipsisType, ...]:
    """As `slices_of`; sizes that were symbolic are checked here."""
    result = slices_of(attrs)
    if whole[result].shape != part.shape:
        raise BadValue(f"the slice does not lie inside {list(whole.shape)}")
    return result


def _slice(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    np.copyto(outs[0], ins[0][_slices(ins[0], outs[0], attrs)])


def _unslice(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    slices = _slices(outs[0], ins[0], attrs)
    if outs[0].size != ins[0].size:
        outs[0].fill(0)
    np.copyto(outs[0][slices], ins[0])


def _bounds(attrs: Attrs) -> dict[str, Any]:
    return {name: attrs[name] for name in ("starts", "stops", "steps")}


def _slice_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    shape = forward.operands[0].type.shape
    return (emit("unslice", g, shape=shape, **_bounds(forward.attrs)),)


def _unslice_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    return (emit("slice", g, **_bounds(forward.attrs)),)


def _use(starts: tuple[int, ...], stops: tuple[int | None, ...], steps: tuple[int, ...]) -> Attrs:
    return {"starts": starts, "stops": stops, "steps": steps}


SLICE = Op(
    "slice",
    "The elements at `range(start, stop, step)` along each axis; a stop of None takes all of it.",
    operands=("x",),
    infer=_infer,
    kernel=_slice,
    gradient=single(_slice_rule),
    attrs=BOUNDS,
    cost=moves_only,
    samples=(
        Sample(("f32[5, 4]",), _use((1, 0), (4, None), (1, 1))),
        Sample(("f32[7, 3]",), _use((6, 0), (-1, 3), (-2, 2))),
        Sample(("f32[2, 3, 4]",), _use((1, 0, 3), (2, 0, 4), (1, 1, 1))),
        Sample(("i32[5]",), _use((4,), (-1,), (-1,)), low=-9, high=9),
        Sample(("f32[302, 502]",), _use((1, 1), (301, 501), (1, 1))),
    ),
)
UNSLICE = Op(
    "unslice",
    "Zeros of a shape with `x` written into a slice of it: the gradient of `slice`.",
    operands=("x",),
    infer=_unslice_infer,
    kernel=_unslice,
    gradient=single(_unslice_rule),
    attrs=(Attr("shape", "the shape of the result"), *BOUNDS),
    cost=moves_only,
    samples=(
        Sample(("f32[3, 4]",), {"shape": (5, 4), **_use((1, 0), (4, None), (1, 1))}),
        Sample(("f32[4, 2]",), {"shape": (7, 3), **_use((6, 0), (-1, 3), (-2, 2))}),
        Sample(("i32[5]",), {"shape": (5,), **_use((4,), (-1,), (-1,))}, low=-9, high=9),
        Sample(("f32[300, 500]",), {"shape": (302, 502), **_use((1, 1), (301, 501), (1, 1))}),
    ),
)

OPS = (SLICE, UNSLICE)
