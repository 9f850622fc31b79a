"""Kernels of the catalog: agreement with plain NumPy, edge cases, and data that they refuse."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import BadValue
from flowc_runtime.types import DTYPES, TensorType

NAMES = {info.storage: name for name, info in DTYPES.items()}  # uint16 is bf16


def run(op: str, *operands: Any, **attrs: Any) -> np.ndarray:
    """The op's only result, for operands given as arrays."""
    ins = [np.asarray(x) for x in operands]
    types = tuple(TensorType(NAMES[x.dtype], x.shape) for x in ins)
    (result,) = CATALOG[op].infer(types, attrs)
    out = np.empty(result.sizes, result.storage)
    scratch = np.empty(CATALOG[op].scratch_bytes(types, (result,), attrs), np.uint8)
    with np.errstate(all="ignore"):
        CATALOG[op].kernel([out], ins, attrs, scratch)
    return out


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(*shape: int, below: int = 9, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, below, shape).astype(np.int32)


X, Y, ROW = floats(6, 5), floats(6, 5, seed=1), floats(5, seed=2)
CUBE, MASK = floats(3, 4, 5), floats(6, 5, seed=3) > 0
INDEX = whole(4, 2, below=6)
REDUCE = {"axes": (0, 2), "keep": True}
TURNED = {"transpose_a": True, "transpose_b": True}
BOUNDS = {"starts": (5, 1), "stops": (-1, 4), "steps": (-2, 1)}


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "expected"),
    [
        ("neg", [X], {}, -X),
        ("rsqrt", [abs(X)], {}, 1 / np.sqrt(abs(X))),
        ("round", [np.array([0.5, 1.5, -0.5, 2.4])], {}, np.array([0.0, 2.0, -0.0, 2.0])),
        ("is_finite", [np.array([1, np.inf, np.nan])], {}, np.array([True, False, False])),
        ("sub", [X, ROW], {}, X - ROW),
        ("pow", [X, np.float32(2)], {}, X * X),
        ("pow", [abs(X), Y], {}, abs(X) ** Y),
        ("pow", [whole(6), np.int32(3)], {}, whole(6) ** 3),
        ("maximum", [X, Y], {}, np.maximum(X, Y)),
        ("floor_div", [whole(5) - 4, np.int32(3)], {}, (whole(5) - 4) // 3),
        ("remainder", [X, Y], {}, X % Y),
        ("greater_equal", [X, ROW], {}, X >= ROW),
        ("where", [MASK, X, Y], {}, np.where(MASK, X, Y)),
        ("where", [MASK, X, np.float32(0)], {}, np.where(MASK, X, np.float32(0))),
        ("where", [MASK[0], MASK, ~MASK], {}, np.where(MASK[0], MASK, ~MASK)),
        ("cast", [X], {"dtype": "f16"}, X.astype(np.float16)),
        ("cast", [X * 5], {"dtype": "i32"}, (X * 5).astype(np.int32)),
        ("cast", [MASK], {"dtype": "f32"}, MASK.astype(np.float32)),
        ("reduce_sum", [CUBE], REDUCE, CUBE.sum((0, 2), keepdims=True)),
        ("reduce_max", [CUBE], REDUCE, CUBE.max((0, 2), keepdims=True)),
        ("reduce_min", [CUBE], REDUCE, CUBE.min((0, 2), keepdims=True)),
        ("reduce_prod", [CUBE], REDUCE, CUBE.prod((0, 2), keepdims=True)),
        ("reduce_any", [MASK], {"axes": (1,), "keep": False}, MASK.any(1)),
        ("reduce_all", [MASK], {"axes": (), "keep": False}, MASK),
        ("reduce_sum", [floats(0, 3)], {"axes": (0,), "keep": False}, np.zeros(3, np.float32)),
        ("argmax", [CUBE], {"axis": 1}, CUBE.argmax(1).astype(np.int32)),
        ("argmin", [X], {"axis": 1}, X.argmin(1).astype(np.int32)),
        ("argmax", [np.zeros((2, 3))], {"axis": 1}, np.zeros(2, np.int32)),
        ("cumsum", [X], {"axis": 0, "reverse": False}, X.cumsum(0)),
        ("cumsum", [X], {"axis": 1, "reverse": True}, X[:, ::-1].cumsum(1)[:, ::-1]),
        ("matmul", [X.T.copy(), Y], TURNED, X @ Y.T),
        ("transpose", [CUBE], {"perm": (2, 0, 1)}, CUBE.transpose(2, 0, 1)),
        ("broadcast", [ROW], {"shape": (2, 5)}, np.stack([ROW, ROW])),
        ("concat", [X, Y], {"axis": 1}, np.concatenate([X, Y], 1)),
        (
            "pad",
            [X],
            {"before": (1, 0), "after": (0, 2), "value": 2.5},
            np.pad(X, ((1, 0), (0, 2)), constant_values=2.5),
        ),
        ("slice", [X], BOUNDS, X[5::-2, 1:4]),
        (
            "iota",
            [],
            {"shape": (2, 9000), "axis": 1, "dtype": "i32"},
            np.stack([np.arange(9000, dtype=np.int32)] * 2),
        ),
        ("gather", [X, INDEX], {}, X[INDEX]),
        ("gather", [ROW, np.uint8(3)], {}, ROW[3]),
        ("take_along", [X, INDEX.reshape(-1)[:6] % 5], {}, X[range(6), INDEX.reshape(-1)[:6] % 5]),
    ],
)
def test_a_kernel_agrees_with_plain_numpy(
    op: str, operands: list[np.ndarray], attrs: dict[str, Any], expected: np.ndarray
) -> None:
    found = run(op, *operands, **attrs)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_unslice_writes_into_zeros() -> None:
    expected = np.zeros((6, 5), np.float32)
    expected[5::-2, 1:4] = X[:3, :3]
    assert np.array_equal(run("unslice", X[:3, :3].copy(), shape=(6, 5), **BOUNDS), expected)


