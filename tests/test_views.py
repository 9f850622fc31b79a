"""Pictures of graphs: layout, grouping, SVG and DOT; and where values lie in a plan."""

from __future__ import annotations

import re
import time
from functools import cache
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import FOLDER, LARGEST, models

from flowc.diagnostic import Sink
from flowc.driver import compile
from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Origin, Output, Ref, Update
from flowc.source import Source, Span
from flowc.views.coordinates import fit
from flowc.views.dataflow import data_flow
from flowc.views.dimensions import Axis, meets, origin_of
from flowc.views.dot import dot, quoted
from flowc.views.draw import EVERYTHING, draw_flow, draw_graph
from flowc.views.errors import NotShown
from flowc.views.groups import by_path
from flowc.views.items import flow_of
from flowc.views.layers import Circular, Edge, assign_rows, make_lattice
from flowc.views.layout import Layout, Size, lay_out
from flowc.views.lifetimes import value_lives, variable_lives
from flowc.views.ordering import crossings, order_rows
from flowc.views.picture import Box, Picture
from flowc.views.programs import flow_of_program
from flowc.views.svg import box_size, svg
from flowc.views.tables import bytes_text, flops_text, table
from flowc_runtime.dims import symbol
from flowc_runtime.plan import Plan
from flowc_runtime.types import TensorType

# By model, so that each is compiled once.
SHIPPED = pytest.mark.parametrize("model", models(LARGEST), scope="module")
SVG = "{http://www.w3.org/2000/svg}"
SECONDS_MAX = 2.0  # for the first view of a shipped model


@cache
def stages(model: str) -> dict[str, Any]:
    """All that the compiler makes of a shipped model, by stage."""
    seen: dict[str, Any] = {}
    path = FOLDER / f"{model}.flow"
    source = Source(path.name, path.read_text(), FOLDER)
    compile(source, Sink(), None, seen.__setitem__)
    return seen


def boxes_of(picture: Picture) -> list[str]:
    return [box.lines[0] for box in picture.boxes]


def arrows_of(picture: Picture) -> set[tuple[str, str]]:
    names = boxes_of(picture)
    return {(names[arrow.source], names[arrow.target]) for arrow in picture.arrows}


def perceptron() -> Graph:
    """x @ w + b, under the path `layer`, then relu; the state `seen` is counted up."""
    b = Builder()
    x = b.input("x", TensorType("f32", (symbol("batch"), 3)))
    b.origin = Origin(path="layer.dense")
    w = b.variable("layer.dense.weight", "param", TensorType("f32", (3, 2)))
    product = b("matmul", x, w)
    bias = b.variable("layer.dense.bias", "param", TensorType("f32", (2,)))
    shifted = b("add", product, bias)
    b.origin = Origin(path="layer.relu")
    rectified = b("maximum", shifted, b.scalar(0.0, "f32"))
    b.origin = Origin()
    seen = b.variable("seen", "state", TensorType("f32"))
    counted = b("add", seen, b.scalar(1.0, "f32"))
    return b.finish([Output("output.y", rectified.ref)], [Update(seen.ref.node, counted.ref)])


