"""The error tour: wrong models with what is said about them, as comments on the guilty lines.

`# error: [code] "part of the message"` (or `# warning:`) stands on the line of the main label;
`# label: "part"` on a line that another label of some diagnostic must point to. A diagnostic
without its comment fails, and so does a comment without its diagnostic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowc.diagnostic import Diagnostic, Sink, Stop
from flowc.driver import Options, check, check_learning
from flowc.render import render_text
from flowc.source import Source
from flowc.syntax.read import read_source

TOUR = Path(__file__).parent / "errors"
GOLDEN = Path(__file__).parent.parent / "golden" / "errors"
FILES = sorted(TOUR.glob("*.flow"))
EXPECTED = re.compile(r'(error|warning): \[([\w-]+)\] "((?:[^"\\]|\\.)*)"')
LABEL = re.compile(r'label: "((?:[^"\\]|\\.)*)"')
MOST_LINES = 40  # of one rendered message


def diagnostics(path: Path) -> list[Diagnostic]:
    sink = Sink()
    source = read_source(path, sink)
    if source is not None:
        try:
            checked = check(Source(path.name, source.text, path.parent), sink, Options())
            check_learning(checked, sink)
        except Stop:
            pass
    return sink.diagnostics


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if "#" in line:
            yield number, line.partition("#")[2].replace('\\"', "\x00")


def expected(path: Path) -> list[tuple[int, str, str, str]]:
    return [
        (number, *(part.replace("\x00", '"') for part in match.groups()))  # type: ignore[misc]
        for number, comment in comments(path)
        for match in EXPECTED.finditer(comment)
    ]


def test_the_tour_has_at_least_sixty_stops() -> None:
    assert len(FILES) >= 60


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_wrong_model_gets_just_the_messages_that_its_comments_announce(path: Path) -> None:
    wanted = expected(path)
    assert wanted, "a stop of the tour shows a mistake"
    for found in diagnostics(path):
        line = found.label.span.line if found.label else 0
        fitting = [
            w for w in wanted
            if w[:3] == (line, found.severity, found.code) and w[3] in found.message
        ]  # fmt: skip
        assert fitting, f"line {line}: {found.severity}: [{found.code}] {found.message}"
        wanted.remove(fitting[0])
    assert wanted == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_other_labels_point_where_the_comments_say(path: Path) -> None:
    shown = {
        (label.span.line, label.text) for found in diagnostics(path) for label in found.others
    }
    for number, comment in comments(path):
        for match in LABEL.finditer(comment):
            part = match[1].replace("\x00", '"')
            assert any(line == number and part in text for line, text in shown), (number, part)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_message_shows_the_authors_own_line_and_is_short(path: Path) -> None:
    for found in diagnostics(path):
        assert found.label is None or not found.label.span.source.name.startswith("std/")
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