@pytest.mark.parametrize(("rows", "columns"), [(7, 3), (5000, 3), (3, 9000), (3, 1)])
def test_scatter_add_sums_rows_of_equal_index(rows: int, columns: int) -> None:
    index, updates = whole(40, below=rows), floats(40, columns)
    expected = np.zeros((rows, columns), np.float32)
    np.add.at(expected, index, updates)
    np.testing.assert_allclose(run("scatter_add", index, updates, rows=rows), expected, rtol=1e-6)


def test_put_along_sets_one_element_of_each_row() -> None:
    expected = np.array([[0, 0, 5], [6, 0, 0]], np.float32)
    found = run("put_along", np.array([2, 0], np.int32), np.array([5, 6], np.float32), size=3)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("rows", "columns"), [(8192, 32), (97, 3), (36, 600), (1, 5), (0, 5)])
@pytest.mark.parametrize("op", ["reduce_sum", "reduce_prod"])
def test_a_sum_over_many_short_rows_is_that_of_numpy(op: str, rows: int, columns: int) -> None:
    x = 1 + floats(rows, columns) / 1000
    plain = {"reduce_sum": np.sum, "reduce_prod": np.prod}[op]
    expected = plain(x.astype(np.float64), axis=0)
    np.testing.assert_allclose(run(op, x, axes=(0,), keep=False), expected, rtol=1e-4)


def test_f16_is_summed_in_f32() -> None:
    assert run("reduce_sum", np.full((5000, 1), 1, np.float16), axes=(0,), keep=False) == [5000]


@pytest.mark.parametrize(
    ("dtype", "error"), [(np.float32, 1e-7), (np.float64, 1e-15), (np.float16, 5e-4)]
)
def test_erf_is_accurate_and_ends_at_one(dtype: Any, error: float) -> None:
    x = np.linspace(-8, 8, 50_001).astype(dtype)
    expected = np.array([math.erf(v) for v in x.tolist()])
    found = run("erf", x)
    assert np.abs(found - expected).max() < error
    assert found[0] == -1 and found[-1] == 1