# --- layout -----------------------------------------------------------------------------------


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[Size], list[Edge]]:
    """Boxes of several sizes with arrows from earlier to later ones."""
    count = draw(st.integers(1, 24))
    sides = st.sampled_from([20.0, 72.0, 150.0, 310.0])
    sizes = [Size(draw(sides), draw(st.sampled_from([28.0, 60.0]))) for _ in range(count)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = draw(st.lists(pairs, max_size=3 * count))
    return sizes, sorted({(min(e), max(e)) for e in edges if e[0] != e[1]})


def overlap(layout: Layout, sizes: list[Size], a: int, b: int) -> bool:
    (ax, ay), (bx, by) = layout.corners[a], layout.corners[b]
    apart_x = ax + sizes[a].width <= bx or bx + sizes[b].width <= ax
    apart_y = ay + sizes[a].height <= by or by + sizes[b].height <= ay
    return not (apart_x or apart_y)


@settings(max_examples=60, deadline=None)
@given(drawings())
def test_no_two_boxes_overlap(drawing: tuple[list[Size], list[Edge]]) -> None:
    sizes, edges = drawing
    layout = lay_out(sizes, edges)
    count = range(len(sizes))
    assert not [(a, b) for a in count for b in count if a < b and overlap(layout, sizes, a, b)]


@settings(max_examples=60, deadline=None)
@given(drawings())
def test_every_arrow_runs_down_from_its_box_to_the_other(
    drawing: tuple[list[Size], list[Edge]]
) -> None:
    sizes, edges = drawing
    layout = lay_out(sizes, edges)
    for (source, target), route in zip(edges, layout.routes, strict=True):
        assert all(upper.y <= lower.y + 1e-6 for upper, lower in pairwise(route))
        assert route[0].y == pytest.approx(layout.corners[source].y + sizes[source].height)
        assert route[-1].y == pytest.approx(layout.corners[target].y)
        assert route[0].y < route[-1].y


@settings(max_examples=60, deadline=None)
@given(drawings())
def test_no_arrow_crosses_a_box(drawing: tuple[list[Size], list[Edge]]) -> None:
    sizes, edges = drawing
    layout = lay_out(sizes, edges)
    for route in layout.routes:
        upright = list(zip(route[::2], route[1::2], strict=True))
        for corner, size in zip(layout.corners, sizes, strict=True):
            for upper, lower in upright:
                beside = not corner.x < upper.x < corner.x + size.width
                above = lower.y <= corner.y + 1e-6 or corner.y + size.height <= upper.y + 1e-6
                assert beside or above
        for upper, lower in zip(route[1::2], route[2::2], strict=False):  # between two rows
            assert not any(
                corner.y < lower.y - 1e-6 and upper.y + 1e-6 < corner.y + size.height
                for corner, size in zip(layout.corners, sizes, strict=True)
            )


@settings(max_examples=30, deadline=None)
@given(drawings())
def test_the_same_drawing_is_laid_out_the_same_again(
    drawing: tuple[list[Size], list[Edge]]
) -> None:
    assert lay_out(*drawing) == lay_out(*drawing)


def test_a_layout_lies_within_its_size() -> None:
    sizes = [Size(50, 20)] * 5
    layout = lay_out(sizes, [(0, 4), (0, 1), (1, 2), (2, 3), (3, 4)])
    assert min(corner.x for corner in layout.corners) >= 0
    assert max(corner.x for corner in layout.corners) + 50 <= layout.size.width
    assert max(point.x for route in layout.routes for point in route) <= layout.size.width
    assert max(corner.y for corner in layout.corners) + 20 == layout.size.height


def test_arrows_in_a_circle_are_refused() -> None:
    with pytest.raises(Circular):
        lay_out([Size(10, 10)] * 2, [(0, 1), (1, 0)])


def test_a_source_stands_right_above_its_first_user() -> None:
    chain_and_late_input = [(0, 1), (1, 2), (2, 3), (4, 3)]
    assert assign_rows(5, chain_and_late_input) == [0, 1, 2, 3, 2]


def test_long_arrows_of_one_box_share_their_way() -> None:
    lattice = make_lattice(5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (0, 4)])
    assert lattice.chains[4][:3] == lattice.chains[5][:3]


def test_ordering_unties_arrows_that_need_not_cross() -> None:
    crossed = [(0, 5), (1, 4), (2, 3)]
    lattice = make_lattice(6, crossed)
    lattice.rows = [[0, 1, 2], [3, 4, 5]]
    assert crossings(lattice) == 3
    order_rows(lattice)
    assert crossings(lattice) == 0


def test_positions_are_the_nearest_to_those_wanted() -> None:
    assert fit([5.0, 5.0, 50.0], [1.0, 1.0, 1.0], [10.0, 10.0]) == [0.0, 10.0, 50.0]


def test_what_weighs_more_moves_less() -> None:
    assert fit([0.0, 0.0], [3.0, 1.0], [8.0]) == [-2.0, 6.0]


# --- grouping ---------------------------------------------------------------------------------


