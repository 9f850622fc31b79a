"""Machine code of what only moves data puts every element where NumPy does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_runs import by_numpy, natively, share_all

from flowc.graph.builder import Builder
from flowc.graph.graph import Output
from flowc.graph.scan import emit_scan
from flowc_runtime.types import TensorType, parse_type

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from flowc_runtime import kept
from flowc_runtime.moves import Move, move_of, unreal

SIZES = st.lists(st.sampled_from((1, 2, 3, 17, 33)), max_size=4)
DTYPES = st.sampled_from(("f32", "i32", "i64", "u8", "bool", "f64", "bf16"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path)
    share_all(monkeypatch)


def compared(op: str, arrays: list[np.ndarray], dtype: str, attrs: dict[str, Any]) -> None:
    b = Builder()
    names = [f"x{k}" for k in range(len(arrays))]
    values = [
        b.input(n, TensorType(dtype, a.shape)) for n, a in zip(names, arrays, strict=True)]
    graph = b.finish([Output("y", b(op, *values, **attrs).ref)])
    inputs = dict(zip(names, arrays, strict=True))
    found, wanted = (run(graph, inputs)["y"] for run in (natively, by_numpy))
    np.testing.assert_array_equal(found, wanted)


def numbered(sizes: list[int], dtype: str) -> np.ndarray:
    type = TensorType(dtype, tuple(sizes))
    count = np.arange(int(np.prod(sizes))).reshape(sizes)
    return (count % 2 if dtype == "bool" else count % 251).astype(type.storage)


@st.composite
def moves(draw: st.DrawFn) -> tuple[str, list[np.ndarray], str, dict[str, Any]]:
    sizes, dtype = draw(SIZES), draw(DTYPES)
    x = numbered(sizes, dtype)
    ops = ("transpose", "slice", "unslice", "broadcast", *(["concat"] if sizes else []))
    op = draw(st.sampled_from(ops))
    if op == "transpose":
        return op, [x], dtype, {"perm": tuple(draw(st.permutations(range(len(sizes)))))}
    if op == "broadcast":
        few = [draw(st.sampled_from((1, n))) for n in sizes]
        return op, [numbered(few, dtype)], dtype, {"shape": tuple(sizes)}
    if op == "concat":
        axis = draw(st.integers(0, len(sizes) - 1))
        parts = [sizes[:axis] + [n] + sizes[axis + 1 :] for n in draw(
            st.lists(st.integers(0, 5), min_size=1, max_size=3))]
        return op, [numbered(part, dtype) for part in parts], dtype, {"axis": axis}
    ranges = []
    for n in sizes:
        start = draw(st.integers(0, n - 1))
        step = draw(st.sampled_from((1, 2, -1, -3)))
        ranges.append((start, draw(st.integers(start, n)) if step > 0 else -1, step))
    starts, stops, steps = (tuple(r[k] for r in ranges) for k in range(3))
    attrs = {"starts": starts, "stops": stops, "steps": steps}
    if op == "slice":
        return op, [x], dtype, attrs
    part = [len(range(*r)) for r in ranges]
    return op, [numbered(part, dtype)], dtype, {"shape": tuple(sizes), **attrs}


def test_any_move_is_numpys() -> None:
    @settings(max_examples=80, deadline=None)
    @given(moves())
    def check(case: tuple[str, list[np.ndarray], str, dict[str, Any]]) -> None:
        compared(*case)

    check()


@pytest.mark.parametrize("perm", [(1, 0, 2), (2, 1, 0), (0, 2, 1)])
def test_rows_that_become_columns(perm: tuple[int, ...]) -> None:
    compared("transpose", [numbered([37, 50, 66], "i32")], "i32", {"perm": perm})


@pytest.mark.parametrize("sizes", [[9001], [3, 5001], [70, 130], [2, 200, 64]])
@pytest.mark.parametrize("dtype", ["f32", "i64", "u8"])
def test_long_axes_are_moved_in_pieces(sizes: list[int], dtype: str) -> None:
    x = numbered(sizes, dtype)
    compared("transpose", [x], dtype, {"perm": tuple(reversed(range(len(sizes))))})
    compared("broadcast", [x], dtype, {"shape": (3, *sizes)})
    every = {"starts": (1,) * len(sizes), "steps": (1,) * len(sizes), "stops": tuple(sizes)}
    compared("slice", [x], dtype, every)
    wider = tuple(n + 1 for n in sizes)
    compared("unslice", [x], dtype, {"shape": wider, **every, "stops": wider})
    compared("concat", [x, x], dtype, {"axis": 0})


def test_a_scan_moves_nothing_of_what_is_empty() -> None:
    """An axis of size 0 is not one of size 1, which can be left out."""
    b, body = Builder(), Builder()
    xs, zs = b.input("xs", parse_type("f32[3, 0, 200]")), b.input("zs", parse_type("f32[3, 32]"))
    x, z = body.input("x0", parse_type("f32[0, 200]")), body.input("x1", parse_type("f32[32]"))
    inside = body.finish([Output("y0", x.ref), Output("y1", body("neg", z).ref)])
    results = emit_scan(b, [xs, zs], [], [], inside, axes=(0, 0), yield_axes=(0, 0), length=3)
    kept = b("neg", zs)
    graph = b.finish([Output(f"y{k}", v.ref) for k, v in enumerate((*results, kept))])
    inputs = {"xs": numbered([3, 0, 200], "f32"), "zs": numbered([3, 32], "f32")}
    found, wanted = natively(graph, inputs), by_numpy(graph, inputs)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_neighbouring_axes_are_one() -> None:
    x = unreal((4, 5, 6, 7))
    assert move_of(x, unreal(x.shape), "f32") == Move("f32", (840,), (1,), (1,))
    rows = x[:, 1:3]
    assert move_of(rows, unreal(rows.shape), "f32") == Move("f32", (4, 84), (210, 1), (84, 1), 42)
