"""The one style: what it looks like, and that it keeps the meaning and the comments."""

from __future__ import annotations

import random
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from flow_examples import ALL, GPT
from hypothesis import given, settings
from hypothesis import strategies as st
from mutate import mutated

from flowc.diagnostic import Sink
from flowc.render import render_text
from flowc.source import Source, Span
from flowc.syntax.format import format_text
from flowc.syntax.parse import parse
from flowc.syntax.tree import Tree


def formatted(text: str) -> str:
    sink = Sink()
    result = format_text(Source("test.flow", text), sink)
    assert not sink.errors, render_text(sink.errors)
    return result


def parsed(text: str) -> Tree:
    sink = Sink()
    tree = parse(Source("test.flow", text), sink)
    assert not sink.errors, render_text(sink.errors)
    return tree


def same(one: Any, other: Any) -> bool:
    """Whether two trees say the same, wherever it stands."""
    if isinstance(one, tuple):
        both = isinstance(other, tuple) and len(one) == len(other)
        return both and all(map(same, one, other))
    if isinstance(one, Span):
        return True
    if is_dataclass(one):
        names = [field.name for field in fields(one)]
        return type(one) is type(other) and all(
            same(getattr(one, name), getattr(other, name)) for name in names
        )
    return bool(one == other)


def assert_kept(text: str) -> None:
    """The style keeps items and comments, leaves no blanks behind, and changes nothing twice."""
    tree, result = parsed(text), formatted(text)
    again = parsed(result)
    assert same(tree.items, again.items)
    assert len(tree.comments) == len(again.comments)
    assert formatted(result) == result
    assert all(line == line.rstrip() for line in result.split("\n"))


def assert_style(text: str, expected: str) -> None:
    assert formatted(text) == expected
    assert formatted(expected) == expected


def in_model(*lines: str) -> str:
    return "\n".join(["model m {", *(f"  {line}" if line else "" for line in lines), "}", ""])


# --- what it looks like -----------------------------------------------------------------------


def test_blanks_and_empty_lines_are_put_in_order() -> None:
    text = "model   m{\n\n\n\tx=dense( a,3 , bias=true )\n\n\n\n  y   =x[ :,0 ]|>relu\n\n}\n\n\n"
    assert_style(text, in_model("x = dense(a, 3, bias = true)", "", "y = x[:, 0] |> relu"))


def test_columns_are_not_aligned() -> None:
    assert_style(in_model("loss    = a", "metric b  = c"), in_model("loss = a", "metric b = c"))


def test_comments_stay_before_and_behind_what_they_stand_at() -> None:
    text = "# a\n\n#b\nmodel m {# c\n   # d\n x = 1# e\n\n # f\n}   # g\n# h"
    expected = "# a\n\n# b\nmodel m {  # c\n  # d\n  x = 1  # e\n\n  # f\n}  # g\n# h\n"
    assert_style(text, expected)


def test_a_long_chain_of_pipes_gets_a_line_for_each() -> None:
    stages = ["conv2d(64, kernel = 7, stride = 2)", "batch_norm", "relu", "max_pool(3, stride = 2)"]
    text = in_model("some_name = image |> " + " |> ".join(stages))
    assert_style(text, in_model("some_name = image", *(f"  |> {stage}" for stage in stages)))


def test_long_arguments_get_a_line_for_each() -> None:
    arguments = [f"a_long_name_for_an_argument_{i} = {i}" for i in range(4)]
    lines = [f"  {argument}," for argument in arguments[:-1]] + [f"  {arguments[-1]}"]
    text = in_model(f"x = f({', '.join(arguments)})")
    assert_style(text, in_model("x = f(", *lines, ")"))


def test_a_long_head_of_a_block_gets_a_line_for_each_parameter() -> None:
    parameters = [f"a_long_parameter_{i}: f32[batch, n]" for i in range(4)]
    text = f"block f({', '.join(parameters)}) -> f32[n] {{ return a }}"
    lines = ",\n".join(f"  {parameter}" for parameter in parameters)
    assert_style(text, f"block f(\n{lines}\n) -> f32[n] {{\n  return a\n}}\n")


