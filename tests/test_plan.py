"""Planning: whatever the order, the aliases and the updates in place, the values stay the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from evaluate import evaluate
from graphs import SIZES, Draw, graphs, leaves
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import assert_agree, execute, fused, plan_of, program_of, variables

from flowc.diagnostic import Sink
from flowc.driver import compile
from flowc.graph.bind import bind_sizes
from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Output, Update
from flowc.graph.scan import emit_scan
from flowc.passes import optimise
from flowc.plan.emit import make_plan
from flowc.source import Source
from flowc_runtime.plan import Program
from flowc_runtime.types import parse_type

HALF_AND = ("t0 = mul(i0, 0.5)", "o0 = add(t0, i1)")


def agree(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Runs a graph by plan and by the oracle."""
    inputs, held = leaves(graph, seed)
    found, wanted = execute(graph, inputs, held), evaluate(graph, inputs, held)
    assert_agree(found, wanted)
    return found


def ops(program: Program) -> list[str]:
    return [i.op for i in program.instructions]


# --- the same values ----------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(graphs(max_steps=20), st.integers(0, 9))
def test_a_planned_graph_computes_what_its_nodes_say(graph: Graph, seed: int) -> None:
    agree(bind_sizes(graph, SIZES), seed)


@settings(max_examples=80, deadline=None)
@given(graphs(max_steps=20), st.integers(0, 9))
def test_an_optimised_graph_planned_computes_what_its_nodes_say(graph: Graph, seed: int) -> None:
    agree(optimise(bind_sizes(graph, SIZES)), seed)


@st.composite
def update_graphs(draw: Draw) -> Graph:
    """Updates that read each other's old and new values, and outputs of both."""
    b = Builder()
    held = [*variables(b, "f32[4]", "a", "b", "c"), b.input("x", parse_type("f32[4]"))]
    pool = list(held)
    for _ in range(draw(st.integers(0, 7))):  # type: ignore[call-overload]
        one, other = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        pool.append(draw(st.sampled_from(_STEPS))(b, one, other))  # type: ignore[operator]
    chosen = draw(st.lists(st.sampled_from(pool), min_size=4, max_size=6))
    updates = [
        Update(variable.ref.node, value.ref)
        for variable, value in zip(held[:3], chosen[:3], strict=True)  # type: ignore[index]
        if draw(st.booleans())
    ]
    loss = b("reduce_sum", chosen[3], axes=(0,))  # type: ignore[index]
    outputs = [Output("loss", loss.ref)]
    outputs += [Output(f"output.y{k}", v.ref) for k, v in enumerate(chosen[4:])]  # type: ignore[index, arg-type]
    return b.finish(outputs, updates)


_STEPS: tuple[Callable[[Builder, Value, Value], Value], ...] = (
    lambda b, x, y: b("add", x, y),
    lambda b, x, y: b("maximum", x, y),
    lambda b, x, y: b("neg", x),
    lambda b, x, y: b("cumsum", x, axis=0, reverse=True),
    lambda b, x, y: b("reshape", b("reshape", x, shape=(2, 2)), shape=(4,)),
    lambda b, x, y: fused(b, HALF_AND, x, y, shape=(4,))[0],
    lambda b, x, y: fused(b, ("o0 = mul(i0, 2.0)", "o1 = sub(o0, i1)"), x, y, shape=(4,))[1],
)


@settings(max_examples=150, deadline=None)
@given(update_graphs(), st.integers(0, 9))
def test_updates_see_old_values_only_where_the_graph_says_so(graph: Graph, seed: int) -> None:
    agree(graph, seed)


@settings(max_examples=60, deadline=None)
@given(update_graphs())
def test_what_writes_a_variable_stands_behind_the_commit_and_the_loss(graph: Graph) -> None:
    program = program_of(graph)
    homes = [[program.buffers[k].space for k in i.results] for i in program.instructions]
    writers = [k for k, spaces in enumerate(homes) if "variables" in spaces]
    assert program.commit == min(writers, default=len(homes))
    (loss,) = (p.buffer for p in program.outputs if p.name == "loss")
    makers = [k for k, i in enumerate(program.instructions) if loss in i.results]
    assert all(k < program.commit for k in makers)


