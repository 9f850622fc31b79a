"""Random values against the published algorithm in plain Python, and orthogonal matrices."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowc_runtime.dims import symbol
from flowc_runtime.ops import linalg, random
from flowc_runtime.ops.op import Reject
from flowc_runtime.types import TensorType, parse_type

OPS = {op.name: op for op in (*random.OPS, *linalg.OPS)}
SCALAR = TensorType("i64")
WORD = 1 << 64
I64 = st.integers(-(2**63), 2**63 - 1)
STREAMS = st.integers(0, 2**64 - 1)
drawn = settings(max_examples=60, deadline=None)


def values(name, seed, step, shape, dtype="f32", stream=0):
    attrs = {"shape": shape, "dtype": dtype, "stream": stream}
    (result,) = OPS[name].infer((SCALAR, SCALAR), attrs)
    size = OPS[name].scratch_bytes((SCALAR, SCALAR), (result,), attrs)
    out = np.full(result.sizes, np.nan, result.storage)
    scratch = np.full(size, 0xFF, np.uint8)
    OPS[name].kernel([out], [np.array(seed), np.array(step)], attrs, scratch)
    return out


def philox(counter, key):
    """Philox4x64-10 of Salmon et al., 2011: four words of 64 bits."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [b >> 64 ^ c[1] ^ k[0], b % WORD, a >> 64 ^ c[3] ^ k[1], a % WORD]
        k = [(k[0] + 0x9E3779B97F4A7C15) % WORD, (k[1] + 0xBB67AE8584CAA73B) % WORD]
    return c


