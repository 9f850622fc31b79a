"""Convolution and pooling against naive loops, their gradients against central differences."""

import tracemalloc
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowc_runtime.dims import symbol
from flowc_runtime.ops import conv, pool
from flowc_runtime.ops.op import Forward, Reject
from flowc_runtime.types import TensorType, parse_type

OPS = {op.name: op for op in (*conv.OPS, *pool.OPS)}
NAMES = {"float64": "f64", "float32": "f32", "float16": "f16"}
GUARD = 64  # bytes behind the scratch, which must stay as they are
NO_PADDING = ((0, 0), (0, 0))
PLAIN = {"stride": (1, 1), "padding": NO_PADDING, "dilation": (1, 1), "groups": 1}
HALVES = {"window": (2, 2), "stride": (2, 2), "padding": NO_PADDING, "dilation": (1, 1)}


@dataclass(frozen=True)
class Tensor:
    """A value of the eager graph that the gradient rules are run on."""

    array: np.ndarray

    @property
    def type(self):
        return TensorType(NAMES[self.array.dtype.name], self.array.shape)


def prepare(name, operands, attrs):
    """Results full of NaN and scratch full of garbage, exactly as long as declared."""
    types = tuple(Tensor(a).type for a in operands)
    results = OPS[name].infer(types, attrs)
    size = OPS[name].scratch_bytes(types, results, attrs)
    room = np.full(size + 2 * GUARD, 0xFF, np.uint8)
    start = -room.ctypes.data % 64
    outs = [np.full(r.sizes, np.nan, r.storage) for r in results]
    return outs, room[start : start + size], room[start + size :]


def run(name, *operands, **attrs):
    outs, scratch, guard = prepare(name, operands, attrs)
    OPS[name].kernel(outs, operands, attrs, scratch)
    assert (guard == 0xFF).all(), "wrote behind its scratch"
    return outs[0]


def emit(op, *operands, **attrs):
    return Tensor(run(op, *(t.array for t in operands), **attrs))


def gradients_of(name, operands, attrs, g):
    values = tuple(map(Tensor, operands))
    result = Tensor(run(name, *operands, **attrs))
    forward = Forward(values, (result,), attrs)
    return [t.array for t in OPS[name].gradient(emit, forward, (Tensor(g),))]


def check_gradients(name, operands, attrs, rng, step=1e-3):
    """Along one random direction per operand: the slope of <result, g> is <gradient, direction>."""
    g = rng.standard_normal(run(name, *operands, **attrs).shape)
    for i, gradient in enumerate(gradients_of(name, operands, attrs, g)):
        direction = rng.standard_normal(operands[i].shape)
        ends = [
            np.vdot(run(name, *replaced(operands, i, operands[i] + s * direction), **attrs), g)
            for s in (step, -step)
        ]
        slope = (ends[0] - ends[1]) / (2 * step)
        assert np.vdot(gradient, direction) == pytest.approx(slope, rel=1e-6, abs=1e-6)


def replaced(operands, position, value):
    return [value if i == position else x for i, x in enumerate(operands)]


def naive_conv(x, w, stride, padding, dilation, groups):
    """The definition: one loop for every index but the image and the channel."""
    *window, depth, filters = w.shape
    x = np.pad(x, ((0, 0), *padding, (0, 0)))
    steps = [
        (size - d * (length - 1) - 1) // s + 1
        for size, length, s, d in zip(x.shape[1:-1], window, stride, dilation, strict=True)
    ]
    y = np.zeros((len(x), *steps, filters), x.dtype)
    for at, tap, f in product(np.ndindex(*steps), np.ndindex(*window), range(filters)):
        group = f // (filters // groups)
        place = [p * s + i * d for p, s, i, d in zip(at, stride, tap, dilation, strict=True)]
        pixel = x[:, *place]
        y[:, *at, f] += pixel[:, group * depth : (group + 1) * depth] @ w[*tap, :, f]
    return y


