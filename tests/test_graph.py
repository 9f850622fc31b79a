"""Graphs: what the verifier refuses, and what binding a dimension changes."""

from __future__ import annotations

import pytest
from evaluate import evaluate
from graphs import SIZES, graphs, leaves
from hypothesis import given, settings

from flowc.graph.bind import bind_sizes
from flowc.graph.graph import Graph, Node, Output, Ref, Update
from flowc.graph.read import read_graph
from flowc.graph.text import print_graph
from flowc.graph.verify import VerifyError, verify
from flowc_runtime.types import TensorType, parse_type

SCAN = """
%0: f32[3, 2] = input {name="x"}
%1: f32[2] = input {name="start"}
%2: (f32[2], f32[3, 2]) = scan(%0, %1) {sequences=1, carries=1, axes=(0,), yield_axes=(0,), length=3, reverse=false} {
  %0: f32[2] = input {name="x0"}
  %1: f32[2] = input {name="c0"}
  %2: f32[2] = add(%0, %1)
  outputs:
    c0 = %2
    y0 = %0
}
outputs:
  loss = %2.1
"""  # noqa: E501

FUSED = """
%0: f32[2] = input {name="x"}
%1: f32[2] = fused(%0) {shape=(2,)} {
  o0 = exp(i0)
}
"""


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_graphs_that_the_builder_makes_are_sound(graph: Graph) -> None:
    assert verify(graph) is graph
    verify(bind_sizes(graph, SIZES))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%0: f32[2] = frobnicate", "the catalog has no op of that name"),
        ('%0: f32[2] = input {name="x"}\n%1: f32[3] = exp(%0)', "has types"),
        ('%0: f32[2] = input {name="x"}\n%1: f32[2] = exp(%0) {axis=1}', "has other attributes"),
        ('%0: f32[2] = input {name="x", kind="y"}', "has other attributes"),
        ('%0: i32[2] = input {name="x"}\n%1: i32[2] = exp(%0)', "is i32"),
        ('%0: f32[2] = input {name="x"}\n%1: f32[2] = input {name="x"}', "several of input x"),
        ('%0: f32[2] = input {name="x"}\nupdates:\n  %0 <- %0', "cannot be updated"),
        ('%0: f32[] = input {name="x"}\noutputs:\n  a = %0\n  a = %0', "several of a"),
        ("%0: f32[2] = fused {shape=(2,)} {\n  o0 = exp(i0)\n}", "reads more operands"),
        (FUSED.replace("f32[2] = fused", "f32[3] = fused"), "has types"),
        (FUSED.replace("exp(i0)", "exp(t0)"), "t0 is read before it is assigned"),
        (FUSED.replace("exp(i0)", "matmul(i0, i0)"), "there is no elementwise op `matmul`"),
        (SCAN.replace("length=3", "length=4"), "is not walked along axis 0 in 4 rounds"),
        (SCAN.replace("(f32[2], f32[3, 2])", "(f32[2], f32[2, 3])"), "has types"),
        (SCAN.replace('"x0"', '"x1"'), "its body has other inputs"),
        (SCAN.replace("y0 =", "y1 ="), "its body has other outputs"),
        (SCAN.replace("%0: f32[3, 2]", "%0: f64[3, 2]"), "its body's inputs have other types"),
    ],
)  # fmt: skip
def test_a_broken_graph_is_refused(text: str, message: str) -> None:
    with pytest.raises(VerifyError, match=".*") as error:
        verify(read_graph(text))
    assert message in str(error.value)


def test_a_graph_whose_ids_are_no_positions_is_refused() -> None:
    node = Node(1, "input", (), {"name": "x"}, (TensorType("f32"),))
    with pytest.raises(VerifyError, match="its id is not its position"):
        verify(Graph((node,), ()))


def test_a_graph_that_uses_a_value_before_it_exists_is_refused() -> None:
    type = (TensorType("f32"),)
    early = Node(0, "exp", (Ref(1),), {}, type)
    late = Node(1, "input", (), {"name": "x"}, type)
    with pytest.raises(VerifyError, match="takes %1, which does not stand before it"):
        verify(Graph((early, late), ()))


def test_a_root_that_does_not_exist_is_refused() -> None:
    with pytest.raises(VerifyError, match="%3 is wanted, but does not exist"):
        verify(Graph((), (Output("loss", Ref(3)),)))


def test_a_variable_is_updated_once() -> None:
    node = Node(0, "variable", (), {"path": "w", "kind": "param"}, (TensorType("f32"),))
    updates = (Update(0, Ref(0)), Update(0, Ref(0)))
    with pytest.raises(VerifyError, match="several of update of %0"):
        verify(Graph((node,), (), updates))


def test_binding_reaches_types_attributes_bodies_and_sizes() -> None:
    symbolic = SCAN.replace("[3,", "[2*batch + 1,").replace("=3", "=2*batch + 1")
    size = "%3: f32[] = dim {value=batch}\n"
    bound = bind_sizes(read_graph(symbolic.replace("\noutputs", f"\n{size}outputs")), {"batch": 1})
    assert "batch" not in print_graph(bound)
    assert bound.nodes[2].types[1] == parse_type("f32[3, 2]")
    assert bound.nodes[2].attrs["length"] == 3
    assert bound.nodes[3].op == "const" and bound.nodes[3].attrs["value"] == 1.0
    verify(bound)


def test_a_size_that_is_not_given_stays_symbolic() -> None:
    graph = read_graph("%0: i64[] = dim {value=batch*time}")
    (node,) = bind_sizes(graph, {"time": 4}).nodes
    assert print_graph(Graph((node,), ())) == "%0: i64[] = dim {value=4*batch}\n"


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_one_graph_runs_for_any_batch(graph: Graph) -> None:
    for size in (1, 2, 5):
        bound = bind_sizes(graph, {"batch": size})
        assert evaluate(bound, *leaves(bound, seed=0)).keys()