def test_nodes_of_one_path_share_a_box() -> None:
    picture = draw_graph(perceptron(), "p", depth=2)
    assert "layer.dense" in boxes_of(picture)
    assert ("x", "layer.dense") in arrows_of(picture)
    assert ("layer.dense", "layer.relu") in arrows_of(picture)


def test_a_smaller_depth_folds_more_into_a_box() -> None:
    picture = draw_graph(perceptron(), "p", depth=1)
    assert "layer" in boxes_of(picture)
    assert "layer.dense" not in boxes_of(picture)


def test_a_box_tells_its_types_operations_and_parameters() -> None:
    picture = draw_graph(perceptron(), "p", depth=2)
    box = next(box for box in picture.boxes if box.lines[0] == "layer.dense")
    assert box.lines[1:] == ("f32[batch, 2]", "matmul, add", "8 parameters")
    assert "param layer.dense.weight: f32[3, 2]" in box.hover


def test_with_everything_shown_each_node_has_a_box() -> None:
    picture = draw_graph(perceptron(), "p", EVERYTHING)
    assert {"matmul", "add", "layer.dense.weight", "layer.dense.bias"} <= set(boxes_of(picture))
    assert "maximum(_, 0.0)" in boxes_of(picture)


def test_outputs_and_next_values_have_boxes() -> None:
    picture = draw_graph(perceptron(), "p", depth=1)
    assert {"output", "update"} <= {box.kind for box in picture.boxes}
    assert "next seen" in boxes_of(picture)


def test_what_nothing_needs_is_not_drawn() -> None:
    b = Builder()
    x = b.input("x", TensorType("f32", (2,)))
    b("exp", x)
    y = b("neg", x)
    assert "exp" not in boxes_of(draw_graph(b.finish([Output("y", y.ref)]), "p", EVERYTHING))


def test_a_group_that_is_left_and_entered_again_is_split() -> None:
    b = Builder()
    x = b.input("x", TensorType("f32", (2,)))
    with b.at(Origin(path="outer")):
        first = b("exp", x)
    with b.at(Origin(path="inner")):
        middle = b("neg", first)
    with b.at(Origin(path="outer")):
        last = b("add", first, middle)
    picture = draw_graph(b.finish([Output("y", last.ref)]), "p", depth=1)
    assert boxes_of(picture).count("outer") == 2
    lay_out([box_size(box) for box in picture.boxes], edges_of(picture))


def edges_of(picture: Picture) -> list[Edge]:
    return [(arrow.source, arrow.target) for arrow in picture.arrows]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_grouping_never_makes_a_circle(depth: int) -> None:
    flow = flow_of(stages("gpt")["train.update"])
    groups = by_path(flow.items, depth)
    group_of = {member: at for at, group in enumerate(groups) for member in group.members}
    edges = {(group_of[use.item], group_of[n]) for n, i in flow.items.items() for use in i.uses}
    assign_rows(len(groups), sorted((a, b) for a, b in edges if a != b))


def test_every_item_lies_in_exactly_one_group() -> None:
    flow = flow_of(stages("kitchen_sink")["train.graph"])
    members = [member for group in by_path(flow.items, 2) for member in group.members]
    assert sorted(members) == sorted(flow.items)


def test_nodes_without_a_path_are_grouped_by_their_line() -> None:
    source = Source("m.flow", "a\ny = cast(x, f32) / 255\n")
    b = Builder(origin=Origin(Span(source, 2, 8)))
    x = b.input("x", TensorType("u8", (2,)))
    y = b("div", b("cast", x, dtype="f32"), b.scalar(255.0, "f32"))
    picture = draw_graph(b.finish([Output("y", y.ref)]), "p", depth=1)
    assert "y = cast(x, f32) / 255" in boxes_of(picture)


def test_gradients_are_told_apart() -> None:
    picture = draw_graph(stages("fashion_mlp")["train.gradients"], "p", depth=2)
    marked = [box for box in picture.boxes if box.gradient]
    assert marked
    assert all(box.lines[0].startswith("gradient of ") for box in marked if box.kind == "block")