# --- what costs nothing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("reshape", {"shape": (3, 8)}),
        ("broadcast", {"shape": (1, 2, 3, 4)}),
        ("slice", {"starts": (1, 0, 0), "stops": (2, 3, 4), "steps": (1, 1, 1)}),
        ("slice", {"starts": (1, 1, 0), "stops": (2, 3, None), "steps": (1, 1, 1)}),
        ("slice", {"starts": (1, 0, 0), "stops": (0, 3, 4), "steps": (-1, 1, 1)}),
        ("slice", {"starts": (0, 2, 1), "stops": (1, 3, 3), "steps": (1, 1, 1)}),
        ("stop_gradient", {}),
        ("cast", {"dtype": "f32"}),
    ],
)
def test_a_view_of_the_same_bytes_needs_no_instruction(op: str, attrs: dict[str, object]) -> None:
    b = Builder()
    view = b(op, b("neg", b.input("x", parse_type("f32[2, 3, 4]"))), **attrs)
    graph = b.finish([Output("y", b("exp", view).ref)])
    assert ops(program_of(graph)) == ["neg", "exp"]
    agree(graph)


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("slice", {"starts": (0, 1, 0), "stops": (2, 3, 4), "steps": (1, 1, 1)}),
        ("slice", {"starts": (0, 0, 0), "stops": (2, 3, 4), "steps": (1, 2, 1)}),
        ("slice", {"starts": (1, 0, 0), "stops": (-1, 3, 4), "steps": (-1, 1, 1)}),
        ("transpose", {"perm": (1, 0, 2)}),
        ("cast", {"dtype": "f64"}),
    ],
)
def test_what_moves_bytes_is_an_instruction(op: str, attrs: dict[str, object]) -> None:
    b = Builder()
    graph = b.finish([Output("y", b(op, b.input("x", parse_type("f32[2, 3, 4]")), **attrs).ref)])
    assert ops(program_of(graph)) == [op]
    agree(graph)


def test_a_transpose_that_moves_only_axes_of_size_1_needs_no_instruction() -> None:
    b = Builder()
    x = b.input("x", parse_type("f32[2, 1, 3]"))
    graph = b.finish([Output("y", b("neg", b("transpose", x, perm=(1, 0, 2))).ref)])
    assert ops(program_of(graph)) == ["neg"]
    agree(graph)


def test_what_nobody_wants_is_not_computed() -> None:
    b = Builder()
    x = b.input("x", parse_type("f32[2]"))
    b("exp", x)
    assert ops(program_of(b.finish([Output("y", b("neg", x).ref)]))) == ["neg"]


def test_an_output_may_be_an_input_a_variable_or_a_constant() -> None:
    b = Builder()
    x, (w,) = b.input("x", parse_type("f32[2]")), variables(b, "f32[3]", "w")
    values = {"x": x, "w": w, "c": b.scalar(2.5, "f64")}
    graph = b.finish([Output(name, value.ref) for name, value in values.items()])
    assert ops(program_of(graph)) == []
    agree(graph)


def test_one_constant_serves_all_programs_and_zeros_of_either_sign_differ() -> None:
    def graph(*numbers: float) -> Graph:
        b = Builder()
        return b.finish([Output(f"y{k}", b.scalar(v, "f32").ref) for k, v in enumerate(numbers)])

    plan = make_plan("m", "", {"train": graph(0.0, -0.0, 2.0), "evaluate": graph(2.0, 0.0)})
    assert [str(c.value) for c in plan.constants] == ["0.0", "-0.0", "2.0"]


# --- updates ------------------------------------------------------------------------------------


def test_an_update_that_reads_the_old_value_elementwise_is_written_in_place() -> None:
    b = Builder()
    x, (w,) = b.input("x", parse_type("f32[4]")), variables(b, "f32[4]", "w")
    graph = b.finish([], [Update(w.ref.node, fused(b, HALF_AND, w, x, shape=(4,))[0].ref)])
    (instruction,) = program_of(graph).instructions
    assert instruction.op == "fused"
    agree(graph)


def test_an_update_that_needs_the_old_value_to_the_end_is_copied() -> None:
    b = Builder()
    (w,) = variables(b, "f32[3, 3]", "w")
    graph = b.finish([], [Update(w.ref.node, b("matmul", w, w).ref)])
    assert ops(program_of(graph)) == ["matmul", "copy"]
    agree(graph)


def test_two_variables_can_be_swapped() -> None:
    b = Builder()
    one, other = variables(b, "f32[4]", "one", "other")
    swap = [Update(one.ref.node, other.ref), Update(other.ref.node, one.ref)]
    agree(b.finish([], swap))


def test_an_output_shows_the_old_value_of_a_variable_that_changes() -> None:
    b = Builder()
    (w,) = variables(b, "f32[4]", "w")
    found = agree(b.finish([Output("old", w.ref)], [Update(w.ref.node, b("neg", w).ref)]))
    np.testing.assert_array_equal(found["old"], -found["w <-"])


def test_a_variable_may_become_an_input_or_a_constant() -> None:
    b = Builder()
    one, other = variables(b, "f32[]", "one", "other")
    x, c = b.input("x", parse_type("f32[]")), b.scalar(0.5, "f32")
    agree(b.finish([], [Update(one.ref.node, x.ref), Update(other.ref.node, c.ref)]))


