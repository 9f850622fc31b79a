"""Pages that are sessions: what they say to type is typed, and must answer as they say.

A page with the line `<!-- session -->` is run from top to bottom, in a folder that holds nothing
but the `models` of the repository. In its `console` blocks a line after `$ ` is typed, and what
follows is the answer; `...` stands for any lines, or for the rest of one. Answers of `flowc check`
must agree to the letter; in others numbers may differ, and lines of progress are left out.
`<!-- edit FILE: `OLD` to `NEW` -->` is what the reader is told to change, and `<!-- write FILE -->`
before a block of code gives a file its text.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SESSIONS = [page for page in PAGES if "<!-- session -->" in page.read_text(encoding="utf-8")]
STEP = re.compile(
    r"^```console\n(?P<typed>.*?)^```$"
    r"|<!-- edit (?P<edited>\S+): `(?P<old>[^`]*)` to `(?P<new>[^`]*)` -->"
    r"|<!-- write (?P<written>\S+) -->\n+```[^\n]*\n(?P<text>.*?)^```$",
    re.M | re.S,
)
NUMBER = re.compile(
    r"-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?(e[+-]?\d+)?( ?[kKMG]i?B\b)?( [kMG]\b)?"
)
HASH = re.compile(r"(?<![\w#])[a-f#]*#[a-f#]*(?!\w)")  # after its digits have gone
PROGRESS = re.compile(r"^(step \d+/\d+ |\s+-- |a step took )")  # what the clock decides


@dataclass(frozen=True)
class Typed:
    line: int
    command: str
    answer: tuple[str, ...]


def typed_in(block: str, line: int) -> Iterator[Typed]:
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, answer = part.partition("\n")
        yield Typed(line, command.partition("  #")[0], tuple(answer.rstrip("\n").split("\n")))


def answer_to(command: str, folder: Path) -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, text=True, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1"},
    )  # fmt: skip
    return done.stdout.rstrip("\n").split("\n")


def comparable(lines: list[str] | tuple[str, ...], exact: bool) -> list[str]:
    if exact:
        return [line.rstrip() for line in lines]
    kept = [line for line in lines if not PROGRESS.match(line)]
    plain = [re.sub(r"[\s─-]+", " ", NUMBER.sub("#", line)).strip() for line in kept]
    return [HASH.sub("#", line) for line in plain if line]


def agrees(expected: list[str], found: list[str]) -> bool:
    parts = ["".join(re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in part)
             for part in _split(expected, "...")]
    pattern = r"(?:[^\n]*\n)*".join(parts)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in found)) is not None


def _split(lines: list[str], at: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == at:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_session_answers_as_its_page_says(page: Path, tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "models").symlink_to(ROOT / "models")
    text = page.read_text(encoding="utf-8")
    for step in STEP.finditer(text):
        if step["edited"]:
            before = (folder / step["edited"]).read_text()
            assert before.count(step["old"]) == 1, f"{step['edited']} has `{step['old']}` not once"
            (folder / step["edited"]).write_text(before.replace(step["old"], step["new"]))
        elif step["written"]:
            (folder / step["written"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / step["written"]).write_text(step["text"])
        else:
            line = text.count("\n", 0, step.start()) + 2
            for typed in typed_in(step["typed"], line):
                if typed.command.startswith("cd "):
                    folder = folder / typed.command.removeprefix("cd ")
                    continue
                check_answer(page, typed, folder)


def check_answer(page: Path, typed: Typed, folder: Path) -> None:
    exact = typed.command.startswith("flowc check")
    found = comparable(answer_to(typed.command, folder), exact)
    expected = comparable(typed.answer, exact)
    where = f"{page.relative_to(ROOT)}:{typed.line}: $ {typed.command}"
    assert agrees(expected, found), "\n".join([where, *found])