def test_erf_keeps_what_is_special() -> None:
    found = run("erf", np.array([np.nan, np.inf, -np.inf, 0.0]))
    assert np.isnan(found[0])
    assert found[1:].tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("number", "bits"),
    [
        (1.0, 0x3F80),
        (1.0 + 2**-8, 0x3F80),  # halfway: to the even one, below
        (1.0 + 3 * 2**-8, 0x3F82),  # halfway: to the even one, above
        (1.0 + 2**-8 + 2**-20, 0x3F81),
        (-2.0, 0xC000),
        (math.inf, 0x7F80),
        (3.4e38, 0x7F80),  # rounds up to infinity
        (math.nan, 0x7FC0),
    ],
)
def test_bf16_rounds_to_nearest_and_ties_to_even(number: float, bits: int) -> None:
    assert run("cast", np.float32(number), dtype="bf16") == bits


def test_every_bf16_survives_the_way_to_f32_and_back() -> None:
    every = np.arange(0x10000, dtype=np.uint16)
    numbers = run("cast", every, dtype="f32")
    finite = ~np.isnan(numbers)
    assert np.array_equal(run("cast", numbers, dtype="bf16")[finite], every[finite])
    assert np.isnan(run("cast", every, dtype="f64")[~finite]).all()


def test_where_passes_over_what_was_not_chosen_even_nan() -> None:
    spoilt = np.array([np.nan, np.inf, 2.0])
    assert run("where", np.array([False, False, True]), spoilt, 0.0).tolist() == [0, 0, 2]
    assert run("where", np.array([True, True, False]), 0.5, spoilt).tolist() == [0.5, 0.5, 2]


def test_where_keeps_the_sign_of_zero() -> None:
    found = run("where", np.array([False]), np.array([1.0]), np.array([-0.0]))
    assert np.signbit(found).tolist() == [True]


def test_a_division_of_floats_by_zero_follows_ieee() -> None:
    assert run("div", np.array([1.0, -1.0]), 0.0).tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (
            "floor_div of integers by 0",
            lambda: run("floor_div", np.int32([4, 5]), np.int32([1, 0])),
        ),
        ("remainder of integers by 0", lambda: run("remainder", np.uint8([4]), np.uint8(0))),
        ("has no power -2", lambda: run("pow", np.int32([4]), np.int32(-2))),
        ("index 12 is outside 0..9", lambda: run("gather", floats(10, 3), np.int32([0, 12]))),
        ("index -1 is outside 0..9", lambda: run("gather", floats(10), np.int64(-1))),
        (
            "index 3 is outside an axis without elements",
            lambda: run("gather", floats(0), np.int64(3)),
        ),
        (
            "index 7 is outside 0..5",
            lambda: run("scatter_add", np.int32([7]), floats(1, 2), rows=6),
        ),
        ("index 4 is outside 0..2", lambda: run("take_along", floats(1, 3), np.int32([4]))),
        ("index 4 is outside 0..2", lambda: run("put_along", np.int32([4]), floats(1), size=3)),
    ],
)
def test_a_kernel_refuses_data_that_has_no_meaning(
    message: str, call: Callable[[], np.ndarray]
) -> None:
    with pytest.raises(BadValue, match=message.replace(".", r"\.")):
        call()


def test_an_extreme_of_no_elements_is_refused_when_only_the_data_shows_it() -> None:
    attrs = {"axes": (0,), "keep": False}
    with pytest.raises(BadValue, match="no elements"):
        CATALOG["reduce_max"].kernel(
            [np.empty(3)], [np.empty((0, 3))], attrs, np.empty(0, np.uint8)
        )
    with pytest.raises(BadValue, match="no elements"):
        CATALOG["argmax"].kernel(
            [np.empty(3, np.int32)], [np.empty((0, 3))], {"axis": 0}, np.empty(24, np.uint8)
        )


def test_a_slice_beyond_a_size_that_was_symbolic_is_refused() -> None:
    attrs = {"starts": (1,), "stops": (9,), "steps": (1,)}
    with pytest.raises(BadValue, match="does not lie inside"):
        CATALOG["slice"].kernel([np.empty(8)], [np.empty(5)], attrs, np.empty(0, np.uint8))
