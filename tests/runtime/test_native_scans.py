"""Scans in machine code: whatever bodies read and yield, sequences hold what NumPy puts there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_runs import assert_same_bits, by_numpy, natively, share_all
from programs import plan_of

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output
from flowc.graph.scan import emit_scan
from flowc_runtime.plan import Buffer, Program
from flowc_runtime.types import TensorType, parse_type

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from flowc_runtime import kept
from flowc_runtime.native import NativeDevice
from flowc_runtime.native.standing import standing_source, standing_target

SQUARE, ROUNDS = (9, 9), 5
WITH_ROUNDS = [(ROUNDS, 9, 9), (9, ROUNDS, 9)]  # by the axis that is walked
AXES = st.sampled_from((0, 0, 1))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path)
    share_all(monkeypatch)


@st.composite
def scans(draw: st.DrawFn) -> Graph:
    """Two sequences and two carries; a body of some ops, whose values it yields and carries on.

    Of small whole numbers, which stay so: sums of products are exact in whatever order.
    """
    b, body = Builder(), Builder()
    axes = (draw(AXES), draw(AXES))
    xs = [b.input(f"xs{k}", TensorType("f32", WITH_ROUNDS[a])) for k, a in enumerate(axes)]
    cs = [b.input(f"cs{k}", TensorType("f32", SQUARE)) for k in range(2)]
    square = TensorType("f32", SQUARE)
    known = [body.input(n, square) for n in ("x0", "x1", "c0", "c1")]
    for _ in range(draw(st.integers(1, 8))):
        op = draw(st.sampled_from(("add", "mul", "sign", "transpose", "concat", "matmul")))
        one, other = (draw(st.sampled_from(known)) for _ in range(2))
        match op:
            case "transpose":
                known.append(body(op, one, perm=(1, 0)))
            case "concat":
                both = body(op, one, other, axis=0)
                known.append(body(
                    "slice", both, starts=(4, 0), stops=(13, None), steps=(1, 1)))
            case "sign":
                known.append(body(op, one))
            case "mul":
                known.append(body(op, body("sign", one), other))
            case "matmul":
                signs = (body("sign", each) for each in (one, other))
                known.append(body(op, *signs, transpose_a=False, transpose_b=False))
            case _:
                known.append(body(op, one, other))
    carried = [Output(f"c{k}", body("sign", draw(st.sampled_from(known))).ref) for k in range(2)]
    yields = draw(st.lists(st.sampled_from(known), min_size=1, max_size=5))
    inside = body.finish(
        [*carried, *(Output(f"y{k}", value.ref) for k, value in enumerate(yields))])
    found = emit_scan(
        b, xs, cs, [], inside, axes=axes, yield_axes=tuple(draw(AXES) for _ in yields),
        length=ROUNDS, reverse=draw(st.booleans()))
    return b.finish([Output(f"y{k}", value.ref) for k, value in enumerate(found)])


def test_any_body_reads_and_yields_what_it_does_with_numpy() -> None:
    rng = np.random.default_rng(1)

    @settings(max_examples=60, deadline=None)
    @given(scans())
    def check(graph: Graph) -> None:
        inputs = {
            node.attrs["name"]: rng.integers(-3, 4, node.type.sizes).astype(np.float32)
            for node in graph.nodes if node.op == "input"}
        found, wanted = natively(graph, inputs), by_numpy(graph, inputs)
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)

    check()


def body_of(graph: Graph) -> Program:
    (scan,) = plan_of(graph, "step").programs["step"].instructions
    assert scan.body is not None
    return scan.body


def test_a_sequence_along_its_first_axis_is_not_copied() -> None:
    b, body = Builder(), Builder()
    xs = b.input("xs", TensorType("f32", WITH_ROUNDS[0]))
    x = body.input("x0", TensorType("f32", SQUARE))
    turned = body("transpose", x, perm=(1, 0))
    inside = body.finish([Output("y0", turned.ref), Output("y1", x.ref)])
    found = emit_scan(b, [xs], [], [], inside, axes=(0,), yield_axes=(0, 0), length=ROUNDS)
    graph = b.finish([Output(f"y{k}", value.ref) for k, value in enumerate(found)])
    plan = body_of(graph)
    (port,), buffers = plan.inputs, plan.buffers
    outside = Buffer("arena", 0, TensorType("f32", WITH_ROUNDS[0]))
    assert standing_target(plan, plan.outputs[0].buffer, outside, 0) is not None
    assert standing_target(plan, plan.outputs[0].buffer, outside, 1) is None
    assert standing_target(plan, plan.outputs[1].buffer, outside, 0) is None  # what is passed on
    assert standing_source(plan, outside, 0, buffers[port.buffer]) is None
    inputs = {"xs": np.random.default_rng(1).standard_normal(WITH_ROUNDS[0], np.float32)}
    assert_same_bits(natively(graph, inputs), by_numpy(graph, inputs))


def test_a_scan_is_done_without_numpy() -> None:
    b, body = Builder(), Builder()
    xs, x = b.input("xs", parse_type("f32[5, 3]")), body.input("x0", parse_type("f32[3]"))
    inside = body.finish([Output("y0", body("neg", x).ref)])
    (found,) = emit_scan(b, [xs], [], [], inside, axes=(0,), yield_axes=(0,), length=5)
    program = plan_of(b.finish([Output("y", found.ref)]), "step").programs["step"]
    assert NativeDevice().runs_on(program) == ("native",)