def naive_windows(x, window, stride, padding, dilation):
    """All windows of x, padded with NaN: [images, *positions, window, channels]."""
    x = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=np.nan)
    steps = [
        (size - d * (length - 1) - 1) // s + 1
        for size, length, s, d in zip(x.shape[1:-1], window, stride, dilation, strict=True)
    ]
    y = np.empty((len(x), *steps, int(np.prod(window)), x.shape[-1]))
    for at in np.ndindex(*steps):
        part = x[:, *(
            slice(p * s, p * s + (length - 1) * d + 1, d)
            for p, s, length, d in zip(at, stride, window, dilation, strict=True)
        )]  # fmt: skip
        y[:, *at] = part.reshape(len(x), int(np.prod(window)), x.shape[-1])
    return y


@st.composite
def axes(draw, most_size):
    """(size, window, stride, padding, dilation) of one axis on which a window fits."""
    window, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    extent = dilation * (window - 1) + 1
    size = draw(st.integers(max(1, extent - sum(padding)), max(most_size, extent)))
    return size, window, draw(st.integers(1, 3)), padding, dilation


def several_axes(draw):
    """One to three axes: their sizes, windows, and the settings."""
    count = draw(st.sampled_from((1, 2, 2, 2, 3)))
    drawn_axes = [draw(axes(8 if count < 3 else 4)) for _ in range(count)]
    sizes, window, stride, padding, dilation = zip(*drawn_axes, strict=True)
    return sizes, window, {"stride": stride, "padding": padding, "dilation": dilation}


@st.composite
def convolutions(draw):
    """(image, kernel, attributes): shapes of all kinds, with an image count of 0 to 3."""
    sizes, window, attrs = several_axes(draw)
    groups = draw(st.integers(1, 3))
    depth, filters = draw(st.integers(1, 5)), groups * draw(st.integers(1, 3))
    image = (draw(st.integers(0, 3)), *sizes, groups * depth)
    return image, (*window, depth, filters), {**attrs, "groups": groups}


@st.composite
def poolings(draw):
    """(image, attributes) where every window sees a pixel."""
    sizes, window, attrs = several_axes(draw)
    image = (draw(st.integers(0, 3)), *sizes, draw(st.integers(1, 3)))
    attrs["window"] = window
    windows = naive_windows(np.zeros((1, *image[1:])), **attrs)
    assume(not np.isnan(windows).all(axis=-2).any())
    return image, attrs


drawn = settings(max_examples=60, deadline=None)  # times vary on a busy machine
SEEDS = st.integers(0, 2**32 - 1)

LINE = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,)}

