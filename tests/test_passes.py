"""Each pass: examples as text in `tests/passes/*.md`, and what holds for any graph."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from evaluate import evaluate
from graphs import SIZES, graphs, leaves
from hypothesis import given, settings
from hypothesis import strategies as st

from flowc.graph.bind import bind_sizes
from flowc.graph.graph import Graph
from flowc.graph.read import read_graph
from flowc.graph.text import print_graph
from flowc.graph.verify import VerifyError, verify
from flowc.graph.walk import Pass
from flowc.passes import PASSES, optimise
from flowc.passes.cse import cse
from flowc.passes.dead_code import dead_code
from flowc_runtime.ops.op import BadValue

EXAMPLES = Path(__file__).parent / "passes"
DISTINCT: tuple[Pass, ...] = tuple(dict.fromkeys(PASSES))
BLOCKS = re.compile(r"^## (.+?)\n(.*?)```before\n(.*?)```\n+```after\n(.*?)```", re.M | re.S)


@dataclass(frozen=True)
class Example:
    change: Pass
    title: str
    why: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.change.__name__}: {self.title}"


def examples() -> list[Example]:
    passes = {change.__name__: change for change in DISTINCT}
    return [
        Example(passes[path.stem], *match)
        for path in sorted(EXAMPLES.glob("*.md"))
        for match in BLOCKS.findall(path.read_text())
    ]


@pytest.mark.parametrize("example", examples(), ids=str)
def test_a_pass_turns_before_into_after(example: Example) -> None:
    before = verify(read_graph(example.before))
    after = verify(dead_code(example.change(before)))
    assert print_graph(after) == print_graph(verify(read_graph(example.after)))


@pytest.mark.parametrize("example", examples(), ids=str)
def test_an_example_says_why_and_keeps_its_meaning(example: Example) -> None:
    assert example.why.strip().endswith((".", ":"))
    before, after = read_graph(example.before), read_graph(example.after)
    _assert_same_meaning(before, after, seed=1)


def test_every_pass_has_examples() -> None:
    assert {e.change.__name__ for e in examples()} == {change.__name__ for change in DISTINCT}
    headings = [path.read_text().count("\n## ") for path in sorted(EXAMPLES.glob("*.md"))]
    assert sum(headings) == len(examples()), "a heading lacks its sentence, `before` or `after`"


@pytest.mark.parametrize("change", DISTINCT, ids=lambda change: change.__name__)
def test_a_pass_keeps_the_meaning_of_any_graph(change: Pass) -> None:
    @settings(max_examples=60, deadline=None)
    @given(graphs(), st.integers(0, 9))
    def check(graph: Graph, seed: int) -> None:
        _assert_same_meaning(graph, verify(change(graph)), seed)

    check()


@settings(max_examples=150, deadline=None)
@given(graphs(max_steps=24), st.integers(0, 9))
def test_all_passes_together_keep_the_meaning_of_any_graph(graph: Graph, seed: int) -> None:
    _assert_same_meaning(graph, optimise(graph), seed)
    bound = bind_sizes(graph, SIZES)
    _assert_same_meaning(bound, optimise(bound), seed)


@pytest.mark.parametrize("change", [cse, dead_code], ids=lambda change: change.__name__)
def test_a_second_time_changes_nothing(change: Pass) -> None:
    @settings(max_examples=60, deadline=None)
    @given(graphs())
    def check(graph: Graph) -> None:
        once = dead_code(change(graph))
        assert dead_code(change(once)) == once

    check()


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_passes_give_the_same_text_every_time(graph: Graph) -> None:
    assert print_graph(optimise(graph)) == print_graph(optimise(graph))


def test_the_watch_is_told_of_every_pass() -> None:
    told: list[str] = []
    optimise(read_graph("outputs:"), lambda name, graph: told.append(name))
    assert told == [change.__name__ for change in PASSES]


def _assert_same_meaning(before: Graph, after: Graph, seed: int) -> None:
    before, after = bind_sizes(before, SIZES), bind_sizes(after, SIZES)
    inputs, variables = leaves(before, seed)
    try:
        expected = evaluate(before, inputs, variables)
    except BadValue:
        with pytest.raises(BadValue):
            evaluate(after, inputs, variables)
        return
    found = evaluate(after, inputs, variables)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=2e-4, atol=1e-5, err_msg=name)


def test_a_pass_that_breaks_a_promise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(graph: Graph) -> Graph:
        return Graph(graph.nodes[:-1], graph.outputs, graph.updates)

    text = "%0: f32[2] = input {name=x}\n%1: f32[2] = exp(%0)\noutputs:\n  loss = %1"
    for following in (dead_code, cse):  # one stumbles over it, the other does not look
        monkeypatch.setattr("flowc.passes.PASSES", (dead_code, forgetful, following))
        with pytest.raises(VerifyError, match="pass 1, forgetful: %1 is wanted, but does not"):
            optimise(read_graph(text))
