"""Machine code of convolutions and pooling computes what NumPy does, for any geometry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from native_runs import by_numpy, natively, share_all

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output
from flowc_runtime.ops.window import axes_of
from flowc_runtime.types import TensorType

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from flowc_runtime import kept
from flowc_runtime.native.minimal import DATA, GRADIENT, KERNEL, RESULT, WEIGHTS, Matrix
from flowc_runtime.native.parts import channel_blocks
from flowc_runtime.native.planes import plane_of
from flowc_runtime.native.tiles import even
from flowc_runtime.native.tiling import FEWEST_STEPS, tiling_of
from flowc_runtime.ops.conv_columns import convolution_of

CHANNELS = (1, 2, 3, 7, 16, 20, 37, 66)  # ragged ends of every length, and more than a block
WINDOW = (3, 3)
Arrays = dict[str, np.ndarray]
Attrs = dict[str, Any]
SAME: Attrs = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path)
    share_all(monkeypatch)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], Attrs]:
    """The shape of an image, a window that fits along each axis, and the settings."""
    axes = draw(st.integers(1, 2))
    each = st.tuples(*[st.integers(1, 3)] * axes)
    sizes = draw(st.tuples(*[st.integers(1, 11)] * axes))
    window, stride, dilation = draw(each), draw(each), draw(each)
    sides = st.tuples(st.integers(0, 2), st.integers(0, 2))
    padding = draw(st.tuples(*[sides] * axes))
    image = (draw(st.integers(1, 3)), *sizes, draw(st.sampled_from(CHANNELS)))
    attrs = {"stride": stride, "padding": padding, "dilation": dilation}
    assume(all(axis.steps > 0 for axis in axes_of(image, window, attrs)))
    return image, window, attrs


def graph_of(b: Builder, *values: Any) -> Graph:
    return b.finish([Output(f"y{k}", value.ref) for k, value in enumerate(values)])


def compared(graph: Graph, inputs: Mapping[str, np.ndarray], terms: int) -> None:
    """`terms` are how many products or numbers one result adds up."""
    inputs = dict(inputs)
    found, wanted = natively(graph, inputs), by_numpy(graph, inputs)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, 1e-5, 2e-6 * terms**0.5, err_msg=name)


def convolution(
    image: tuple[int, ...], window: tuple[int, ...], filters: int, attrs: Attrs, groups: int = 1
) -> tuple[Graph, Arrays, int]:
    """A convolution and both its gradients."""
    attrs = {**attrs, "groups": groups}
    steps = tuple(axis.steps for axis in axes_of(image, window, attrs))
    shapes = {
        "x": image, "w": (*window, image[-1] // groups, filters), "g": (image[0], *steps, filters)}
    rng = np.random.default_rng(sum(image))
    inputs = {n: rng.uniform(-1, 1, s).astype(np.float32) for n, s in shapes.items()}
    b = Builder()
    x, w, g = (b.input(n, TensorType("f32", s)) for n, s in shapes.items())
    graph = graph_of(
        b, b("conv", x, w, **attrs),
        b("conv_input_grad", g, w, shape=image, **attrs),
        b("conv_weight_grad", x, g, shape=shapes["w"], **attrs))
    terms = int(np.prod(window)) * max(image[-1], filters, image[0] * int(np.prod(steps)))
    return graph, inputs, terms


@settings(max_examples=60, deadline=None)
@given(geometries(), st.sampled_from(CHANNELS))
def check_convolution(
    geometry: tuple[tuple[int, ...], tuple[int, ...], Attrs], filters: int
) -> None:
    image, window, attrs = geometry
    compared(*convolution(image, window, filters, attrs))


def test_any_convolution_is_what_numpy_computes() -> None:
    check_convolution()


PHASES = {"stride": (2, 3), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)}
LONG = {"stride": (1,), "padding": ((20, 30),), "dilation": (2,)}
APART = {"stride": (1,), "padding": ((5, 5),), "dilation": (3,)}


@settings(max_examples=60, deadline=None)
@given(geometries())
@example(((2, 9, 11, 37), (3, 5), PHASES))  # several taps of each phase
@example(((2, 30, 20), (29,), LONG))  # more taps than registers
@example(((1, 3, 5), (3,), APART))  # each tap sees the image from other positions
def check_depthwise(geometry: tuple[tuple[int, ...], tuple[int, ...], Attrs]) -> None:
    image, window, attrs = geometry
    compared(*convolution(image, window, image[-1], attrs, groups=image[-1]))


def test_any_depthwise_convolution_is_what_numpy_computes() -> None:
    check_depthwise()


@settings(max_examples=60, deadline=None)
@given(geometries(), st.integers(2, 5), st.sampled_from((1, 2, 3, 7, 16, 20)))
def check_groups(
    geometry: tuple[tuple[int, ...], tuple[int, ...], Attrs], groups: int, breadth: int
) -> None:
    (*sizes, depth), window, attrs = geometry
    compared(*convolution((*sizes, groups * depth), window, groups * breadth, attrs, groups))


def test_any_convolution_in_groups_is_what_numpy_computes() -> None:
    check_groups()


@settings(max_examples=60, deadline=None)
@given(geometries(), st.booleans(), st.booleans())
def check_pooling(
    geometry: tuple[tuple[int, ...], tuple[int, ...], Attrs], counts: bool, special: bool
) -> None:
    image, window, attrs = geometry
    assume(all(axis.always_sees() for axis in axes_of(image, window, attrs)))
    attrs = {**attrs, "window": window}
    counted = attrs["padding"] if counts else ((0, 0),) * len(window)
    rng = np.random.default_rng(sum(image))
    pixels = rng.integers(-3, 4, image).astype(np.float32)  # several are the largest
    if special:
        pixels.reshape(-1)[:: 5] = rng.choice([np.nan, np.inf, -np.inf], pixels.size)[:: 5]
    b = Builder()
    x = b.input("x", TensorType("f32", image))
    y = b("max_pool", x, **attrs)
    g = b.input("g", y.type)
    gradient = rng.uniform(-1, 1, y.type.sizes).astype(np.float32)
    graph = graph_of(
        b, y, b("max_pool_grad", x, y, g, **attrs),
        b("avg_pool", x, counted=counted, **attrs),
        b("avg_pool_grad", g, shape=image, counted=counted, **attrs))
    compared(graph, {"x": pixels, "g": gradient}, int(np.prod(window)))


def test_any_pooling_is_what_numpy_computes() -> None:
    check_pooling()


def is_filtered(image: tuple[int, ...], filters: int, attrs: Attrs) -> bool:
    conv = convolution_of(image, (*WINDOW, image[-1], filters), {**attrs, "groups": 1})
    plane = plane_of(conv)
    return plane is not None and tiling_of(plane) is not None


@st.composite
def filtered(draw: st.DrawFn) -> tuple[tuple[int, ...], int, Attrs]:
    """An image, filters and settings of a convolution that is computed by minimal filtering."""
    sides = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(st.tuples(sides, sides))
    least = [max(1, FEWEST_STEPS + 2 - sum(side)) for side in padding]
    sizes = [draw(st.integers(size, size + 14)) for size in least]
    channels, filters = draw(st.tuples(*[st.sampled_from((8, 16, 20, 37, 66))] * 2))
    attrs = {"stride": (1, 1), "padding": padding, "dilation": (1, 1)}
    return (draw(st.integers(1, 3)), *sizes, channels), filters, attrs


@settings(max_examples=60, deadline=None)
@given(filtered())
def check_filtered(geometry: tuple[tuple[int, ...], int, Attrs]) -> None:
    image, filters, attrs = geometry
    assert is_filtered(image, filters, attrs)
    compared(*convolution(image, WINDOW, filters, attrs))


def test_any_convolution_by_minimal_filtering_is_what_numpy_computes() -> None:
    check_filtered()


@pytest.mark.parametrize("image", [
    (1, 5, 150, 16),  # a row of more tiles than there are in a block
    (1, 150, 5, 16),
    (20, 6, 6, 16),  # more images than bundles of them
    (2, 11, 11, 256),  # fewer tiles in a block
])
def test_minimal_filtering_in_many_blocks(image: tuple[int, ...]) -> None:
    assert is_filtered(image, 20, SAME)
    compared(*convolution(image, WINDOW, 20, SAME))


@pytest.mark.parametrize(("image", "filters"), [
    ((64, 3, 8, 16), 16), ((64, 8, 3, 16), 16), ((64, 8, 8, 7), 16), ((64, 8, 8, 16), 7),
    ((64, 8, 8, 512), 256),
])
def test_where_minimal_filtering_does_not_pay(image: tuple[int, ...], filters: int) -> None:
    assert not is_filtered(image, filters, SAME)


@pytest.mark.parametrize(("kernel", "result"), [(KERNEL, RESULT), (GRADIENT, WEIGHTS)])
def test_minimal_filtering_is_filtering(kernel: Matrix, result: Matrix) -> None:
    """F(2, 3) and F(3, 2), of whole numbers, which all are exact with."""
    d, g = np.array([2.0, -3, 5, 7]), np.array([11.0, -13, 17][: len(kernel[0])])
    found = np.array(result) @ ((np.array(kernel) @ g) * (np.array(DATA) @ d))
    np.testing.assert_array_equal(found, np.correlate(d, g))


@pytest.mark.parametrize("window", [WINDOW, (3, 1)])
def test_an_image_gives_the_same_bits_whatever_is_beside_it(window: tuple[int, ...]) -> None:
    graph, inputs, _ = convolution((4, 9, 7, 20), window, 37, SAME)
    together = natively(graph, inputs)
    alone_graph, _, _ = convolution((1, 9, 7, 20), window, 37, SAME)
    for k in range(4):
        one = {n: v if n == "w" else v[k : k + 1] for n, v in inputs.items()}
        alone = natively(alone_graph, one)
        for name in ("y0", "y1"):
            np.testing.assert_array_equal(alone[name][0], together[name][k], err_msg=name)


def test_what_has_no_code_is_left_to_numpy() -> None:
    """Three axes, other dtypes, no images."""
    b = Builder()
    settings = {"padding": ((0, 0),) * 2, "dilation": (1, 1), "stride": (1, 1)}
    wide = b.input("wide", TensorType("f64", (2, 5, 5, 4)))
    none = b.input("none", TensorType("f32", (0, 5, 5, 4)))
    volume = b.input("volume", TensorType("f32", (2, 3, 4, 5, 3)))
    pooled = {**settings, "window": (2, 2)}
    graph = graph_of(
        b, b("max_pool", wide, **pooled), b("max_pool", none, **pooled),
        b("max_pool", volume, window=(2, 2, 2), stride=(1, 1, 1), dilation=(1, 1, 1),
          padding=((0, 0),) * 3))
    rng = np.random.default_rng(1)
    inputs = {
        n.attrs["name"]: rng.uniform(-1, 1, n.type.sizes).astype(n.type.storage)
        for n in graph.nodes if n.op == "input"
    }
    compared(graph, inputs, 18)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("channels", range(1, 140))
def test_blocks_hold_each_channel_once(channels: int, lanes: int) -> None:
    found = [
        block.start + k * block.width + part.offset + lane
        for block in channel_blocks(channels, lanes)
        for k in range(block.count)
        for part in block.parts
        for lane in range(part.lanes)
    ]
    assert found == list(range(channels))


@pytest.mark.parametrize("total", range(1, 40))
def test_even_stretches_cover_all_and_differ_by_one(total: int) -> None:
    for most in range(1, 12):
        stretches = list(even(total, most))
        found = [s + k * n + i for s, count, n in stretches for k in range(count) for i in range(n)]
        lengths = [length for _, _, length in stretches]
        assert found == list(range(total))
        assert max(lengths) - min(lengths) <= 1 and max(lengths) <= most
