"""Blocks of convolutional networks; the inception blocks with a sixteenth of their filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from numerics.case import Case, real
from numerics.cases.images import convolution, first, last, padded, pooled

X = {"x": real("f32[2, 6, 6, 4]")}
THIN = """block thin(x, filters: int, size, stride = 1, padding = "same") {
  return conv2d(x, filters / 16, size, stride, padding, bias = false)
}
"""


class Net:
    """The same layers in PyTorch, over parameters in the order in which they are declared."""

    def __init__(self, t: Any, weights: Iterator[Any]):
        self.t, self.weights = t, weights

    def conv(self, x: Any, stride: int = 1, groups: int = 1, padding: str = "same") -> Any:
        kernel = next(self.weights)
        if padding == "same":
            x = padded(self.t, x, *(_same(x.shape[1 + i], kernel.shape[i], stride) for i in (0, 1)))
        return convolution(self.t, x, kernel, stride=stride, groups=groups)

    def norm(self, x: Any) -> Any:
        """Of the moments of the batch; what was seen before is there, and not used."""
        scale, shift, _, _ = (next(self.weights) for _ in range(4))
        return last(self.t.nn.functional.batch_norm(
            first(x), None, None, scale, shift, training=True))

    def conv_norm(self, x: Any, *args: Any, **settings: Any) -> Any:
        return self.t.relu(self.norm(self.conv(x, *args, **settings)))

    def dense(self, x: Any) -> Any:
        return x @ next(self.weights) + next(self.weights)

    def squeeze_excite(self, x: Any) -> Any:
        scale = self.t.sigmoid(self.dense(self.t.relu(self.dense(x.mean((1, 2))))))
        return x * scale[:, None, None]

    def inverted(self, x: Any) -> Any:
        relu6 = self.t.nn.functional.relu6
        wide = relu6(self.norm(self.conv(x)))
        deep = relu6(self.norm(self.conv(wide, groups=wide.shape[-1])))
        return x + self.norm(self.conv(self.squeeze_excite(deep)))

    def chain(self, x: Any, count: int) -> Any:
        for _ in range(count):
            x = self.conv(x)
        return x

    def means(self, x: Any) -> Any:
        return pooled(self.t, x, "avg", 3, 1, 1, count_include_pad=False)


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    total = max(0, (-(-size // stride) - 1) * stride + window - size)
    return total // 2, total - total // 2


def _block(name: str, flow: str, torch: Callable[[Any, Net, Any], Any]) -> Case:
    return Case(name, flow, X, lambda t, x, **p: torch(t, Net(t, iter(p.values())), x),
                helpers=THIN if "thin" in flow else "")


def _basic(t: Any, net: Net, x: Any) -> Any:
    y = net.norm(net.conv(net.conv_norm(x, 2)))
    return t.relu(y + net.norm(net.conv(x, 2)))


def _bottleneck(t: Any, net: Net, x: Any) -> Any:
    y = net.norm(net.conv(net.conv_norm(net.conv_norm(x))))
    return t.relu(y + net.norm(net.conv(x)))


def _inception_b(t: Any, net: Net, x: Any) -> Any:
    three = net.conv(x, 2, padding="valid")
    double = net.conv(net.chain(x, 2), 2, padding="valid")
    return t.cat([three, double, pooled(t, x, "max", 3, 2)], -1)


def _inception_d(t: Any, net: Net, x: Any) -> Any:
    three = net.conv(net.chain(x, 1), 2, padding="valid")
    seven = net.conv(net.chain(x, 3), 2, padding="valid")
    return t.cat([three, seven, pooled(t, x, "max", 3, 2)], -1)


def _inception_e(t: Any, net: Net, x: Any) -> Any:
    one, three, double = net.chain(x, 1), net.chain(x, 1), net.chain(x, 2)
    pool = net.chain(net.means(x), 1)
    crossed = [net.conv(y) for y in (three, three, double, double)]
    return t.cat([one, *crossed, pool], -1)


CASES = (
    _block("conv_norm", "conv_norm(x, 5, stride = 2)", lambda t, net, x: net.conv_norm(x, 2)),
    _block("squeeze_excite", "squeeze_excite(x, 2)", lambda t, net, x: net.squeeze_excite(x)),
    _block("shortcut", "shortcut(x, 4) * shortcut(x, 6, 2)[:, :1, :1, :1]",
           lambda t, net, x: x * net.norm(net.conv(x, 2))[:, :1, :1, :1]),
    _block("basic_residual", "basic_residual(x, 6, 2)", _basic),
    _block("bottleneck_residual", "bottleneck_residual(x, 3)", _bottleneck),
    _block("depthwise_separable", "depthwise_separable(x, 5)",
           lambda t, net, x: net.conv_norm(net.conv_norm(x, groups=4))),
    _block("inverted_residual", "inverted_residual(x, 4, widening = 2, squeeze = 3)",
           lambda t, net, x: net.inverted(x)),
    _block("inception_a", "inception_a(x, 32, thin)", lambda t, net, x: t.cat(
        [net.chain(x, 1), net.chain(x, 2), net.chain(x, 3), net.chain(net.means(x), 1)], -1)),
    _block("inception_b", "inception_b(x, thin)", _inception_b),
    _block("inception_c", "inception_c(x, 48, thin)", lambda t, net, x: t.cat(
        [net.chain(x, 1), net.chain(x, 3), net.chain(x, 5), net.chain(net.means(x), 1)], -1)),
    _block("inception_d", "inception_d(x, thin)", _inception_d),
    _block("inception_e", "inception_e(x, thin)", _inception_e),
)