def test_the_body_of_a_scan_is_a_picture_of_its_own() -> None:
    picture = draw_graph(stages("char_lstm")["train.graph"], "p", EVERYTHING)
    assert len(picture.inner) == 1
    assert {"element x0", "carry c0", "next carry c0", "yield y0"} <= set(
        boxes_of(picture.inner[0])
    )


def test_a_picture_that_nobody_could_read_is_refused() -> None:
    b = Builder()
    x = b.input("x", TensorType("f32"))
    for _ in range(3_100):
        x = b("neg", x)
    with pytest.raises(NotShown, match="3,101 boxes"):
        draw_graph(b.finish([Output("y", x.ref)]), "p", EVERYTHING)


# --- SVG --------------------------------------------------------------------------------------


def awkward() -> Picture:
    words = 'a <b> & "c" \\ ]]> \x01é'
    return Picture(words, (Box("op", (words, words), words), Box("input", ("x",), "x")), ())


@SHIPPED
def test_the_first_view_of_a_shipped_model_is_sound_xml_and_fast(model: str) -> None:
    graph = stages(model)["train.graph"]
    before = time.process_time()
    text = svg(draw_graph(graph, model))
    assert time.process_time() - before < SECONDS_MAX
    assert ElementTree.fromstring(text).tag == f"{SVG}svg"


@pytest.mark.parametrize("stage", ["train.update", "train.optimised", "plan"])
@SHIPPED
def test_later_stages_are_drawn_without_overlap(model: str, stage: str) -> None:
    result = stages(model)[stage]
    if isinstance(result, Plan):
        picture = draw_flow(flow_of_program(result, result.programs["train"]), model)
    else:
        picture = draw_graph(result, model)
    sizes = [box_size(box) for box in picture.boxes]
    layout = lay_out(sizes, edges_of(picture))
    count = range(len(sizes))
    assert not [(a, b) for a in count for b in count if a < b and overlap(layout, sizes, a, b)]


def test_the_same_graph_gives_the_same_bytes() -> None:
    graph = stages("gpt")["train.optimised"]
    assert svg(draw_graph(graph, "gpt")) == svg(draw_graph(graph, "gpt"))


def test_words_with_any_characters_keep_the_svg_sound() -> None:
    root = ElementTree.fromstring(svg(awkward()))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[1] == 'a <b> & "c" \\ ]]> ?é'


def test_hovering_tells_the_author_s_line() -> None:
    root = ElementTree.fromstring(svg(draw_graph(stages("fashion_mlp")["train.graph"], "m")))
    titles = [element.text or "" for element in root.iter(f"{SVG}title")]
    assert any("fashion_mlp.flow:11  logits = pixels |>" in title for title in titles)


def test_an_arrow_tells_what_flows() -> None:
    root = ElementTree.fromstring(svg(draw_graph(perceptron(), "m", depth=2)))
    titles = [element.text for element in root.iter(f"{SVG}title")]
    assert "x: f32[batch, 3]" in titles


def test_the_svg_needs_nothing_else_and_knows_the_dark() -> None:
    text = svg(draw_graph(perceptron(), "m"))
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"(?:href|src|url|@import)", text) == []
    assert [u for u in re.findall(r"https?://[^\"]+", text)] == ["http://www.w3.org/2000/svg"]


def test_words_fit_into_their_boxes() -> None:
    name = "a" * 40
    assert box_size(Box("op", (name,), "")).width > 40 * 7.23  # DejaVu Sans Mono at 12 px


# --- DOT --------------------------------------------------------------------------------------


def test_dot_has_a_line_for_each_box_and_arrow() -> None:
    picture = draw_graph(perceptron(), "p", depth=2)
    text = dot(picture)
    assert len(re.findall(r"^ *n\d+ \[label=", text, re.MULTILINE)) == len(picture.boxes)
    assert len(re.findall(r"^ *n\d+ -> n\d+ ", text, re.MULTILINE)) == len(picture.arrows)


def test_dot_groups_boxes_that_share_names() -> None:
    assert 'label="layer"' in dot(draw_graph(perceptron(), "p", depth=2))


def test_dot_strings_show_what_they_are_made_from() -> None:
    assert quoted('say "no" \\N\nend') == r'"say \"no\" \\N\nend"'


