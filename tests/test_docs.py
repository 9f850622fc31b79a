"""The documentation: what it shows works, what it names exists, what it links to is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from flowc.cli.main import flowc
from flowc.diagnostic import Sink, Stop
from flowc.driver import check
from flowc.passes import PASSES
from flowc.source import Source

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ITEMS = re.compile(r"^(flow|import|hyper|block|optimizer|schedule|model|data|train|place)\b", re.M)
EXAMPLE_MODEL = """
model example {
  input x: f32[batch, 8]
  input image: f32[batch, 28, 28, 1]
  input tokens: i32[batch, time = 16]
  input sequence: f32[batch, time, 8]
  input label: i32[batch]
  output _read = sum(x) + sum(image) + sum(sequence) + cast(sum(tokens) + sum(label), f32)
%s
}
"""
QUIET_IN_PARTS = ("unused-name", "no-loss")  # warnings that only a whole model can avoid


@dataclass(frozen=True)
class Fence:
    """A code block: the page, the line of its first line of text, what stands behind ```."""

    page: Path
    line: int
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def fences(page: Path) -> Iterator[Fence]:
    opened: tuple[int, tuple[str, ...]] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif opened is None:
            opened, lines = (number + 1, tuple(line[3:].split())), []
        else:
            yield Fence(page, *opened, "\n".join(lines) + "\n")
            opened = None
    assert opened is None, f"{page}: a code block is left open"


def all_fences(*languages: str) -> list[Fence]:
    return [f for page in PAGES for f in fences(page) if f.words[:1] and f.words[0] in languages]


# --- examples in the language -----------------------------------------------------------------


def whole_file(text: str) -> str:
    """An example as a file: statements go into the model that docs/reference/language.md names."""
    if re.search(r"^model\b", text, re.M):
        return text
    if ITEMS.search(text):
        return text + EXAMPLE_MODEL % ""
    return EXAMPLE_MODEL % text


def codes_of(fence: Fence) -> list[str]:
    sink = Sink()
    text = whole_file(fence.text)
    try:
        check(Source(f"{fence}", text, ROOT / "models"), sink)
    except Stop:
        assert sink.errors
    partial = text != fence.text
    return [d.code for d in sink.diagnostics if not (partial and d.code in QUIET_IN_PARTS)]


@pytest.mark.parametrize("fence", all_fences("flow"), ids=str)
def test_every_example_in_the_language_is_sound_or_marked_as_wrong(fence: Fence) -> None:
    expected = list(fence.words[2:]) if fence.words[1:2] == ("wrong",) else []
    assert sorted(set(codes_of(fence))) == sorted(expected)


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Typed:
    """A command line of a page."""

    fence: Fence
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.fence}-{' '.join(self.words)}"


def typed_commands() -> Iterator[Typed]:
    """Every `flowc …` that a page tells to type: lines behind `$ `, or all lines of a sh block."""
    for fence in all_fences("console", "sh"):
        joined = fence.text.replace("\\\n", " ")
        for line in joined.split("\n"):
            told = line.removeprefix("$ ") if line.startswith("$ ") else ""
            if fence.words[0] == "sh":
                told = line
            for part in re.split(r"&&|\|", told.partition(" #")[0]):
                words = tuple(word for word in shlex.split(part.strip()) if word != "&")
                if words[:1] == ("flowc",):
                    yield Typed(fence, words[1:])


@pytest.mark.parametrize("typed", list(typed_commands()), ids=str)
def test_every_command_that_a_page_types_exists_with_its_options(typed: Typed) -> None:
    command: click.Command = flowc
    words = list(typed.words)
    context = click.Context(command, info_name="flowc", **command.context_settings)
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(context).parse_args(words)
        if not words:
            return
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        context = click.Context(
            found, info_name=found.name, parent=context, **found.context_settings)
        command = found
    if ">" in words:
        words = words[: words.index(">")]
    command.make_parser(context).parse_args(words)


# --- links ------------------------------------------------------------------------------------

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for match in LINK.finditer(text):
        if not re.match(r"[a-z]+:", match[1]):
            yield match[1]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+)$", text, re.M):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(kept.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, pending = set(), [ROOT / "docs" / "index.md"]
    while pending:
        page = pending.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        pending += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)
                    if link.partition("#")[0]]
    assert [page for page in PAGES[1:] if page not in seen] == []


# --- generated pages --------------------------------------------------------------------------


def test_the_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- the house --------------------------------------------------------------------------------

HOUSE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")


def test_the_architecture_page_names_every_pass() -> None:
    assert [p.__name__ for p in PASSES if f"`{p.__name__}`" not in HOUSE] == []


@pytest.mark.parametrize("package", ["flowc", "runtime/flowc_runtime"])
def test_the_architecture_page_names_every_room(package: str) -> None:
    rooms = [p.name for p in (ROOT / package).iterdir() if p.is_dir() and p.name[0] not in "._"]
    assert [room for room in rooms if f"{room}/" not in HOUSE] == []
