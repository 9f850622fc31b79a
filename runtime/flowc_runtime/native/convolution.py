"""Which convolutions have machine code, and what each is computed as.

The gradient of the image of a convolution with stride 1 is itself a convolution, of the result's
gradient with the kernel turned round, and is computed so where that has hardly more to do. Else
each pixel of the result's gradient is spread over the pixels that its window saw. What slides
windows of 3 by 3 is multiplied less, where `tiling.py` has it that this pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.moves import move_of, unreal
from flowc_runtime.native.depthwise import forward_task, input_gradient_task
from flowc_runtime.native.depthwise_gradient import weight_gradient_task
from flowc_runtime.native.moves import Copying
from flowc_runtime.native.moving import ClearTask, MoveTask
from flowc_runtime.native.planes import Plane, plane_of, turned
from flowc_runtime.native.products import PRODUCTS_A_NANOSECOND
from flowc_runtime.native.ranges import Range
from flowc_runtime.native.tiles import FLOAT_BYTES
from flowc_runtime.native.tiling import tiling_of
from flowc_runtime.native.unit import Task, Unit, Writer
from flowc_runtime.native.walks import Forward, Spread, Walk, WeightGradient
from flowc_runtime.native.winograd import FilteredGradientTask, FilteredTask
from flowc_runtime.ops.conv_columns import convolution_of
from flowc_runtime.plan import Buffer, Instruction


@dataclass(frozen=True, slots=True)
class ConvTask(Writer):
    """All that the code of an instruction depends on."""

    op: str
    plane: Plane

    @property
    def back(self) -> Plane | None:
        """The gradient of an image, where it is a convolution itself."""
        return turned(self.plane) if self.op == "conv_input_grad" else None

    @property
    def walked(self) -> Plane:
        """The convolution that is computed, or whose windows are gone through."""
        return self.back or self.plane

    @property
    def before(self) -> Task | None:
        plane = self.plane
        if self.op == "conv_weight_grad":
            return ClearTask(2, FLOAT_BYTES * plane.weights)
        if self.op == "conv_input_grad":
            return _turned_kernel(plane, opposite=self.back is not None)
        return None

    @property
    def shared_bytes(self) -> tuple[int, ...]:
        """The kernel as the gradient of the image wants it."""
        return (FLOAT_BYTES * self.plane.weights,) if self.op == "conv_input_grad" else ()

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        """An image with its padding."""
        plane = self.walked
        return (FLOAT_BYTES * plane.padded_image,) if plane.padded else ()

    @property
    def walk(self) -> type[Walk]:
        if self.op == "conv_weight_grad":
            return WeightGradient
        return Forward if self.op == "conv" or self.back is not None else Spread

    @property
    def pieces(self) -> int:
        return self.walk.pieces_of(self.walked)

    @property
    def whole_shares(self) -> bool:
        """For a gradient of weights all images are framed in each call."""
        return self.op == "conv_weight_grad" and self.plane.padded

    @property
    def nanoseconds(self) -> float:
        plane = self.plane
        return plane.images * plane.result * plane.weights / plane.filters / PRODUCTS_A_NANOSECOND

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of two operands, the result, what is shared, and what is spilled."""
        walk = self.walk(b, self.walked, unit.lanes)
        first, second, result = (walk.place(k) for k in range(3))
        shared = len(self.shared_bytes)
        weights = walk.place(3) if shared else second
        padded = walk.place(3 + shared) if self.walked.padded else result
        walk.run(pieces, first, weights, result, padded)


def _turned_kernel(plane: Plane, opposite: bool) -> MoveTask:
    """What is shared: at [i, j, f, c] the weight [i, j, c, f] of each group, or that of the
    opposite tap."""
    window = plane.rows.window, plane.columns.window
    weights = unreal((*window, plane.depth, plane.groups, plane.breadth)).transpose(0, 1, 4, 3, 2)
    stored = weights[::-1, ::-1] if opposite else weights
    move = Copying(move_of(stored, unreal(weights.shape), "f32"))
    return MoveTask(tuple((1, part) for part in move.parts()), 3, 0)


def conv_task(instruction: Instruction, buffers: Sequence[Buffer]) -> Task | None:
    operands = [buffers[k].type for k in instruction.operands]
    result = buffers[instruction.results[0]].type
    if any(t.dtype != "f32" for t in (*operands, result)):
        return None
    image, kernel = {
        "conv": (operands[0], operands[1]),
        "conv_input_grad": (result, operands[1]),
        "conv_weight_grad": (operands[0], result),
    }[instruction.op]
    convolution = convolution_of(image.sizes, kernel.sizes, instruction.attrs)
    plane = plane_of(convolution)
    if plane is None:
        return None
    if convolution.depthwise:
        return _depthwise_task(instruction.op, plane)
    task = ConvTask(instruction.op, plane)
    tiling = None if task.walk is Spread else tiling_of(task.walked)
    if tiling is None:
        return task
    if instruction.op == "conv_weight_grad":
        return FilteredGradientTask(tiling)
    return FilteredTask(tiling, task.before)


def _depthwise_task(op: str, plane: Plane) -> Task:
    """Of a convolution each of whose channels has a window of its own."""
    task_of = {
        "conv": forward_task,
        "conv_input_grad": input_gradient_task,
        "conv_weight_grad": weight_gradient_task,
    }[op]
    return task_of(plane.images, plane.rows, plane.columns, plane.channels)
