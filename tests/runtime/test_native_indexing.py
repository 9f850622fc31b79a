"""Machine code of indices and of random numbers gives NumPy's bits, and refuses what NumPy does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_runs import assert_same_bits, by_numpy, natively, share_all
from programs import plan_of

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output
from flowc.graph.scan import emit_scan
from flowc_runtime.device import ExecutionError
from flowc_runtime.executor import Session
from flowc_runtime.types import TensorType, parse_type

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from flowc_runtime import kept
from flowc_runtime.native import NativeDevice

SIZES = st.lists(st.sampled_from((1, 2, 3, 17, 33)), max_size=2)
SIZE = st.sampled_from((1, 2, 5, 40))
INDICES = st.sampled_from(("i32", "i64"))
Operands = list[tuple[str, np.ndarray]]  # dtypes and values


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path)
    share_all(monkeypatch)


def graph_of(op: str, operands: Operands, attrs: dict[str, Any]) -> Graph:
    b = Builder()
    values = [
        b.input(f"x{k}", TensorType(dtype, a.shape)) for k, (dtype, a) in enumerate(operands)]
    return b.finish([Output("y", b(op, *values, **attrs).ref)])


def inputs_of(operands: Operands) -> dict[str, np.ndarray]:
    return {f"x{k}": a for k, (_, a) in enumerate(operands)}


def compared(op: str, operands: Operands, attrs: dict[str, Any]) -> None:
    graph, inputs = graph_of(op, operands, attrs), inputs_of(operands)
    assert NativeDevice().runs_on(plan_of(graph, "step").programs["step"]) == ("native",)
    assert_same_bits(natively(graph, inputs), by_numpy(graph, inputs))


def numbers(draw: st.DrawFn, dtype: str, sizes: list[int]) -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return dtype, (100 * rng.standard_normal(sizes)).astype(TensorType(dtype, ()).storage)


def indices(draw: st.DrawFn, sizes: list[int], size: int) -> tuple[str, np.ndarray]:
    dtype, rng = draw(INDICES), np.random.default_rng(draw(st.integers(0, 99)))
    return dtype, rng.integers(0, size, sizes).astype(TensorType(dtype, ()).storage)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Operands, dict[str, Any]]:
    op = draw(st.sampled_from(("gather", "scatter_add", "take_along", "put_along")))
    sizes, size, row = draw(SIZES), draw(SIZE), draw(SIZES)
    index = indices(draw, sizes, size)
    moved = draw(st.sampled_from(("f32", "f64", "i32", "u8", "bool")))
    match op:
        case "gather":
            return op, [numbers(draw, moved, [size, *row]), index], {}
        case "scatter_add":
            summed = draw(st.sampled_from(("f32", "f64")))
            return op, [index, numbers(draw, summed, [*sizes, *row])], {"rows": size}
        case "take_along":
            return op, [numbers(draw, moved, [*sizes, size]), index], {}
    return op, [index, numbers(draw, moved, sizes)], {"size": size}


def test_any_indices_do_what_they_do_with_numpy() -> None:
    @settings(max_examples=100, deadline=None)
    @given(cases())
    def check(case: tuple[str, Operands, dict[str, Any]]) -> None:
        compared(*case)

    check()


@pytest.mark.parametrize("value", [-1, 4, 1 << 40, -(1 << 40)])
@pytest.mark.parametrize("op", ["gather", "scatter_add", "take_along", "put_along"])
def test_an_index_outside_is_refused_in_numpys_words(op: str, value: int) -> None:
    index = np.zeros(37, np.int64)
    index[20] = value
    x = np.ones((4, 5), np.float32)
    operands: Operands = {
        "gather": [("f32", x), ("i64", index)],
        "scatter_add": [("i64", index), ("f32", np.ones((37, 5), np.float32))],
        "take_along": [("f32", np.ones((37, 4), np.float32)), ("i64", index)],
        "put_along": [("i64", index), ("f32", np.ones(37, np.float32))],
    }[op]
    attrs = {"scatter_add": {"rows": 4}, "put_along": {"size": 4}}.get(op, {})
    graph, inputs = graph_of(op, operands, attrs), inputs_of(operands)
    with pytest.raises(ExecutionError) as wanted:
        by_numpy(graph, inputs)
    with pytest.raises(ExecutionError) as found:
        natively(graph, inputs)
    assert str(found.value) == str(wanted.value) and str(value) in str(found.value)


def test_a_run_is_refused_for_each_bad_index_and_then_goes_on() -> None:
    index = np.array([0, 1], np.int32)
    operands: Operands = [("f32", np.ones((4, 5), np.float32)), ("i32", index)]
    session = Session(plan_of(graph_of("gather", operands, {}), "step"), 2, NativeDevice())
    for bad in (9, 0, 7, 1):
        views = session.inputs("step")
        views["x0"][...], views["x1"][...] = 1, bad
        if bad > 3:
            with pytest.raises(ExecutionError, match=f"index {bad} "):
                session.run("step")
        else:
            assert (session.run("step")["y"] == 1).all()


def test_an_index_outside_in_a_round_of_a_scan_is_refused() -> None:
    b, body = Builder(), Builder()
    xs, table = b.input("xs", parse_type("i32[6, 3]")), b.input("table", parse_type("f32[4, 2]"))
    x, seen = body.input("x0", parse_type("i32[3]")), body.input("k0", parse_type("f32[4, 2]"))
    inside = body.finish([Output("y0", body("gather", seen, x).ref)])
    (result,) = emit_scan(b, [xs], [], [table], inside, axes=(0,), yield_axes=(0,), length=6)
    graph = b.finish([Output("y", result.ref)])
    inputs = {"xs": np.ones((6, 3), np.int32), "table": np.ones((4, 2), np.float32)}
    assert_same_bits(natively(graph, inputs), by_numpy(graph, inputs))
    inputs["xs"][4, 1] = 4
    with pytest.raises(ExecutionError, match="index 4 is outside"):
        natively(graph, inputs)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape", [(), (3,), (8,), (4, 33), (1001,)])
@pytest.mark.parametrize("seed, step", [(0, 0), (-1, 1 << 40), (42, -7)])
def test_random_numbers_are_those_of_numpy(
    shape: tuple[int, ...], dtype: str, seed: int, step: int
) -> None:
    attrs = {"shape": shape, "dtype": dtype, "stream": (1 << 64) - 3}
    operands: Operands = [("i64", np.array(seed)), ("i64", np.array(step))]
    compared("random_uniform", operands, attrs)
