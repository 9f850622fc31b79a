"""From text to Tree: what is understood, and what is said about what is not."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from flow_examples import ALL, GPT, PERCEPTRON, PIPELINE
from mutate import mutated

from flowc.diagnostic import Diagnostic, Sink
from flowc.render import render_text
from flowc.source import Source
from flowc.syntax import tree as t
from flowc.syntax.parse import parse
from flowc.syntax.read import read_source
from flowc.syntax.walk import children


def parsed(text: str) -> t.Tree:
    sink = Sink()
    tree = parse(Source("test.flow", text), sink)
    assert not sink.diagnostics, render_text(sink.diagnostics)
    return tree


def complaints(text: str) -> list[Diagnostic]:
    sink = Sink()
    parse(Source("test.flow", text), sink)
    return sink.diagnostics


def complaint(text: str) -> Diagnostic:
    found = complaints(text)
    assert len(found) == 1, render_text(found)
    return found[0]


def in_model(body: str) -> str:
    return f"model m {{\n{body}\n}}\n"


def statements(body: str) -> tuple[t.Statement, ...]:
    (model,) = parsed(in_model(body)).items
    assert isinstance(model, t.Model)
    return model.body


def statement(body: str) -> t.Statement:
    (found,) = statements(body)
    return found


def shape(expression: str) -> str:
    """An expression with all its brackets written out."""
    bind = statement(f"y = {expression}")
    assert isinstance(bind, t.Bind)
    return _shape(bind.value)


def _shape(node: t.Expr) -> str:
    match node:
        case t.Binary():
            return f"({_shape(node.left)} {node.op} {_shape(node.right)})"
        case t.Pipe():
            return f"({_shape(node.left)} |> {_shape(node.right)})"
        case t.Unary():
            return f"({node.op} {_shape(node.operand)})"
    return node.span.text


# --- what is understood -----------------------------------------------------------------------


@pytest.mark.parametrize("text", ALL)
def test_the_examples_of_the_language_are_understood(text: str) -> None:
    assert parsed(text).items


def test_the_perceptron_has_its_items_in_order() -> None:
    kinds = [type(item).__name__ for item in parsed(PERCEPTRON).items]
    assert kinds == ["Hyper", "Model", "Data", "Data", "Train"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a @ b / c", "((a @ b) / c)"),
        ("-a ^ b", "(- (a ^ b))"),
        ("a ^ -b ^ c", "(a ^ (- (b ^ c)))"),
        ("a ^ -b * c", "((a ^ (- b)) * c)"),
        ("-a * b", "((- a) * b)"),
        ("not a == b and c or d", "(((not (a == b)) and c) or d)"),
        ("a + 1..b", "((a + 1) .. b)"),
        ("a except b or c", "(a except (b or c))"),
        ("a @ b |> f |> g(1)", "(((a @ b) |> f) |> g(1))"),
        ("(a + b) * c", "((a + b) * c)"),
        ("a == b..c", "(a == (b .. c))"),
    ],
)
def test_operators_bind_by_their_precedence(text: str, expected: str) -> None:
    assert shape(text) == expected


def test_a_span_takes_in_the_brackets_around_an_operation() -> None:
    bind = statement("y = (a + b) * c")
    assert isinstance(bind, t.Bind) and isinstance(bind.value, t.Binary)
    assert bind.value.span.text == "(a + b) * c"
    assert bind.value.left.span.text == "(a + b)"


@pytest.mark.parametrize(
    ("text", "value"),
    [("128", 128), ("1_000", 1000), ("0.9", 0.9), ("1e-3", 0.001), ("2E+2", 200.0), ("007", 7)],
)
def test_whole_numbers_and_others_are_told_apart(text: str, value: int | float) -> None:
    bind = statement(f"y = {text}")
    assert isinstance(bind, t.Bind) and isinstance(bind.value, t.Number)
    assert bind.value.value == value and type(bind.value.value) is type(value)


def test_escapes_in_texts_are_resolved() -> None:
    bind = statement(r'y = "a\n\t\"\\"')
    assert isinstance(bind, t.Bind) and isinstance(bind.value, t.String)
    assert bind.value.value == 'a\n\t"\\'


@pytest.mark.parametrize(
    "text",
    [
        "y = x\n  |> relu",
        "y = x  # why\n\n  # and here\n  |> relu",
        "y = x |>\n  relu",
        "y =\n  x |> relu",
        "y = f(\n\n  a,  # one\n  b,\n)\n",
        "y = a +\n b",
        "y = a\n and b",
        "a,\n b = x",
        "y = [1,\n2]\n  + 3",
    ],
)
def test_a_statement_goes_on_over_lines_that_belong_together(text: str) -> None:
    assert isinstance(statement(text), t.Bind)


def test_a_statement_ends_with_its_line() -> None:
    assert len(statements("a = x\nb = y\n\nc = z")) == 3


def test_statements_stand_in_braces_that_stand_in_brackets() -> None:
    bind = statement("y = f(scan x over time as xt {\n  a = xt\n  yield a\n}, 3)")
    assert isinstance(bind, t.Bind) and isinstance(bind.value, t.Call)
    scan = bind.value.arguments[0].value
    assert isinstance(scan, t.Scan) and len(scan.body) == 2


@pytest.mark.parametrize("brace", ["if a\n{\n  x = 1\n}\nelse\n{\n  x = 2\n}", "if a {} else {}"])
def test_braces_and_else_may_start_a_line(brace: str) -> None:
    assert isinstance(statement(brace), t.If)


def test_tabs_and_carriage_returns_are_blanks() -> None:
    assert len(statements("\ta = x\r\n\t\tb = y\r\n")) == 2


WORDS = (
    "flow hyper import block optimizer schedule model data train place replicate variables shard "
    "stage pipeline sync over by axis on reversed carry input param state next layer output metric"
).split()


@pytest.mark.parametrize("word", [*WORDS, "test", "freeze", "init", "epochs"])
def test_most_words_of_the_language_may_be_names(word: str) -> None:
    text = f"{word} = f({word}, {word} = {word}) + {word}.{word}[{word}]\n{word}({word}) = {word}"
    bound, local = statements(text)
    assert isinstance(bound, t.Bind) and isinstance(local, t.LocalFunction)


def test_loss_is_a_statement_at_its_start_and_a_name_elsewhere() -> None:
    loss, other = statements("loss = f(loss, loss = loss)\na, loss = loss |> loss")
    assert isinstance(loss, t.Loss) and isinstance(other, t.Bind)


def test_settings_of_train_may_be_named_like_statements() -> None:
    (train,) = parsed("train {\n  data = train\n  loss = 3\n  state = 1\n}").items
    assert isinstance(train, t.Train)
    assert [setting.key.text for setting in train.settings] == ["data", "loss", "state"]


def test_words_with_another_name_behind_them_start_statements() -> None:
    kinds = [
        type(found).__name__
        for found in statements(
            "input a: f32\nparam b: f32[n] = ones\nstate c = 1\nnext c = 2\nlayer d = f(1)\n"
            "output e\nmetric g = h\nreturn a\nyield a, b\nassert a"
        )
    ]
    assert kinds == [
        "Input", "Param", "State", "Next", "Layer", "Output", "Metric", "Return", "Yield",
        "Assert",
    ]  # fmt: skip


def test_an_output_may_be_just_a_name() -> None:
    output = statement("output logits")
    assert isinstance(output, t.Output) and isinstance(output.value, t.Name)
    assert output.value.text == "logits"


def test_compile_time_types_of_parameters_are_names_and_others_are_tensor_types() -> None:
    text = "block f(a: int, b: f32, c: bool, d: bool[], e: t[..., n], g = 3, h) { return a }"
    (block,) = parsed(text).items
    assert isinstance(block, t.Block)
    kinds = [type(parameter.type).__name__ for parameter in block.parameters]
    tensor = "TensorTypeExpr"
    assert kinds == ["Name", tensor, "Name", tensor, tensor, "NoneType", "NoneType"]


def test_patterns_of_place_may_be_ranges_and_wildcards() -> None:
    first, second = (s for s in _place(PIPELINE).statements if isinstance(s, t.Stage))
    assert first.device.value == "gpu:0"
    assert [(p.first, p.last) for p in first.patterns] == [("stem", None), ("mixed_0", "mixed_4")]
    assert [(p.first, p.last) for p in second.patterns] == [("mixed_5", ""), ("head", None)]


@pytest.mark.parametrize("path", ["**", "head.**", "encoder.3.attention", "a.0.1.b", "*.weight"])
def test_a_path_may_have_numbers_and_stars(path: str) -> None:
    (shard,) = _place(f"place {{\n shard {path} axis 0 over ps\n}}").statements
    assert isinstance(shard, t.Shard) and shard.pattern.first == path


def _place(text: str) -> t.Place:
    (place,) = parsed(text).items
    assert isinstance(place, t.Place)
    return place


def test_comments_are_kept_aside_in_order() -> None:
    texts = [comment.text for comment in parsed("# a\nmodel m {  # b \n  # c\n}\n#d").comments]
    assert texts == ["# a", "# b", "# c", "#d"]


def test_a_library_module_has_a_dotted_name() -> None:
    (item,) = parsed("import std.vision (a, b as c)").items
    assert isinstance(item, t.Import)
    assert (item.module, item.library, item.origin.text) == ("std.vision", True, "std.vision")
    assert [n.alias and n.alias.text for n in item.names] == [None, "c"]


def test_every_node_lies_within_its_owner() -> None:
    pending: list[object] = list(parsed(GPT).items)
    while pending:
        node = pending.pop()
        for child in children(node):
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end
            pending.append(child)


# --- what is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "marked", "message"),
    [
        ("x = dense(3 relu)", "syntax", "relu", "expected `,` or `)` here, found `relu`"),
        ("x = ", "syntax", "", "expected a value here, found the end of the line"),
        ("x relu(3)", "syntax", "relu", "expected `=` here, found `relu`"),
        ("metric acc mean(x)", "syntax", "mean", "expected `=` here, found `mean`"),
        ("input x f32[3]", "syntax", "f32", "expected `:` here, found `f32`"),
        ("assert x, 3", "syntax", "3", "expected a text in quotes here, found `3`"),
        ("x = f(a))", "syntax", ")", "this `)` closes nothing"),
        ("x = [1, 2)", "syntax", ")", "expected `]` here, found `)`"),
        ("x = a |> 3", "syntax", "3", "`|>` passes a value to a block, but this is none"),
        ("x = a < b <= c", "chained-comparison", "<=", "comparisons do not chain"),
        ("x = $", "bad-character", "$", "`$` has no meaning here"),
        ("βeta = 3", "bad-character", "βeta", "the name `βeta` has letters other than"),
        ("x = 3x", "bad-number", "3x", "`3x` is no number"),
        ("x = 1e999", "bad-number", "1e999", "`1e999` is too large for a number"),
        ("x = 9223372036854775808", "bad-number", "9223372036854775808", "too large"),
        ('x = "abc', "bad-string", '"abc', "this text does not end on its line"),
        (r'x = "a\q"', "bad-string", r"\q", r"`\q` is no escape"),
        ("block f(x) { return x }", "syntax", "block", "expected a statement here, found `block`"),
    ],
)
def test_a_mistake_is_named_and_marked(line: str, code: str, marked: str, message: str) -> None:
    found = complaint(in_model(f"  {line}\n  fine = 1"))
    assert found.label is not None
    assert (found.code, found.label.span.line, found.label.span.text) == (code, 2, marked)
    assert message in found.message


@pytest.mark.parametrize(
    ("line", "help"),
    [
        ("let x = 3", "a name is bound without `let`"),
        ("def f(x) {}", "write `block f"),
        ("for i in x {}", "`repeat n as i { ... }`"),
        ("if a = b {}", "to compare, write `==`"),
        ("if a: ", "a body stands in braces"),
        ("x += 1", "write `x = x + ...`"),
        ("x = 1 // why not", "comments start with `#`"),
        ("x = None", "leave the argument or the setting out"),
        ("f(x)", "a statement gives a value a name"),
        ("x = f(repeat)", "`repeat` is a word of the language"),
        ("n = .5", "a number has a digit before its point"),
        ("x: f32 = 3", "only `input`, `param` and `state` say their type"),
    ],
)
def test_habits_of_other_languages_get_help(line: str, help: str) -> None:
    found = complaint(in_model(f"  {line}"))
    assert found.code == "syntax"
    assert found.help is not None and help in found.help


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("x := 3", "x = 3"),
        ("x = 3;", "x = 3"),
        ("x = a && b", "x = a and b"),
        ("x = !a", "x = not a"),
        ("x = a ** 2", "x = a ^ 2"),
        ("x = True", "x = true"),
        ("x = 'abc'", 'x = "abc"'),
        ("let x = 3", "x = 3"),
        ("assert a = b", "assert a == b"),
        ("x = a\u00a0+ b", "x = a + b"),
    ],
)
def test_a_certain_repair_is_offered_as_an_edit(wrong: str, right: str) -> None:
    fix = complaint(in_model(wrong)).fix
    assert fix is not None
    text = fix.span.source.text
    assert text[: fix.span.start] + fix.text + text[fix.span.end :] == in_model(right)


def test_an_unclosed_bracket_is_found_where_the_next_statement_starts() -> None:
    found = complaint(in_model("  x = f(a,\n    b\n  y = 3"))
    assert found.code == "unclosed" and found.label is not None
    assert found.label.span.line == 2 and found.others[0].span.line == 4


def test_an_unclosed_brace_is_found_where_the_next_item_starts() -> None:
    text = "model m {\n  repeat 3 {\n    x = 3\n}\n\ndata train = a -> b\n"
    found = complaint(text)
    assert found.code == "unclosed" and found.label is not None
    assert [label.span.line for label in (found.label, *found.others)] == [1, 6, 2, 4]


def test_a_brace_that_is_open_at_the_end_of_the_file_is_unclosed() -> None:
    assert complaint("model m {\n  x = 3\n").code == "unclosed"


def test_the_open_bracket_is_shown_beside_an_unexpected_word() -> None:
    found = complaint(in_model("x = dense(3 relu)"))
    assert [label.span.text for label in found.others] == ["("]


def test_an_import_says_which_names_it_takes() -> None:
    assert complaint('import "vision.flow"').code == "missing-names"


def test_a_newer_language_is_refused_before_its_words_are_judged() -> None:
    assert complaint("# new\nflow 2\nx = $ 3 'a").code == "unknown-version"


def test_the_version_stands_first() -> None:
    assert "first line" in complaint("train {}\nflow 1\n").message


def test_statements_outside_of_a_model_are_told_where_to_go() -> None:
    assert "inside of a `model`" in (complaint("x = 3\n").help or "")


def test_several_mistakes_are_reported_at_once_and_the_rest_is_kept() -> None:
    sink = Sink()
    text = in_model("a = 1\nb = = 2\nif a = b {\n  c = 3 4\n}\nd = 5") + "data x y\ntrain {}\n"
    tree = parse(Source("test.flow", text), sink)
    assert [d.label.span.line for d in sink.diagnostics if d.label] == [3, 4, 5, 9]
    model, train = tree.items
    assert isinstance(model, t.Model) and isinstance(train, t.Train)
    assert [type(s).__name__ for s in model.body] == ["Bind", "Bind"]


def test_a_refused_word_spoils_no_more_than_its_expression() -> None:
    sink = Sink()
    tree = parse(Source("test.flow", in_model("a = f(3x, b)")), sink)
    (model,) = tree.items
    assert isinstance(model, t.Model) and isinstance(model.body[0], t.Bind)
    call = model.body[0].value
    assert isinstance(call, t.Call) and isinstance(call.arguments[0].value, t.Missing)
    assert [d.code for d in sink.diagnostics] == ["bad-number"]


def test_no_more_than_twenty_mistakes_are_reported() -> None:
    assert len(complaints(in_model("x 1\n" * 100))) == 20


def test_complaints_come_in_the_order_of_the_text() -> None:
    lines = [d.label.span.line for d in complaints(in_model("x 1\ny = $\nz 1\n")) if d.label]
    assert lines == [2, 3, 4]


# --- hostile texts ----------------------------------------------------------------------------

MEGABYTE = 1 << 20
HOSTILE = {
    "lines": ("\n" * MEGABYTE, None),
    "comments": ("#\n" * (MEGABYTE // 2), "too-large"),
    "words": ("x " * (MEGABYTE // 2), "too-large"),
    "statements": (in_model("x=1\n" * 24_000), None),
    "too long": ("#" * (MEGABYTE + 1), "too-large"),
    "brackets": (in_model("x = " + "(" * 90_000), "too-deep"),
    "braces": ("model m " + "{" * 90_000, "too-deep"),
    "sum": (in_model("x = " + "+".join("a" * 40_000)), "too-deep"),
    "powers": (in_model("x = " + "^".join("a" * 40_000)), "too-deep"),
    "signs": (in_model("x = " + "-" * 90_000 + "1"), "too-deep"),
    "pipes": (in_model("x = " + "|>".join("a" * 40_000)), "too-deep"),
    "calls": (in_model("x = f" + "(1)" * 30_000), "too-deep"),
    "attributes": (in_model("x = f" + ".a" * 45_000), "too-deep"),
    "else if": (in_model("if a {}" + " else if a {}\n" * 15_000), "too-deep"),
    "list": (in_model("x = [" + "1," * 45_000 + "]"), None),
    "digits": (in_model("x = " + "1" * 1_000_000), "bad-number"),
    "quotes": ('"' * MEGABYTE, "too-large"),
    "backslashes": ('"' + "\\" * (MEGABYTE - 1), "bad-string"),
    "zero bytes": ("\0" * MEGABYTE, "bad-character"),
    "letters": ("é" * MEGABYTE, "bad-character"),
    "closers": ("}" * 90_000, "syntax"),
}


MOST_SECONDS = 2  # promised is one; machines that run tests are not always at their best


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_ends_soon(name: str) -> None:
    text, code = HOSTILE[name]
    parsed(PERCEPTRON)  # makes the tables
    start = time.process_time()
    found = complaints(text)
    assert time.process_time() - start < MOST_SECONDS
    assert (found[0].code if found else None) == code


def test_operations_and_brackets_may_nest_as_deep_as_the_limits_say() -> None:
    assert parsed(in_model("x = " + "(" * 198 + "a" + ")" * 198))
    assert parsed(in_model("x = " + "+".join("a" * 140)))


def test_mutated_texts_end_in_a_tree_or_in_located_complaints() -> None:
    rng = random.Random(7)
    for _ in range(400):
        text = mutated(rng, rng.choice(ALL), ALL)
        for found in complaints(text):
            assert found.label is not None
            assert 0 <= found.label.span.start <= found.label.span.end <= len(text)
            assert len(render_text([found]).split("\n")) <= 40


# --- files ------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m.flow"
    path.write_bytes(b"\xef\xbb\xbftrain {}\n")
    source = read_source(path, Sink())
    assert source is not None
    assert (source.text, source.name, source.folder) == ("train {}\n", str(path), tmp_path)


@pytest.mark.parametrize(
    ("raw", "code", "why"),
    [
        (b"train {}\n\xff", "not-utf8", "byte 0xff at offset 9"),
        (b"train\0", "not-utf8", "a zero byte at offset 5"),
        (b"#" * (MEGABYTE + 1), "too-large", "1,048,576"),
    ],
)
def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, raw: bytes, code: str, why: str
) -> None:
    path = tmp_path / "m.flow"
    path.write_bytes(raw)
    sink = Sink()
    assert read_source(path, sink) is None
    (found,) = sink.diagnostics
    assert found.code == code and why in found.message
    assert render_text([found])