# Cases that small drawn shapes do not reach: each takes another way through the kernels.
WAYS = {
    "lenet first layer, columns transposed": ((5, 28, 28, 1), (5, 5, 1, 20), {}),
    "lenet second layer, gradient tap by tap": ((40, 12, 12, 20), (5, 5, 20, 50), {}),
    "blocks of images": ((30, 16, 16, 16), (3, 3, 16, 8), {"padding": ((1, 1), (1, 1))}),
    "blocks of rows": ((2, 40, 44, 24), (3, 3, 24, 24), {"padding": ((1, 1), (2, 0))}),
    "blocks of rows with a stride": ((1, 80, 60, 24), (5, 3, 24, 4), {"stride": (2, 1)}),
    "pointwise": ((3, 9, 7, 12), (1, 1, 12, 10), {}),
    "pointwise in groups": ((3, 9, 7, 12), (1, 1, 4, 9), {"groups": 3}),
    "depthwise": ((20, 20, 20, 32), (3, 3, 1, 32), {"groups": 32, "padding": ((1, 1), (1, 1))}),
    "one filter for two channels each": ((2, 7, 7, 6), (3, 3, 2, 3), {"groups": 3}),
    "more padding than kernel": ((2, 3, 3, 2), (2, 2, 2, 3), {"padding": ((5, 4), (2, 3))}),
    "a sequence": ((9, 300, 40), (5, 40, 24), {**LINE, "padding": ((4, 0),)}),
    "a sequence, depthwise": ((2, 30, 6), (3, 1, 6), {**LINE, "groups": 6}),
    "a volume in blocks of planes": (
        (1, 9, 20, 24, 24),
        (3, 3, 3, 24, 4),
        {"stride": (1, 1, 1), "padding": ((1, 1),) * 3, "dilation": (1, 1, 1)},
    ),
    "a volume, depthwise, with a stride": (
        (2, 6, 7, 5, 3),
        (3, 3, 3, 1, 3),
        {"stride": (2, 1, 2), "padding": ((1, 1),) * 3, "dilation": (1, 1, 1), "groups": 3},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_convolution_is_the_naive_loop_on_every_way_through_the_kernels(way):
    image, kernel, given_attrs = WAYS[way]
    attrs, rng = {**PLAIN, **given_attrs}, np.random.default_rng(0)
    x, w = rng.standard_normal(image), rng.standard_normal(kernel)
    np.testing.assert_allclose(run("conv", x, w, **attrs), naive_conv(x, w, **attrs), atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_gradients_of_convolution_are_its_slopes_on_every_way_through_the_kernels(way):
    image, kernel, given_attrs = WAYS[way]
    rng = np.random.default_rng(1)
    operands = [rng.standard_normal(image), rng.standard_normal(kernel)]
    check_gradients("conv", operands, {**PLAIN, **given_attrs}, rng)


@drawn
@given(convolutions(), SEEDS)
def test_convolution_is_the_naive_loop(case, seed):
    image, kernel, attrs = case
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(image), rng.standard_normal(kernel)
    np.testing.assert_allclose(run("conv", x, w, **attrs), naive_conv(x, w, **attrs), atol=1e-9)


@drawn
@given(convolutions(), SEEDS)
def test_gradients_of_convolution_are_its_slopes(case, seed):
    image, kernel, attrs = case
    rng = np.random.default_rng(seed)
    operands = [rng.standard_normal(image), rng.standard_normal(kernel)]
    check_gradients("conv", operands, attrs, rng)


@drawn
@given(convolutions(), SEEDS)
def test_gradients_of_the_gradients_of_convolution_are_their_slopes(case, seed):
    image, kernel, attrs = case
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(image), rng.standard_normal(kernel)
    g = rng.standard_normal(run("conv", x, w, **attrs).shape)
    check_gradients("conv_input_grad", [g, w], {**attrs, "shape": image}, rng)
    check_gradients("conv_weight_grad", [x, g], {**attrs, "shape": kernel}, rng)


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_convolution_in_narrow_floats_is_near_that_in_f64(dtype):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 6, 6, 4)).astype(dtype)
    w = rng.standard_normal((3, 3, 4, 5)).astype(dtype)
    wide = run("conv", x.astype("f8"), w.astype("f8"), **PLAIN)
    np.testing.assert_allclose(run("conv", x, w, **PLAIN), wide, atol=40 * np.finfo(dtype).eps)


def test_the_weight_gradient_is_the_same_in_every_run():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((64, 12, 12, 20)).astype("f4")
    g = rng.standard_normal((64, 8, 8, 50)).astype("f4")
    runs = [run("conv_weight_grad", x, g, shape=(5, 5, 20, 50), **PLAIN) for _ in range(3)]
    assert runs[0].tobytes() == runs[1].tobytes() == runs[2].tobytes()


LARGE = {
    "conv": (["f32[64, 12, 12, 20]", "f32[5, 5, 20, 50]"], PLAIN),
    "conv_input_grad": (
        ["f32[64, 8, 8, 50]", "f32[5, 5, 20, 50]"],
        {**PLAIN, "shape": (64, 12, 12, 20)},
    ),
    "conv_weight_grad": (
        ["f32[64, 12, 12, 20]", "f32[64, 8, 8, 50]"],
        {**PLAIN, "shape": (5, 5, 20, 50)},
    ),
    "max_pool": (["f32[64, 24, 24, 20]"], HALVES),
    "max_pool_grad": (["f32[64, 24, 24, 20]", *["f32[64, 12, 12, 20]"] * 2], HALVES),
    "avg_pool": (["f32[64, 24, 24, 20]"], {**HALVES, "counted": NO_PADDING}),
    "avg_pool_grad": (
        ["f32[64, 12, 12, 20]"],
        {**HALVES, "counted": NO_PADDING, "shape": (64, 24, 24, 20)},
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_kernels_allocate_nothing_large_and_declare_a_few_megabytes(name):
    texts, attrs = LARGE[name]
    operands = [np.ones(parse_type(text).sizes, np.float32) for text in texts]
    outs, scratch, _ = prepare(name, operands, attrs)
    tracemalloc.start()
    OPS[name].kernel(outs, operands, attrs, scratch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256 << 10  # NumPy buffers up to 64 KiB where it aligns or casts
    assert scratch.nbytes < 4 << 20


def test_a_large_image_is_convolved_in_blocks_of_rows_within_a_few_megabytes():
    types = (parse_type("f32[8, 224, 224, 64]"), parse_type("f32[3, 3, 64, 64]"))
    attrs = {**PLAIN, "padding": ((1, 1), (1, 1))}
    assert OPS["conv"].scratch_bytes(types, OPS["conv"].infer(types, attrs), attrs) < 4 << 20


def test_the_work_of_convolution_is_two_operations_per_pixel_and_kernel_element():
    for name, (texts, attrs) in LARGE.items():
        if name.startswith("conv"):
            types = tuple(map(parse_type, texts))
            cost = OPS[name].cost(types, OPS[name].infer(types, attrs), attrs)
            assert cost.flops == 2 * (64 * 8 * 8 * 50) * (5 * 5 * 20)


@drawn
@given(poolings(), SEEDS)
def test_max_pooling_is_the_naive_loop(case, seed):
    image, attrs = case
    x = np.random.default_rng(seed).standard_normal(image)
    windows = naive_windows(x, **attrs)
    np.testing.assert_array_equal(run("max_pool", x, **attrs), np.nanmax(windows, axis=-2))


@drawn
@given(poolings(), st.booleans(), SEEDS)
def test_average_pooling_is_the_naive_loop(case, count_padding, seed):
    image, attrs = case
    x = np.random.default_rng(seed).standard_normal(image)
    windows = naive_windows(x, **attrs)
    mean = np.nan_to_num(windows).mean(axis=-2) if count_padding else np.nanmean(windows, axis=-2)
    pooled = run("avg_pool", x, **counting(attrs, count_padding))
    np.testing.assert_allclose(pooled, mean, atol=1e-12)


def counting(attrs, count_padding):
    none = ((0, 0),) * len(attrs["window"])
    return {**attrs, "counted": attrs["padding"] if count_padding else none}


def test_a_part_of_the_padding_may_count_in_the_mean():
    attrs = {"window": (3,), "stride": (2,), "padding": ((1, 2),), "dilation": (1,)}
    x = np.array([6.0, 6, 6, 6]).reshape(1, 4, 1)
    for counted, mean in ((((0, 0),), [6, 6, 6]), (((1, 2),), [4, 6, 2]), (((1, 1),), [4, 6, 3])):
        assert run("avg_pool", x, **attrs, counted=counted).ravel().tolist() == mean


@drawn
@given(poolings(), SEEDS)
def test_the_gradient_of_max_pooling_is_its_slope(case, seed):
    image, attrs = case
    rng = np.random.default_rng(seed)
    x = rng.permutation(int(np.prod(image))).astype("f8").reshape(image)  # no two are near
    check_gradients("max_pool", [x], attrs, rng)


@drawn
@given(poolings(), st.booleans(), SEEDS)
def test_gradients_of_average_pooling_and_of_its_gradient_are_their_slopes(case, counts, seed):
    image, attrs = case
    rng = np.random.default_rng(seed)
    attrs = counting(attrs, counts)
    x = rng.standard_normal(image)
    check_gradients("avg_pool", [x], attrs, rng)
    pooled = rng.standard_normal(run("avg_pool", x, **attrs).shape)
    check_gradients("avg_pool_grad", [pooled], {**attrs, "shape": image}, rng)


@pytest.mark.parametrize("stride", [(2, 2), (1, 2)])
def test_among_equal_maxima_the_first_of_the_window_gets_the_gradient(stride):
    x = np.zeros((1, 2, 4, 1))
    attrs = {**HALVES, "stride": stride}
    y = run("max_pool", x, **attrs)
    got = run("max_pool_grad", x, y, np.array([[[[3.0], [5.0]]]]), **attrs)
    assert got.reshape(2, 4).tolist() == [[3, 0, 5, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("stride", [(2, 2), (1, 1)])
def test_an_infinite_gradient_of_max_pooling_leaves_the_other_pixels_zero(stride):
    x = np.array([[1.0, 2.0], [4.0, 3.0]], "f4").reshape(1, 2, 2, 1)
    attrs = {**HALVES, "stride": stride}
    got = run("max_pool_grad", x, x[:, 1:, :1].copy(), np.full((1, 1, 1, 1), np.inf, "f4"), **attrs)
    assert got.ravel().tolist() == [0, 0, np.inf, 0]


def test_a_nan_in_a_window_makes_its_maximum_nan_and_takes_no_gradient():
    x = np.array([1.0, np.nan, 3.0, 2.0]).reshape(1, 2, 2, 1)
    y = run("max_pool", x, **HALVES)
    assert np.isnan(y).all()
    assert run("max_pool_grad", x, y, np.ones((1, 1, 1, 1)), **HALVES).ravel().tolist() == [0] * 4


def test_the_batch_may_be_symbolic():
    image, kernel = TensorType("f32", (symbol("batch"), 28, 28, 1)), parse_type("f32[5, 5, 1, 20]")
    (result,) = OPS["conv"].infer((image, kernel), PLAIN)
    (pooled,) = OPS["max_pool"].infer((result,), HALVES)
    (back,) = OPS["conv_input_grad"].infer((result, kernel), {**PLAIN, "shape": image.shape})
    assert str(result) == "f32[batch, 24, 24, 20]"
    assert str(pooled) == "f32[batch, 12, 12, 20]"
    assert back == image


REFUSED = [
    ("conv", "f32[8, 8, 3]", "f32[3, 3, 3, 4]", {}, 0, "[batch, height, width, channels]"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 4]", {}, 1, "[height, width, channels, filters]"),
    ("conv", "i32[2, 8, 8, 3]", "i32[3, 3, 3, 4]", {}, 0, "a float is needed"),
    ("conv", "f32[2, 8, 8, 3]", "f64[3, 3, 3, 4]", {}, 1, "f32 is needed"),
    ("conv", "f32[2, n, 8, 3]", "f32[3, 3, 3, 4]", {}, 0, "a known height, not `n`"),
    ("conv", "f32[2, 8, n, 3]", "f32[3, 3, 3, 4]", {}, 0, "a known width, not `n`"),
    ("conv", "f32[2, 8, 8, n]", "f32[3, 3, 3, 4]", {}, 0, "a known number of channels"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 3, n]", {}, 1, "a known number of filters"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 2, 4]", {}, 1, "needs 3 channels along axis 2"),
    ("conv", "f32[2, 8, 8, 6]", "f32[3, 3, 6, 4]", {"groups": 2}, 1, "in 2 groups"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 3, 4]", {"groups": 2}, None, "divide evenly, not 3"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 3, 4]", {"groups": 0}, None, "groups of at least 1"),
    ("conv", "f32[2, 4, 8, 3]", "f32[5, 3, 3, 4]", {}, 0, "a height of at least 5"),
    ("conv", "f32[2, 8, 2, 3]", "f32[3, 3, 3, 4]", {"dilation": (1, 2)}, 0, "that spans 5"),
    ("conv", "f32[2, 0, 8, 3]", "f32[3, 3, 3, 4]", {}, 0, "a height of at least 1"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 3, 4]", {"stride": (0, 1)}, None, "stride of 2"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 3, 4]", {"padding": (1, 1)}, None, "width before"),
    ("conv", "f32[2, 8, 8, 3]", "f32[3, 3, 3, 4]", {"dilation": 2}, None, "dilation of 2"),
    (
        "conv_input_grad",
        "f32[2, 8, 8, 4]",
        "f32[3, 3, 3, 4]",
        {"shape": (2, 8, 8, 3)},
        0,
        "needs the shape f32[2, 6, 6, 4]",
    ),
    (
        "conv_weight_grad",
        "f32[2, 8, 8, 3]",
        "f32[2, 8, 8, 4]",
        {"shape": (3, 3, 3, 4)},
        1,
        "needs the shape f32[2, 6, 6, 4]",
    ),
]


@pytest.mark.parametrize("name, first, second, given_attrs, operand, words", REFUSED)
def test_convolution_refuses_what_does_not_fit(name, first, second, given_attrs, operand, words):
    with pytest.raises(Reject) as refusal:
        OPS[name].infer((parse_type(first), parse_type(second)), {**PLAIN, **given_attrs})
    assert words in refusal.value.message
    assert refusal.value.operand == operand


@pytest.mark.parametrize(
    "image, given_attrs, words",
    [
        ("f32[2, 8, 8]", {}, "[batch, height, width, channels]"),
        ("i32[2, 8, 8, 3]", {}, "a float is needed"),
        ("f32[2, 1, 8, 3]", {}, "a height of at least 2"),
        ("f32[2, 8, 8, 3]", {"window": (0, 2)}, "window of 2 integers"),
        ("f32[2, 8, 8, 3]", {"stride": None}, "stride of one to three integers"),
        ("f32[2, 8, 8, 3]", {"padding": ((2, 0), (0, 0))}, "smaller than the window of 2"),
    ],
)
@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
def test_pooling_refuses_what_does_not_fit(name, image, given_attrs, words):
    attrs = {**HALVES, "counted": NO_PADDING, **given_attrs}
    with pytest.raises(Reject) as refusal:
        OPS[name].infer((parse_type(image),), attrs)
    assert words in refusal.value.message


def test_gradients_of_pooling_refuse_results_of_another_shape():
    x, y = parse_type("f32[2, 8, 8, 3]"), parse_type("f32[2, 4, 4, 3]")
    with pytest.raises(Reject, match=r"needs the type f32\[2, 4, 4, 3\]"):
        OPS["max_pool_grad"].infer((x, y, x), HALVES)
    attrs = {**HALVES, "counted": NO_PADDING, "shape": x.shape}
    with pytest.raises(Reject, match=r"needs the type f32\[2, 4, 4, 3\]"):
        OPS["avg_pool_grad"].infer((x,), attrs)


def test_means_of_f16_are_summed_in_f32():
    """A sum of 3600 in f16 stays at 2048; of 40 000 it is infinite."""
    x = np.ones((2, 60, 60, 3), np.float16)
    settings = {"stride": (1, 1), "padding": NO_PADDING, "dilation": (1, 1), "counted": NO_PADDING}
    assert (run("avg_pool", x, window=(60, 60), **settings) == 1).all()
    assert (run("avg_pool", x * 4000, window=(20, 20), **settings) == 4000).all()