def test_a_new_value_that_the_loss_depends_on_is_written_only_after_the_loss() -> None:
    b = Builder()
    (w,) = variables(b, "f32[4]", "w")
    new = b("exp", w)
    loss = b("reduce_sum", new, axes=(0,))
    graph = b.finish([Output("loss", loss.ref)], [Update(w.ref.node, new.ref)])
    assert ops(program_of(graph)) == ["exp", "reduce_sum", "copy"]
    agree(graph)


def test_equal_updates_that_follow_from_each_other_are_not_joined() -> None:
    b = Builder()
    x, (one, other) = b.input("x", parse_type("f32[4]")), variables(b, "f32[4]", "a", "b")
    first = fused(b, HALF_AND, one, x, shape=(4,))[0]
    between = b("cumsum", first, axis=0, reverse=False)
    second = fused(b, HALF_AND, other, between, shape=(4,))[0]
    updates = [Update(one.ref.node, first.ref), Update(other.ref.node, second.ref)]
    graph = b.finish([], updates)
    assert ops(program_of(graph)) == ["fused", "cumsum", "fused"]
    agree(graph)


def test_a_variable_that_is_updated_twice_is_a_bug_of_the_caller() -> None:
    b = Builder()
    (w,) = variables(b, "f32[4]", "w")
    updates = [Update(w.ref.node, b("neg", w).ref), Update(w.ref.node, b("exp", w).ref)]
    with pytest.raises(ValueError, match="updated twice"):
        program_of(b.finish([], updates))


def test_programs_must_agree_about_a_variable() -> None:
    def graph(type: str) -> Graph:
        b = Builder()
        return b.finish([Output("y", b.variable("w", "param", parse_type(type)).ref)])

    with pytest.raises(ValueError, match="two types"):
        make_plan("m", "", {"train": graph("f32[4]"), "evaluate": graph("f32[5]")})


# --- what a plan says of itself -----------------------------------------------------------------


def test_an_instruction_tells_its_work_and_a_scan_that_of_all_rounds() -> None:
    b = Builder()
    x = b.input("x", parse_type("f32[8, 4]"))
    y = b("matmul", x, b.input("w", parse_type("f32[4, 2]")))
    (instruction,) = program_of(b.finish([Output("y", y.ref)])).instructions
    assert (instruction.flops, instruction.bytes) == (2 * 8 * 4 * 2, 4 * (32 + 8 + 16))


def test_a_plan_is_the_same_however_often_it_is_made() -> None:
    b = Builder()
    held = variables(b, "f32[4]", "z", "a", "m")
    total = b("add", b("mul", held[0], held[1]), held[2])
    graph = b.finish([Output("y", total.ref)], [Update(held[1].ref.node, total.ref)])
    first = plan_of(graph)
    assert first == plan_of(graph)
    assert [v.path for v in first.variables] == ["a", "m", "z"]


def test_a_loop_may_capture_one_value_twice() -> None:
    """Two captures that turn out to be one value share its bytes, and may be read at any time."""
    text = """
block twice(x: t[time, n], a: t[n], b: t[n]) {
  states = scan x over time as xt carry (h = fill([n], 0.0)) {
    h = tanh(xt + a) * exp(h + b)
    h = h * a + sin(h) @ expand(b, 1)
    yield h
  }
  return states
}

model m {
  input x: f32[4, 3]
  output y = twice(x, fill([3], 0.5), fill([3], 0.5))
}
"""
    sink = Sink()
    _, plan = compile(Source("m.flow", text), sink)
    assert "predict" in plan.programs and not sink.diagnostics


def test_a_scan_may_capture_a_value_and_parts_of_it() -> None:
    b, body = Builder(), Builder()
    xs, w = b.input("xs", parse_type("f32[3, 5]")), b("neg", b.input("w", parse_type("f32[4, 5]")))
    rows = [
        b("slice", w, starts=(start, 0), stops=(start + 2, None), steps=(1, 1))
        for start in (0, 1)
    ]
    x, whole = body.input("x0", parse_type("f32[5]")), body.input("k0", parse_type("f32[4, 5]"))
    first, second = (body.input(f"k{k}", parse_type("f32[2, 5]")) for k in (1, 2))
    part = body("slice", second, starts=(1, 0), stops=(2, None), steps=(1, 1))
    total = body("reduce_sum", whole, axes=(0,), keep=True)
    y = body("add", body("add", body("add", first, part), x), total)
    inside = body.finish([Output("y0", y.ref)])
    (found,) = emit_scan(b, [xs], [], [w, *rows], inside, axes=(0,), yield_axes=(0,), length=3)
    agree(b.finish([Output("out", found.ref)]))
