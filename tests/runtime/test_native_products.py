"""Machine code of matrix products, and of sums, computes what NumPy does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_runs import Way, by_numpy, natively, share_all

from flowc.graph.builder import Builder
from flowc.graph.graph import Output
from flowc_runtime.types import TensorType

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from flowc_runtime import kept
from flowc_runtime.native.products import DEPTH

SIZES = (1, 2, 3, 4, 5, 7, 16, 17, 33, 66)  # ragged, whole vectors, more than a tile
BATCHES = (((), ()), ((3,), ()), ((), (2,)), ((2,), (2,)), ((2, 3), (1, 3)), ((1, 2), (3, 1)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path)
    share_all(monkeypatch)


def multiplied(
    a: np.ndarray, b: np.ndarray, turned: tuple[bool, bool], run: Way
) -> np.ndarray:
    builder = Builder()
    x, y = (builder.input(n, TensorType("f32", v.shape)) for n, v in (("a", a), ("b", b)))
    result = builder("matmul", x, y, transpose_a=turned[0], transpose_b=turned[1])
    graph = builder.finish([Output("c", result.ref)])
    found: np.ndarray = run(graph, {"a": a, "b": b})["c"]
    return found


def compared(
    batch: tuple[tuple[int, ...], tuple[int, ...]], sizes: tuple[int, int, int],
    turned: tuple[bool, bool],
) -> None:
    rows, depth, columns = sizes
    rng = np.random.default_rng(rows + 10 * depth + 100 * columns)
    left = (depth, rows) if turned[0] else (rows, depth)
    right = (columns, depth) if turned[1] else (depth, columns)
    a, b = (
        rng.uniform(-1, 1, (*lead, *matrix)).astype(np.float32)
        for lead, matrix in zip(batch, (left, right), strict=True))
    found, wanted = (multiplied(a, b, turned, run) for run in (natively, by_numpy))
    np.testing.assert_allclose(found, wanted, 1e-5, 2e-6 * depth**0.5)


def test_any_product_is_what_numpy_computes() -> None:
    size, flag = st.sampled_from(SIZES), st.booleans()

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(BATCHES), st.tuples(size, size, size), st.tuples(flag, flag))
    def check(
        batch: tuple[tuple[int, ...], tuple[int, ...]], sizes: tuple[int, int, int],
        turned: tuple[bool, bool],
    ) -> None:
        compared(batch, sizes, turned)

    check()


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_a_long_sum_goes_on_from_block_to_block(turned: tuple[bool, bool]) -> None:
    compared(((), ()), (9, 2 * DEPTH + 7, 21), turned)


def test_a_row_gives_the_same_bits_whatever_is_beside_it() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(13, 300)).astype(np.float32)
    b = rng.normal(size=(300, 37)).astype(np.float32)
    together = multiplied(a, b, (False, False), natively)
    for k, row in enumerate(a):
        alone = multiplied(row[None], b, (False, False), natively)
        np.testing.assert_array_equal(alone[0], together[k])


@pytest.mark.parametrize(
    "shape", [(1, 5), (7, 2), (300, 37), (3, 400, 66), (2, 5, 9, 130), (600, 1)])
@pytest.mark.parametrize("keep", [False, True])
def test_sums_over_the_first_axes(shape: tuple[int, ...], keep: bool) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    for count in range(1, len(shape) + 1):
        builder = Builder()
        value = builder.input("x", TensorType("f32", shape))
        total = builder("reduce_sum", value, axes=tuple(range(count)), keep=keep)
        graph = builder.finish([Output("y", total.ref)])
        found, wanted = (run(graph, {"x": x})["y"] for run in (natively, by_numpy))
        terms = int(np.prod(shape[:count]))
        np.testing.assert_allclose(found, wanted, 1e-5, 2e-6 * terms**0.5)


def test_a_long_sum_keeps_its_last_places() -> None:
    """Row by row the error is a hundred times as large: 1 % of a million times 0.1."""
    x = np.full((1_000_000, 4), 0.1, np.float32)
    builder = Builder()
    value = builder.input("x", TensorType("f32", x.shape))
    total = builder("reduce_sum", value, axes=(0,), keep=False)
    graph = builder.finish([Output("y", total.ref)])
    found = natively(graph, {"x": x})["y"]
    np.testing.assert_allclose(found, x.sum(0, dtype=np.float64), rtol=1e-4)