def test_a_long_sum_breaks_before_its_operators() -> None:
    names = [f"a_rather_long_name_number_{i}" for i in range(5)]
    text = in_model("x = " + " + ".join(names))
    assert_style(text, in_model(f"x = {names[0]}", *(f"  + {name}" for name in names[1:])))


def test_a_long_list_of_numbers_fills_its_lines() -> None:
    lines = formatted(in_model(f"x = [{', '.join(str(i) for i in range(100))}]")).split("\n")
    assert max(map(len, lines)) <= 100 and len(lines) < 12


def test_comments_between_arguments_and_pipes_stay_there() -> None:
    lines = [
        "x = f(", "  a,  # first", "  # own", "  b = 3  # second", "  # end", ")",
        "y = x  # start", "  |> g", "  # now h", "  |> h  # end",
    ]  # fmt: skip
    assert_style(in_model(*lines), in_model(*lines))


def test_a_comment_that_finds_no_place_goes_before_its_statement() -> None:
    assert_style(in_model("x =  # why", "  3"), in_model("# why", "x = 3"))


def test_a_body_on_one_line_stays_there_if_it_fits() -> None:
    text = "schedule s(n: int) { return n }\n"
    assert_style(text, text)
    assert_style("schedule s(n: int) {\nreturn n }", "schedule s(n: int) {\n  return n\n}\n")


def test_brackets_stay_inside_operations_and_go_elsewhere() -> None:
    text = in_model("x = ((a * b) + (c))", "y = f((a + b), (c))")
    assert_style(text, in_model("x = (a * b) + c", "y = f(a + b, c)"))


@pytest.mark.parametrize(
    "expression",
    [
        "16..4096", "-a ^ -b", "(-a) ^ b", "a ^ b ^ c", "(a ^ b) ^ c", "not (a and b)", "-(a + b)",
        "a - (b - c)", "(a < b) == c", "x |> (a.b)(c)", "(x |> f) + 1",
        "x[1:2, ::2, i + 1 :, : n - 1]",
        "f(scan x over time as xt { yield xt }, 3)", "[a, (b, c)]", "1_000 + 1e-3", "a.b[0](c)",
        '"a\\n" except "**"', "-(-a)", "not not a",
    ],
)  # fmt: skip
def test_an_expression_keeps_its_meaning(expression: str) -> None:
    assert_kept(in_model(f"x = {expression}"))


def test_numbers_and_texts_stay_as_they_were_written() -> None:
    line = 'x = f(1_000, 1e-3, 2E5, 007, "\\t")'
    assert_style(in_model(line), in_model(line))


def test_an_empty_file_stays_empty() -> None:
    assert formatted("") == "" and formatted("\n\n  \n") == ""


def test_a_text_with_mistakes_is_left_alone() -> None:
    sink = Sink()
    text = "model   m { x = = 3 }"
    assert format_text(Source("test.flow", text), sink) == text
    assert [d.code for d in sink.diagnostics] == ["syntax"]


@pytest.mark.parametrize("text", ALL)
def test_the_examples_of_the_language_are_kept(text: str) -> None:
    assert_kept(text)


def test_the_gpt_of_the_examples_is_in_style_but_for_its_alignment() -> None:
    def squeezed(text: str) -> list[str]:
        return [" ".join(line.split()) for line in text.split("\n")]

    assert squeezed(formatted(GPT)) == squeezed(GPT)


# --- generated texts --------------------------------------------------------------------------

names = st.sampled_from(
    ["x", "train", "loss", "over", "param", "input", "a_name_of_some_length", "state", "axis"]
)
atoms = st.one_of(
    names, st.sampled_from(["1", "0.5", "1e-3", "1_000", "true", '"text"', '"# no comment"'])
)
operators = st.sampled_from(
    ["+", "-", "*", "/", "//", "%", "@", "^", "and", "or", "..", "except", "<", "=="]
)