@SHIPPED
def test_dot_brackets_and_quotes_are_closed(model: str) -> None:
    text = dot(draw_graph(stages(model)["train.update"], model))
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert '"' not in bare
    assert bare.count("{") == bare.count("}")
    assert bare.count("[") == bare.count("]")


# --- plans ------------------------------------------------------------------------------------


def test_a_program_draws_its_inputs_outputs_and_next_values() -> None:
    plan = stages("fashion_mlp")["plan"]
    picture = draw_flow(flow_of_program(plan, plan.programs["train"]), "p")
    assert {"image", "label", "loss", "metric.accuracy"} <= set(boxes_of(picture))
    assert "next values of 12 variables" in boxes_of(picture)


@SHIPPED
def test_every_value_of_a_program_is_written_before_it_is_read(model: str) -> None:
    plan = stages(model)["plan"]
    for program in plan.programs.values():
        for number, values in enumerate(data_flow(plan, program).reads):
            assert all(value.instruction < number for value in values)


def test_a_parameter_is_read_forwards_and_written_at_the_end() -> None:
    plan = stages("fashion_mlp")["plan"]
    life = next(
        life for life in variable_lives(plan, "logits.dense.weight") if life.program == "train"
    )
    assert life.space == "variables"
    assert life.bytes == 784 * 128 * 4
    assert plan.programs["train"].instructions[life.read[0]].op == "matmul"
    assert min(life.written) >= plan.programs["train"].commit


def test_values_that_share_bytes_do_not_live_together() -> None:
    plan = stages("gpt")["plan"]
    lives = [v for v in value_lives(plan, lambda i: True) if v.program == "predict" and v.read]
    arena = [v for v in lives if v.space == "arena"]
    for a in arena:
        for b in arena:
            meet = max(a.offset, b.offset) < min(a.offset + a.bytes, b.offset + b.bytes)
            together = a.written[0] < b.written[0] < a.read[-1]
            assert not (meet and together)


# --- dimensions -------------------------------------------------------------------------------


def test_a_dimension_is_followed_to_the_weights_that_make_it() -> None:
    graph = perceptron()
    output = graph.outputs[0].value
    end = origin_of(graph, Axis(output, 1))
    assert graph.nodes[end.value.node].attrs["path"] == "layer.dense.weight"
    assert end.axis == 1


def test_an_open_dimension_is_followed_to_its_input() -> None:
    graph = perceptron()
    end = origin_of(graph, Axis(graph.outputs[0].value, 0))
    assert graph.nodes[end.value.node].attrs["name"] == "x"


def test_a_dimension_is_followed_through_moves() -> None:
    b = Builder()
    x = b.input("x", TensorType("f32", (2, 3, 5)))
    moved = b("transpose", x, perm=(2, 0, 1))
    folded = b("reshape", moved, shape=(10, 3))
    total = b("reduce_sum", folded, axes=(0,), keep=False)
    graph = b.finish([Output("y", total.ref)])
    assert origin_of(graph, Axis(total.ref, 0)) == Axis(x.ref, 1)
    assert origin_of(graph, Axis(folded.ref, 0)) == Axis(folded.ref, 0)


def test_the_inner_sizes_of_a_product_meet() -> None:
    graph = perceptron()
    weight = next(n for n in graph.nodes if n.attrs.get("path") == "layer.dense.weight")
    (node, other), = meets(graph, Axis(Ref(weight.id), 0))
    assert node.op == "matmul"
    assert graph.nodes[other.value.node].attrs["name"] == "x"
    assert other.axis == 1


# --- tables -----------------------------------------------------------------------------------


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    text = table(("name", "none", "count"), [("a", "", "1"), ("long", "", "200")], ("count",))
    assert text.splitlines() == ["  name  count", "  a         1", "  long    200"]


@pytest.mark.parametrize(
    "count, text",
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (401_408, "401.4 kB")],
)
def test_bytes_are_told_in_decimal_units(count: int, text: str) -> None:
    assert bytes_text(count) == text


def test_work_is_told_in_short() -> None:
    assert [flops_text(n) for n in (7, 1_200, 55_600_000)] == ["7", "1.2 k", "55.6 M"]
