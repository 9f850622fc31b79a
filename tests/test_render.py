"""Diagnostics as people and as tools get them."""

from __future__ import annotations

from typing import Any

from flowc.diagnostic import Diagnostic, Fix, Label
from flowc.render import json_report, render_github, render_sarif, render_text
from flowc.source import Source, Span

MODEL = Source(
    "model.flow",
    'model m {\n  w = param(512, 128)\n\n\n  h = relu(x @ w + b)\n\ty = "ü漢" + $\n}\n',
)
OTHER = Source("lib/vision.flow", "block f(x) {\n  return x\n}\n")


def span(text: str, source: Source = MODEL) -> Span:
    start = source.text.index(text)
    return Span(source, start, start + len(text))


MISMATCH = Diagnostic(
    "shape-mismatch",
    "`@` needs equal inner sizes, got 784 and 512",
    Label(span("x @ w"), "x: f32[batch, 784]"),
    (Label(span("param(512, 128)"), "w: f32[512, 128]"),),
    notes=("sizes are checked before anything runs",),
    help="declare `w = param(784, 128)`",
    fix=Fix(span("512"), "784"),
)


# --- for people -------------------------------------------------------------------------------


def test_a_diagnostic_shows_both_places_in_the_text() -> None:
    assert render_text([MISMATCH]) == (
        "error[shape-mismatch]: `@` needs equal inner sizes, got 784 and 512\n"
        " --> model.flow:5:12\n"
        "  |\n"
        "2 |   w = param(512, 128)\n"
        "  |       --------------- w: f32[512, 128]\n"
        "...\n"
        "5 |   h = relu(x @ w + b)\n"
        "  |            ^^^^^ x: f32[batch, 784]\n"
        "  = note: sizes are checked before anything runs\n"
        "  = help: declare `w = param(784, 128)`\n"
        "    (flowc explain shape-mismatch; flowc check --fix repairs it)"
    )


def test_places_in_another_file_stand_under_its_name() -> None:
    other = Label(span("f(x)", OTHER), "defined here")
    lines = render_text([Diagnostic("a-code", "no", Label(span("relu")), (other,))]).split("\n")
    assert " --> model.flow:5:7" in lines and " ::: lib/vision.flow:1:7" in lines
    assert lines.index(" --> model.flow:5:7") < lines.index(" ::: lib/vision.flow:1:7")


def test_several_places_on_a_line_share_a_row_of_marks() -> None:
    others = (Label(span("relu"), "called here"), Label(span("b)"), "and this"))
    text = render_text([Diagnostic("a-code", "no", Label(span("x @ w"), "main"), others)])
    assert "  |       ---- ^^^^^   -- and this\n" in text
    assert "  |            main\n  |       called here\n" in text


def test_marks_stand_right_behind_tabs_and_wide_letters() -> None:
    lines = render_text([Diagnostic("a-code", "no", Label(span("$")))]).split("\n")
    shown, marks = lines[3], lines[4]
    assert shown == '6 |     y = "ü漢" + $'
    assert marks == "  |" + " " * (len('     y = "ü漢" + ') + 1) + "^"


def test_an_empty_place_gets_one_mark() -> None:
    end = Span(MODEL, len(MODEL.text), len(MODEL.text))
    assert "8 |\n  | ^ here" in render_text([Diagnostic("a-code", "no", Label(end, "here"))])


def test_a_place_over_several_lines_is_marked_on_its_first() -> None:
    text = render_text([Diagnostic("a-code", "no", Label(Span(MODEL, 0, len(MODEL.text))))])
    assert "1 | model m {\n  | ^^^^^^^^^\n" in text


def test_a_diagnostic_without_a_place_is_a_head_and_help() -> None:
    text = render_text([Diagnostic("a-code", "no", help="yes", severity="warning")])
    assert text == "warning[a-code]: no\n  = help: yes\n    (flowc explain a-code)"