def _joined(items: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[str]:
    return st.lists(items, min_size=least, max_size=4).map(", ".join)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bracketed = inner.map(lambda e: f"({e})")
    argument = st.one_of(inner, st.tuples(names, inner).map(lambda p: f"{p[0]} = {p[1]}"))
    call = st.tuples(names, _joined(argument)).map(lambda p: f"{p[0]}({p[1]})")
    return st.one_of(
        bracketed,
        call,
        st.tuples(bracketed, operators, bracketed).map(" ".join),
        st.tuples(atoms, st.sampled_from(["+", "*", "-"]), bracketed).map(" ".join),
        st.tuples(st.sampled_from(["-", "not "]), bracketed).map("".join),
        st.tuples(bracketed, call, call).map(" |> ".join),
        _joined(inner).map(lambda e: f"[{e}]"),
        _joined(inner, 2).map(lambda e: f"({e})"),
        st.tuples(names, _joined(inner, 1)).map(lambda p: f"{p[0]}[{p[1]}]"),
        st.tuples(names, names).map(".".join),
        st.tuples(bracketed, inner).map(
            lambda p: f"scan {p[0]} over time as xt carry (h = {p[1]}) {{\n h = xt\n yield h\n}}"
        ),
    )


expressions = st.recursive(atoms, _larger, max_leaves=12)
simple = st.one_of(
    st.tuples(names, expressions).map(" = ".join),
    st.tuples(names, names, expressions).map(lambda p: f"{p[0]}, {p[1]} = {p[2]}, x"),
    st.tuples(names, names, expressions).map(lambda p: f"{p[0]}({p[1]}) = {p[2]}"),
    st.tuples(st.sampled_from(["layer", "next", "metric", "output"]), names, expressions).map(
        lambda p: f"{p[0]} {p[1]} = {p[2]}"
    ),
    st.tuples(names, expressions).map(lambda p: f"param {p[0]}: f32[n, time = 3] = {p[1]}"),
    names.map(lambda n: f"output {n}"),
    expressions.map(lambda e: f'assert {e}, "why"'),
    expressions.map(lambda e: f"return {e}, x"),
)


def _bodies(statements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(statements, max_size=3).map(lambda lines: "{\n" + "\n".join(lines) + "\n}")
    return st.one_of(
        st.tuples(expressions, body).map(lambda p: f"repeat {p[0]} as i {p[1]}"),
        st.tuples(expressions, body, body).map(lambda p: f"if {p[0]} {p[1]} else {p[2]}"),
        st.tuples(expressions, simple).map(lambda p: f"if {p[0]} {{ {p[1]} }}"),
    )


statements = st.recursive(simple, _bodies, max_leaves=4)
models = st.lists(statements, max_size=4).map(lambda lines: in_model(*lines))


@st.composite
def commented(draw: st.DrawFn) -> str:
    """A model with comments and blank lines at the ends of some lines."""
    lines = draw(models).split("\n")
    ends = draw(st.lists(st.sampled_from(["", "", "  # c", "#c\n # d", "\n\n", "\n# e"]),
                         min_size=len(lines), max_size=len(lines)))
    return "\n".join(line + end for line, end in zip(lines, ends, strict=True))


@settings(max_examples=150, deadline=None)
@given(commented())
def test_any_model_is_kept(text: str) -> None:
    assert_kept(text)


def test_comments_may_stand_anywhere() -> None:
    rng = random.Random(3)
    for _ in range(150):
        text = rng.choice(ALL)
        for _ in range(rng.randrange(1, 6)):
            blanks = [i for i, letter in enumerate(text) if letter in " \n"]
            at = rng.choice(blanks)
            text = text[:at] + rng.choice([" # c\n", "\n#d\n", "\n\n\n"]) + text[at:]
        if _is_sound(text):
            assert_kept(text)


def test_mutated_texts_that_are_sound_are_kept() -> None:
    rng = random.Random(4)
    for _ in range(300):
        text = mutated(rng, rng.choice(ALL), ALL)
        if _is_sound(text):
            assert_kept(text)


def _is_sound(text: str) -> bool:
    sink = Sink()
    parse(Source("test.flow", text), sink)
    return not sink.errors
