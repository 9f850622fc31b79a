"""The error tour: wrong models with what is said about them, as comments on the guilty lines.

    # error: [code] "part of the message"      on the line of the main label (or `# warning:`)
    # label: "part of the text"                on the line of another label
    # flowc check -D name=value                on the first line: how the file is checked

Every diagnostic needs its comment, and every comment its diagnostic; so does each label that lies
on another line than the main one. What is said about `-D` stands on the first line, what is said
about an imported file stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import chdir
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from flowc.diagnostic import Diagnostic, Sink, Stop
from flowc.driver import Options, check, check_learning
from flowc.render import render_text
from flowc.source import Source, Span
from flowc.syntax.read import read_source

TOUR = Path(__file__).parent / "errors"
GOLDEN = Path(__file__).parent.parent / "golden" / "errors"
FILES = sorted(TOUR.glob("*.flow"))
EXPECTED = re.compile(r'(error|warning): \[([\w-]+)\] "((?:[^"\\]|\\.)*)"')
LABEL = re.compile(r'label: "((?:[^"\\]|\\.)*)"')
DEFINES = re.compile(r"-D ([\w.]+)=(\S*)")
MOST_LINES = 16  # of one rendered message


class Place(NamedTuple):
    """A line of a file of the tour."""

    file: str
    line: int


@cache
def diagnostics(path: Path) -> tuple[Diagnostic, ...]:
    sink = Sink()
    with chdir(path.parent):
        source = read_source(Path(path.name), sink)
    if source is None:
        return tuple(sink.diagnostics)
    first = source.text.partition("\n")[0]
    defines = dict(DEFINES.findall(first)) if first.startswith("# flowc check") else {}
    try:
        checked = check(Source(path.name, source.text, path.parent), sink, Options(defines))
        check_learning(checked, sink)
    except Stop:
        pass
    return tuple(sink.diagnostics)


def place(span: Span, path: Path) -> Place:
    """Where a comment about this span stands."""
    name = span.source.name
    return Place(path.name, 1) if name.startswith("-D ") else Place(name, span.line)


def comments(path: Path) -> Iterator[tuple[Place, str]]:
    """The comments of a file, and of those that it imports and that are wrong themselves."""
    spans = [d.label.span for d in diagnostics(path) if d.label]
    names = {path.name, *(s.source.name for s in spans if s.source.name.endswith(".flow"))}
    for name in sorted(names):
        text = (path.parent / name).read_text(errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            yield Place(name, number), line.partition("#")[2]


def plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def test_the_tour_has_at_least_ninety_stops() -> None:
    assert len(FILES) >= 90


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_wrong_model_gets_just_the_messages_that_its_comments_announce(path: Path) -> None:
    wanted = [
        (where, kind, code, plain(part))
        for where, comment in comments(path)
        for kind, code, part in EXPECTED.findall(comment)
    ]
    assert wanted, "a stop of the tour shows a mistake"
    for found in diagnostics(path):
        assert found.label is not None
        here = (place(found.label.span, path), found.severity, found.code)
        fitting = [w for w in wanted if w[:3] == here and w[3] in found.message]
        assert fitting, f"{here}: {found.message}"
        wanted.remove(fitting[0])
    assert wanted == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_other_place_is_where_the_comments_say(path: Path) -> None:
    shown = {
        (place(label.span, path), label.text)
        for found in diagnostics(path) for label in found.others
    }  # fmt: skip
    named = [(p, plain(part)) for p, comment in comments(path) for part in LABEL.findall(comment)]
    for where, part in named:
        assert any(where == place and part in text for place, text in shown), (where, part)
    for found in diagnostics(path):
        assert found.label is not None
        for label in found.others:
            where = place(label.span, path)
            if where != place(found.label.span, path) and where.file == path.name and label.text:
                assert any(where == w and part in label.text for w, part in named), (where, label)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_message_shows_the_authors_own_line_and_is_short(path: Path) -> None:
    for found in diagnostics(path):
        assert found.label is not None and not found.label.span.source.name.startswith("std/")
        assert len(render_text([found]).splitlines()) <= MOST_LINES


def first_renderings() -> dict[str, str]:
    """For each code that the tour meets the first message with it, as a terminal shows it."""
    renderings: dict[str, str] = {}
    for path in FILES:
        for found in diagnostics(path):
            renderings.setdefault(found.code, render_text([found]) + "\n")
    return renderings


def test_the_rendering_of_each_code_is_as_committed(update_golden: bool) -> None:
    found = first_renderings()
    if update_golden:
        GOLDEN.mkdir(parents=True, exist_ok=True)
        for old in GOLDEN.glob("*.txt"):
            old.unlink()
        for code, text in found.items():
            (GOLDEN / f"{code}.txt").write_text(text)
    committed = {path.stem: path.read_text() for path in GOLDEN.glob("*.txt")}
    assert committed == found
