"""Blocks of convolutional networks, put together again from torch's convolution and norm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numerics.case import Case, real
from numerics.cases.images import along_axes

X = {"x": real("f32[2, 6, 6, 4]")}
Parameters = dict[str, Any]


class Network:
    """Layers that take their weights in the order of the text; everything is channels last."""

    def __init__(self, t: Any, parameters: Parameters):
        self.t = t
        self.kernels: Iterator[Any] = iter([v for k, v in parameters.items() if "kernel" in k])
        self.scales: Iterator[Any] = iter([v for k, v in parameters.items() if "scale" in k])
        self.shifts: Iterator[Any] = iter([v for k, v in parameters.items() if "shift" in k])

    def conv(self, x: Any, stride: int = 1, groups: int = 1, same: bool = True) -> Any:
        """Padding as "same" gives it for odd windows and, with a stride, even sizes."""
        kernel = next(self.kernels)
        windows = kernel.shape[:2]
        totals = [max(0, (-(-n // stride) - 1) * stride + k - n) if same else 0
                  for n, k in zip(x.shape[1:3], windows, strict=True)]  # fmt: skip
        (top, left), (rows, columns) = [n // 2 for n in totals], totals
        padded = self.t.nn.functional.pad(x, (0, 0, left, columns - left, top, rows - top))
        return along_axes(self.t, padded, kernel, stride=stride, groups=groups)

    def norm(self, x: Any) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        normal = self.t.nn.functional.batch_norm(
            flat, None, None, next(self.scales), next(self.shifts), training=True)
        return normal.reshape(x.shape)

    def unit(self, x: Any, stride: int = 1, groups: int = 1, same: bool = True) -> Any:
        return self.norm(self.conv(x, stride, groups, same)).relu()

    def units(self, x: Any, count: int) -> Any:
        for _ in range(count):
            x = self.unit(x)
        return x

    def pooled(self, x: Any) -> Any:
        means = self.t.nn.functional.avg_pool2d(
            x.movedim(-1, 1), 3, 1, 1, count_include_pad=False)
        return self.unit(means.movedim(1, -1))

    def halved(self, x: Any) -> Any:
        return self.t.nn.functional.max_pool2d(x.movedim(-1, 1), 3, 2).movedim(1, -1)


def _block(name: str, flow: str, build: Any) -> Case:
    return Case(name, flow, X, lambda t, x, **p: build(Network(t, p), x))


def _basic(n: Network, x: Any) -> Any:
    y = n.norm(n.conv(n.unit(x, 2)))
    return (y + n.norm(n.conv(x, 2))).relu()


def _bottleneck(n: Network, x: Any) -> Any:
    return (n.norm(n.conv(n.unit(n.unit(x)))) + x).relu()


def _separable(n: Network, x: Any) -> Any:
    return n.unit(n.unit(x, 2, groups=4))


def _inverted(n: Network, x: Any) -> Any:
    wide = n.norm(n.conv(x)).clamp(0, 6)
    deep = n.norm(n.conv(wide, groups=8)).clamp(0, 6)
    return x + n.norm(n.conv(deep))


def _squeezed(t: Any, x: Any, **p: Any) -> Any:
    first, first_bias, second, second_bias = p.values()
    gate = ((x.mean((1, 2)) @ first + first_bias).relu() @ second + second_bias).sigmoid()
    return x * gate[:, None, None]


def _inception_a(n: Network, x: Any) -> Any:
    branches = [n.units(x, 1), n.units(x, 2), n.units(x, 3), n.pooled(x)]
    return n.t.cat(branches, -1)


def _inception_b(n: Network, x: Any) -> Any:
    three = n.unit(x, 2, same=False)
    return n.t.cat([three, n.unit(n.units(x, 2), 2, same=False), n.halved(x)], -1)


def _inception_c(n: Network, x: Any) -> Any:
    branches = [n.units(x, 1), n.units(x, 3), n.units(x, 5), n.pooled(x)]
    return n.t.cat(branches, -1)


def _inception_d(n: Network, x: Any) -> Any:
    three = n.unit(n.unit(x), 2, same=False)
    return n.t.cat([three, n.unit(n.units(x, 3), 2, same=False), n.halved(x)], -1)


def _inception_e(n: Network, x: Any) -> Any:
    one, three, double, pool = n.unit(x), n.unit(x), n.units(x, 2), n.pooled(x)
    crossed = [n.unit(three), n.unit(three), n.unit(double), n.unit(double)]
    return n.t.cat([one, *crossed, pool], -1)


# The inception blocks have many channels; with a unit of its own each gets a few.
NARROW = """block narrow(x, filters: int, size, stride: int = 1, padding: str = "same") {
  return conv_norm(x, filters // 32, size, stride, padding)
}
"""


def _inception(flow: str, build: Any) -> Case:
    return Case(flow.partition("(")[0], flow, X, lambda t, x, **p: build(Network(t, p), x),
                helpers=NARROW)


CASES = (
    _block("conv_norm", "conv_norm(x, 3)", lambda n, x: n.unit(x)),
    _block("basic_residual with a projection", "basic_residual(x, 6, 2)", _basic),
    _block("bottleneck_residual", "bottleneck_residual(x, 2, widening = 2)", _bottleneck),
    _block("depthwise_separable", "depthwise_separable(x, 6, stride = 2)", _separable),
    _block("inverted_residual", "inverted_residual(x, 4, 2)", _inverted),
    Case("squeeze_excite", "squeeze_excite(x, 2)", X, _squeezed),
    _inception("inception_a(x, 96, narrow)", _inception_a),
    _inception("inception_b(x, narrow)", _inception_b),
    _inception("inception_c(x, 64, narrow)", _inception_c),
    _inception("inception_d(x, narrow)", _inception_d),
    _inception("inception_e(x, narrow)", _inception_e),
)
