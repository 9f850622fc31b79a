"""Pooling along one to three axes, and its gradients: a thread for each element that is written.

A gradient is gathered: each pixel asks the windows that see it, so that no two threads write to
one place and sums keep their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from flowc_runtime.cuda.kernel import Kernel, Launch, each_element, own_element, parameters_of
from flowc_runtime.cuda.lines import value_text
from flowc_runtime.cuda.text import TYPES, number, positions
from flowc_runtime.ops.window import Axis, axes_of
from flowc_runtime.plan import Buffer, Instruction

FLOATS = ("f32", "f64")


def pool_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    operands = [buffers[k] for k in instruction.operands]
    result = buffers[instruction.results[0]]
    if result.type.dtype not in FLOATS:
        return None
    image = result if instruction.op.endswith("grad") else operands[0]
    axes = axes_of(image.type.sizes, instruction.attrs["window"], instruction.attrs)
    pool = _Pool(axes, image.type.sizes, result.type.dtype, instruction.attrs.get("counted", ()))
    write = {
        "max_pool": pool.largest, "avg_pool": pool.mean,
        "max_pool_grad": pool.largest_grad, "avg_pool_grad": pool.mean_grad,
    }[instruction.op]  # fmt: skip
    elements = prod(result.type.sizes)
    lines = (
        *own_element(elements),
        *positions("a", "at", result.type.sizes),
        *write(),
        "O0[at] = value;",
    )
    kernel = Kernel(parameters_of(operands, [result]), lines)
    return (Launch(kernel, (*operands, result), each_element(elements)),)


class _Pool:
    """The lines that make one element's `value`, at the positions `a0`, `a1` and so on."""

    def __init__(
        self, axes: Sequence[Axis], image: Sequence[int], dtype: str,
        counted: Sequence[tuple[int, int]],
    ):
        self.axes, self.image, self.dtype, self.counted = axes, image, dtype, counted
        self.pooled = (image[0], *(a.steps for a in axes), image[-1])

    def largest(self) -> Iterator[str]:
        """A NaN stays: nothing is larger."""
        yield f"{TYPES[self.dtype]} value = {number(self.dtype, -float('inf'))};"
        larger = value_text("maximum", ["other", "value"], self.dtype)
        yield from self._taps("a", [
            f"const {TYPES[self.dtype]} other = I0[{self._pixel()}];", f"value = {larger};"])

    def mean(self) -> Iterator[str]:
        yield f"{TYPES[self.dtype]} value = 0;"
        yield from self._taps("a", [f"value += I0[{self._pixel()}];"])
        yield from self._count("a")
        yield "value /= count;"

    def largest_grad(self) -> Iterator[str]:
        """`first` is the number of the tap that first meets the window's largest."""
        yield f"{TYPES[self.dtype]} value = 0;"
        yield from self._windows([
            f"const {TYPES[self.dtype]} largest = I1[{self._window()}];",
            "int first = -1;",
            *self._taps("s", [f"if (first < 0 && I0[{self._pixel()}] == largest) first = tap;"]),
            f"if (first == own) value += I2[{self._window()}];"])  # fmt: skip

    def mean_grad(self) -> Iterator[str]:
        yield f"{TYPES[self.dtype]} value = 0;"
        yield from self._windows([
            *self._count("s"), f"value += I0[{self._window()}] / count;"])

    def _taps(self, window: str, body: Sequence[str]) -> Iterator[str]:
        """What is done with each pixel `q1`, `q2` .. that a window sees, with the tap's number."""
        count = len(self.axes)
        for n, axis in enumerate(self.axes, 1):
            depth = "    " * (n - 1)
            yield f"{depth}for (int w{n} = 0; w{n} < {axis.window}; ++w{n}) {{"
            yield (f"{depth}    const int q{n} = (int){window}{n} * {axis.stride} + "
                   f"w{n} * {axis.dilation} - {axis.before};")  # fmt: skip
            yield f"{depth}    if (q{n} < 0 || q{n} >= {axis.size}) continue;"
        inner = [f"const int tap = {self._tap('w')};", *body]
        for line in inner:
            yield "    " * count + line
        for n in reversed(range(count)):
            yield "    " * n + "}"

    def _windows(self, body: Sequence[str]) -> Iterator[str]:
        """What is done with each window `s1`, `s2` .. that sees the pixel, with tap `own`: in
        the order of the windows."""
        count = len(self.axes)
        for n, axis in enumerate(self.axes, 1):
            depth = "    " * (n - 1)
            yield f"{depth}for (int v{n} = {axis.window - 1}; v{n} >= 0; --v{n}) {{"
            yield f"{depth}    const int d{n} = (int)a{n} + {axis.before} - v{n} * {axis.dilation};"
            yield f"{depth}    const int s{n} = d{n} / {axis.stride};"
            yield (f"{depth}    if (d{n} < 0 || d{n} % {axis.stride} || s{n} >= {axis.steps}) "
                   "continue;")  # fmt: skip
        for line in [f"const int own = {self._tap('v')};", *body]:
            yield "    " * count + line
        for n in reversed(range(count)):
            yield "    " * n + "}"

    def _count(self, window: str) -> Iterator[str]:
        """How many elements of a window are in the image, or in the padding that counts."""
        yield "int count = 1;"
        for n, (axis, (before, after)) in enumerate(zip(self.axes, self.counted, strict=True), 1):
            yield "{"
            yield f"    const int begin = (int){window}{n} * {axis.stride} - {axis.before};"
            yield "    int here = 0;"
            yield f"    for (int w = 0; w < {axis.window}; ++w) {{"
            yield f"        const int q = begin + w * {axis.dilation};"
            yield f"        here += q >= {-before} && q < {axis.size + after};"
            yield "    }"
            yield "    count *= here;"
            yield "}"

    def _tap(self, name: str) -> str:
        """The number of a window's element, row by row."""
        windows = [axis.window for axis in self.axes]
        strides = [prod(windows[axis + 1 :]) for axis in range(len(windows))]
        return " + ".join(f"{name}{n} * {stride}" for n, stride in enumerate(strides, 1))

    def _pixel(self) -> str:
        return self._element("q", self.image)

    def _window(self) -> str:
        return self._element("s", self.pooled)

    def _element(self, name: str, sizes: Sequence[int]) -> str:
        """Of the same image and channel."""
        count = len(self.axes)
        strides = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
        inner = " + ".join(f"{name}{n} * {strides[n]}" for n in range(1, count + 1))
        return f"a0 * {strides[0]} + {inner} + a{count + 1}"
