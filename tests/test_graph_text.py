"""The text of graphs: what is printed reads back, and what cannot be read says where."""

from __future__ import annotations

import math

import pytest
from graphs import graphs
from hypothesis import given, settings

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Origin, Output
from flowc.graph.read import GraphTextError, read_graph
from flowc.graph.text import print_graph, value_text
from flowc.passes import optimise
from flowc.source import Source, Span
from flowc_runtime.dims import symbol
from flowc_runtime.types import TensorType


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_a_printed_graph_reads_back_the_same(graph: Graph) -> None:
    assert read_graph(print_graph(graph)) == graph


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_an_optimised_graph_reads_back_the_same(graph: Graph) -> None:
    optimised = optimise(graph)
    assert read_graph(print_graph(optimised)) == optimised
    assert print_graph(read_graph(print_graph(graph))) == print_graph(graph)


def test_a_node_shows_its_path_and_its_place_in_the_model() -> None:
    span = Span(Source("model.flow", "a = 1\n  b = x"), 8, 13)
    builder = Builder(origin=Origin(span, "logits.dense"))
    builder("neg", builder.input("x", TensorType("f32", (symbol("batch"), 3))))
    *_, line = print_graph(builder.finish([])).splitlines()
    assert line.startswith("%1: f32[batch, 3] = neg(%0)   ")
    assert line.endswith("  # logits.dense at model.flow:2:3")
    assert read_graph(print_graph(builder.finish([]))).nodes[1].origin == Origin(
        None, "logits.dense"
    )


@pytest.mark.parametrize(
    "value",
    [
        0, -3, 1.0, -0.0, 1e-05, 1e300, math.inf, -math.inf, True, False, None, "re\"lu # {", "",
        (), (1,), ((1.5, 2), (3, (True,))), symbol("batch"), symbol("batch") * 2 - 1,
        symbol("inf"), -symbol("inf"), symbol("none"), -symbol("a") * symbol("b"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_kind_of_attribute_reads_back(value: object) -> None:
    builder = Builder()
    builder.append("const", (), {"value": value}, (TensorType("f32"),))
    (node,) = read_graph(print_graph(builder.finish([]))).nodes
    assert node.attrs["value"] == value
    assert value_text(node.attrs["value"]) == value_text(value)
    assert type(node.attrs["value"]) is type(value)


def test_not_a_number_reads_back() -> None:
    builder = Builder()
    builder.scalar(math.nan, "f32")
    (node,) = read_graph(print_graph(builder.finish([]))).nodes
    assert math.isnan(node.attrs["value"])


def test_names_that_are_no_words_are_quoted() -> None:
    builder = Builder()
    value = builder.input("x", TensorType("f32"))
    graph = builder.finish([Output("a b = %0", value.ref), Output("embed.table", value.ref)])
    assert read_graph(print_graph(graph)) == graph


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("%1: f32[] = dim", 1, "expected `%0:`, but found `%1`"),
        ("%0: f32[] = dim {value=n}\n\n%1: f32[] = neg(%2)", 3, "`%2` is not known here"),
        ("%0: f32[] = dim {value=n}\n%1: f32[] = neg(%0.1)", 2, "`%0.1` is not known here"),
        ("%0: f31[] = dim {value=n}", 1, "`f31[]` is no tensor type"),
        ("%0: f32[a?] = dim {value=n}", 1, "is no tensor type"),
        ("%0: f32[] = dim {value=n?}", 1, "`n?` is no value of an attribute"),
        ("%0: f32[] = dim {value=n} %0", 1, "did not expect `%0`"),
        ("%0: f32[] = dim {value=n", 1, "expected `,`, but found `the end of the line`"),
        ("# nothing\n%0: f32[] = fused() {\n  o0 = neg(i0)", 3, "a block is not closed"),
        ("%0: f32[] = scan() {", 1, "a block is not closed"),
        ("}", 1, "nothing is open that `}` could close"),
        ("outputs:\n  loss = 3", 2, "expected a value like `%3`, but found `3`"),
        ('%0: f32[] = input {name="x}', 1, "cannot read"),
        ("updates:\n  %0 <- %0", 2, "`%0` is not known here"),
    ],
)  # fmt: skip
def test_text_that_is_no_graph_is_refused_with_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(GraphTextError) as error:
        read_graph(text)
    assert error.value.line == line
    assert message in str(error.value)