def word(j, seed, stream, step):
    """Word j of the definition in the module `random`."""
    return philox((1 + j // 4, 0, 0, step % WORD), (seed % WORD, stream))[j % 4]


def uniform_f64(i, seed, stream, step):
    return (word(i, seed, stream, step) >> 11) * 2.0**-53


def uniform_f32(i, seed, stream, step):
    half = word(i // 2, seed, stream, step) >> (32 * (i % 2)) & 0xFFFFFFFF
    return (half >> 8) * 2.0**-24


def normal(i, seed, stream, step):
    u, v = (uniform_f64(i // 2 * 2 + k, seed, stream, step) for k in (0, 1))
    wave = math.sin if i % 2 else math.cos
    return math.sqrt(-2 * math.log(1 - u)) * wave(2 * math.pi * v)


@pytest.mark.parametrize(
    "counter, key, words",
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
        ),
        (
            (WORD - 1,) * 4,
            (WORD - 1,) * 2,
            (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
        ),
    ],
)
def test_the_philox_of_these_tests_gives_the_words_its_authors_published(counter, key, words):
    assert tuple(philox(counter, key)) == words


@drawn
@given(I64, I64, STREAMS, st.integers(0, 40))
def test_uniform_values_are_the_documented_bits_of_philox(seed, step, stream, size):
    f64 = values("random_uniform", seed, step, (size,), "f64", stream)
    f32 = values("random_uniform", seed, step, (size,), "f32", stream)
    assert f64.tolist() == [uniform_f64(i, seed, stream, step) for i in range(size)]
    assert f32.tolist() == [uniform_f32(i, seed, stream, step) for i in range(size)]


@drawn
@given(I64, I64, STREAMS, st.integers(0, 40))
def test_normal_values_are_box_muller_of_the_uniform_ones(seed, step, stream, size):
    expected = [normal(i, seed, stream, step) for i in range(size)]
    f64 = values("random_normal", seed, step, (size,), "f64", stream)
    f32 = values("random_normal", seed, step, (size,), "f32", stream)
    np.testing.assert_allclose(f64, expected, rtol=1e-13, atol=1e-13)
    assert (f32 == f64.astype("f4")).all()


@pytest.mark.parametrize("name", ["random_uniform", "random_normal"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_value_does_not_depend_on_how_many_follow(name, dtype):
    block = 2 * random.BLOCK_PAIRS
    whole = values(name, 5, 6, (3 * block + 7,), dtype)
    for size in (1, 2, 7, 1000, block - 1, block, block + 1, 2 * block + 3):
        assert values(name, 5, 6, (size,), dtype).tobytes() == whole[:size].tobytes()


@pytest.mark.parametrize("name", ["random_uniform", "random_normal"])
def test_another_seed_step_or_stream_gives_other_values(name):
    changed = [(1, 2, 3), (2, 2, 3), (-1, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3), (3, 2, 1)]
    seen = {values(name, seed, step, (8,), stream=s).tobytes() for seed, step, s in changed}
    assert len(seen) == len(changed)


def test_uniform_values_fill_the_interval_evenly():
    for dtype in ("f32", "f64"):
        x = values("random_uniform", 1, 2, (400, 500), dtype).astype("f8")
        counts = np.histogram(x, 100, (0, 1))[0]
        assert x.min() >= 0 and x.max() < 1
        assert ((counts - 2000) ** 2 / 2000).sum() < 160  # chi square, 99 degrees: p = 1e-4


def test_normal_values_have_the_moments_of_the_normal_distribution():
    x = values("random_normal", 1, 2, (400, 500), "f64")
    moments = [float((x**k).mean()) for k in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.05)
    assert abs(np.corrcoef(x[:, ::2].ravel(), x[:, 1::2].ravel())[0, 1]) < 0.02


def test_a_scalar_is_the_first_value_and_an_empty_tensor_has_none():
    assert values("random_normal", 1, 2, ()) == values("random_normal", 1, 2, (3,))[0]
    assert values("random_uniform", 1, 2, (0, 4)).shape == (0, 4)


def test_no_operation_allocates_anything_large():
    attrs = {"shape": (1000, 1000), "dtype": "f32", "stream": 1}
    out, scratch = np.empty((1000, 1000), "f4"), np.empty(1 << 20, np.uint8)
    for name in ("random_uniform", "random_normal"):
        tracemalloc.start()
        OPS[name].kernel([out], [np.array(1), np.array(2)], attrs, scratch)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 160 << 10
        result = OPS[name].infer((SCALAR, SCALAR), attrs)
        assert OPS[name].scratch_bytes((SCALAR, SCALAR), result, attrs) <= scratch.nbytes


def test_the_stream_of_a_path_is_the_start_of_its_sha256():
    assert random.stream_of("") == 0xE3B0C44298FC1C14 >> 1
    assert 0 <= random.stream_of("model.block.dropout") < 1 << 63
    assert random.stream_of("a.dropout") != random.stream_of("b.dropout")


def test_the_shape_of_random_values_may_be_symbolic():
    attrs = {"shape": (symbol("batch"), 4), "dtype": "f32", "stream": 0}
    assert str(OPS["random_normal"].infer((SCALAR, SCALAR), attrs)[0]) == "f32[batch, 4]"


@pytest.mark.parametrize(
    "types, given_attrs, words",
    [
        (("i32[]", "i64[]"), {}, "needs the type i64[]"),
        (("i64[]", "i64[1]"), {}, "needs the type i64[]"),
        (("i64[]", "i64[]"), {"dtype": "f16"}, "f32 or f64, not f16"),
        (("i64[]", "i64[]"), {"stream": -1}, "a stream from 0"),
        (("i64[]", "i64[]"), {"stream": WORD}, "a stream from 0"),
    ],
)
def test_random_values_refuse_what_they_cannot_be(types, given_attrs, words):
    attrs = {"shape": (2,), "dtype": "f32", "stream": 0, **given_attrs}
    with pytest.raises(Reject) as refusal:
        OPS["random_uniform"].infer(tuple(map(parse_type, types)), attrs)
    assert words in refusal.value.message


def orthogonal(x):
    out = np.full_like(x, np.nan)
    OPS["orthogonalize"].kernel([out], [x], {}, np.empty(0, np.uint8))
    return out


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (1, 3), (3, 1), (0, 3), (3, 0)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_orthogonalize_makes_the_fewer_of_rows_and_columns_orthonormal(shape, dtype):
    q = orthogonal(np.random.default_rng(0).standard_normal(shape).astype(dtype))
    product = q.T @ q if shape[0] >= shape[1] else q @ q.T
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_the_triangular_factor_of_orthogonalize_has_a_positive_diagonal(shape):
    x = np.random.default_rng(1).standard_normal(shape)
    q = orthogonal(x)
    r = q.T @ x if shape[0] >= shape[1] else q @ x.T
    assert (np.diagonal(r) > 0).all()
    np.testing.assert_allclose(r, np.triu(r), atol=1e-12)


@pytest.mark.parametrize("text", ["f32[3]", "i32[3, 3]", "f16[3, 3]"])
def test_orthogonalize_refuses_all_but_float_matrices(text):
    with pytest.raises(Reject):
        OPS["orthogonalize"].infer((parse_type(text),), {})
