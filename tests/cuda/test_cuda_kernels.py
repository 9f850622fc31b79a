"""Each kernel computes what NumPy does: every op on its samples, and random expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from gpu_stand_in import cuda_device
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import execute, fused, plan_of
from test_catalog import USES, Use
from test_fused import kernels, made_up

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output
from flowc_runtime.cuda import CudaDevice
from flowc_runtime.plan import Program
from flowc_runtime.types import TensorType

Seeded = Callable[[int], None]

SIZES = (1, 2, 3, 5, 17, 33)
# Ops that NumPy does; and what has no elements, 16 bits, or integers that are powers.
BY_NUMPY = {
    "argsort", "cumsum", "floor_div", "gather_along", "orthogonalize", "pad", "put_rows",
    "reduce_all", "reduce_any", "reduce_prod", "remainder", "resize", "resize_grad",
    "row_totals", "scatter_add_along",
}  # fmt: skip


def graph_of(uses: list[Use]) -> Graph:
    """All uses side by side: one program, and so one module of kernels."""
    b = Builder()
    outputs = []
    for use in uses:
        given = [b.input(f"{use}.{k}", type) for k, type in enumerate(use.types)]
        found = b.emit(use.op.name, tuple(given), use.sample.attrs)
        outputs += [Output(f"{use}.{k}", value.ref) for k, value in enumerate(found)]
    return b.finish(outputs)


def is_left(use: Use) -> bool:
    tensors = (*use.types, *use.results())
    two_bytes = any(t.dtype in ("f16", "bf16") for t in tensors)
    powers = use.op.name == "pow" and use.types[0].kind == "int"
    empty = not all(t.bytes for t in tensors)
    return use.op.name in BY_NUMPY or two_bytes or powers or empty


@pytest.fixture(scope="module")
def results(seeded: Seeded) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    seeded(1)
    graph = graph_of(USES)
    inputs = {f"{use}.{k}": a for use in USES for k, a in enumerate(use.operands())}
    found, wanted = (execute(graph, inputs, {}, d) for d in (cuda_device(), None))
    return {name: (value, wanted[name]) for name, value in found.items()}


@pytest.mark.parametrize("use", USES, ids=str)
def test_an_op_gives_what_numpy_gives(
    use: Use, results: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    for k in range(len(use.results())):
        found, wanted = results[f"{use}.{k}"]
        np.testing.assert_allclose(found, wanted, 2e-5, 2e-5)


def test_what_is_left_to_numpy_is_known() -> None:
    program: Program = plan_of(graph_of(USES)).programs["train"]
    places = CudaDevice().runs_on(program)
    by_numpy = {i.op for i, place in zip(program.instructions, places, strict=True)
                if place == "numpy"}  # fmt: skip
    assert BY_NUMPY <= by_numpy
    whole = [use for use in USES if not is_left(use)]
    alone = plan_of(graph_of(whole)).programs["train"]
    assert set(CudaDevice().runs_on(alone)) == {"cuda"}


def test_any_expression_is_what_numpy_computes(seeded: Seeded) -> None:
    @settings(max_examples=20, deadline=None)
    @given(graph=kernels(SIZES), seed=st.integers(0, 9))
    def check(graph: Graph, seed: int) -> None:
        seeded(seed)
        assert_close(graph, made_up(graph, seed))

    check()


@pytest.mark.parametrize("length", [1, 7, 32, 33, 1024, 1025, 3000])
def test_rows_of_any_length(length: int, seeded: Seeded) -> None:
    """Shared by a few lanes, by a warp, by a block; what is read again is kept in between."""
    seeded(length)
    b = Builder()
    x = b.input("x", TensorType("f32", (5, length)))
    lines = ("t0 = row_max(i0)", "t1 = sub(i0, t0)", "t2 = exp(t1)", "t3 = row_sum(t2)",
             "o0 = div(t2, t3)", "o1 = add(t0, t3)")  # fmt: skip
    found = fused(b, lines, x, shape=(5, length))
    graph = b.finish([Output(f"y{k}", v.ref) for k, v in enumerate(found)])
    rows = np.random.default_rng(length).normal(size=(5, length)).astype(np.float32)
    assert_close(graph, {"x": rows})


def test_one_number_for_all_rows_of_one_element(seeded: Seeded) -> None:
    """It is an element of the row, and one of all rows, too."""
    b = Builder()
    x, y = b.input("x", TensorType("f32", (5, 1))), b.input("y", TensorType("f32", (1, 1)))
    found = fused(b, ("o0 = row_max(i0)", "t0 = neg(i1)", "o1 = add(i0, t0)"), x, y, shape=(5, 1))
    graph = b.finish([Output(f"y{k}", v.ref) for k, v in enumerate(found)])
    column = np.arange(5, dtype=np.float32)[:, None]
    assert_close(graph, {"x": column, "y": np.full((1, 1), 3, np.float32)})


def assert_close(graph: Graph, inputs: Mapping[str, np.ndarray]) -> None:
    device = cuda_device()
    found, wanted = execute(graph, inputs, {}, device), execute(graph, inputs, {})
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-5, err_msg=name)