def test_a_very_long_line_is_cut_around_its_mark() -> None:
    source = Source("long.flow", "a" * 500 + "$" + "b" * 500)
    lines = render_text([Diagnostic("a-code", "no", Label(span("$", source)))]).split("\n")
    shown, marks = lines[3], lines[4]
    assert len(shown) < 130 and shown[marks.index("^")] == "$"
    assert shown.startswith("1 | …") and shown.endswith("…")


def test_what_would_drive_the_terminal_is_not_shown() -> None:
    source = Source("evil\x1b.flow", 'x = "\x1b[2J\u202e"')
    text = render_text([Diagnostic("a-code", "bad \x1b[31m", Label(span("x", source), "\x07"))])
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_colours_only_come_when_asked_for() -> None:
    plain, colored = render_text([MISMATCH]), render_text([MISMATCH], color=True)
    assert "\x1b" not in plain and "\x1b[1;31merror[shape-mismatch]\x1b[0m" in colored


def test_diagnostics_are_apart_by_a_blank_line() -> None:
    assert render_text([MISMATCH, MISMATCH]).count("\n\nerror[") == 1
    assert render_text([]) == ""


# --- for tools --------------------------------------------------------------------------------


def test_json_has_a_versioned_schema_and_all_places() -> None:
    report = json_report([MISMATCH])
    assert report["schema"] == "flowc.check/1"
    (found,) = report["diagnostics"]
    assert (found["code"], found["severity"], found["file"]) == (
        "shape-mismatch", "error", "model.flow",
    )  # fmt: skip
    assert (found["line"], found["column"]) == (5, 12)
    assert (found["end_line"], found["end_column"]) == (5, 17)
    assert [(label["role"], label["line"]) for label in found["labels"]] == [
        ("main", 5), ("other", 2),
    ]  # fmt: skip
    assert found["fix"]["text"] == "784" and found["fix"]["column"] == 13
    assert found["notes"] == ["sizes are checked before anything runs"]


def test_json_without_a_place_has_no_file() -> None:
    (found,) = json_report([Diagnostic("a-code", "no")])["diagnostics"]
    assert "file" not in found and found["labels"] == [] and found["fix"] is None


def _run(*diagnostics: Diagnostic) -> Any:
    log = render_sarif(diagnostics)
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    return run


def test_sarif_names_the_tool_and_its_rules() -> None:
    run = _run(MISMATCH, Diagnostic("a-code", "no"), MISMATCH)
    driver = run["tool"]["driver"]
    assert driver["name"] == "flowc" and run["columnKind"] == "unicodeCodePoints"
    assert [rule["id"] for rule in driver["rules"]] == ["a-code", "shape-mismatch"]
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_sarif_has_locations_and_fixes() -> None:
    (result,) = _run(MISMATCH)["results"]
    (location,) = result["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "model.flow"}
    assert physical["region"] == {
        "startLine": 5, "startColumn": 12, "endLine": 5, "endColumn": 17,
    }  # fmt: skip
    (related,) = result["relatedLocations"]
    assert related["message"]["text"] == "w: f32[512, 128]"
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"] == {"text": "784"}
    assert result["level"] == "error" and "help: declare" in result["message"]["text"]


def test_sarif_leaves_out_what_is_not_there() -> None:
    (result,) = _run(Diagnostic("a-code", "no"))["results"]
    assert set(result) == {"ruleId", "ruleIndex", "level", "message"}


def test_paths_are_uris_in_sarif() -> None:
    source = Source("a b/ü.flow", "x")
    (result,) = _run(Diagnostic("a-code", "no", Label(Span(source, 0, 1))))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "a%20b/%C3%BC.flow"


def test_github_gets_one_escaped_line_each() -> None:
    source = Source("a,b:c.flow", "x")
    found = Diagnostic("a-code", "50% of\nit", Label(Span(source, 0, 1)), severity="warning")
    assert render_github([found, Diagnostic("b-code", "no")]) == (
        "::warning title=a-code,file=a%2Cb%3Ac.flow,line=1,col=1,endLine=1,endColumn=2"
        "::50%25 of%0Ait\n::error title=b-code::no"
    )
