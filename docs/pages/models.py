"""The page of the models that ship: what the comment at the top of each says."""

from __future__ import annotations

from itertools import dropwhile, takewhile
from pathlib import Path

from pages.markdown import ROOT, Lines, page, sentence, table


def models() -> str:
    intro = [
        "Networks to read, to train and to start from, in [models/](../../models/). Where the",
        "data ship with them (see [models/data](../../models/data/README.md)), `flowc train` works",
        "at once; for the others their text says what to put where. Sizes are hyperparameters, so",
        "that each can be tried small: `flowc train models/vgg.flow -D width=8 -D hidden=64`.",
        "",
    ]
    found = sorted((ROOT / "models").glob("*.flow"))
    return page("Models", intro, _table(found))


def _table(found: list[Path]) -> Lines:
    return table(("model", "what it is", "shows"), map(_row, found))


def _row(path: Path) -> tuple[str, str, str]:
    text = _comment(path.read_text(encoding="utf-8"))
    what, _, shows = text.partition("Shows:")
    link = f"[{path.stem}](../../models/{path.name})"
    return link, sentence(what), sentence(shows) if shows else ""


def _comment(text: str) -> str:
    """The first comment lines that follow one another, as one text."""
    lines = dropwhile(lambda line: not line.startswith("#"), text.splitlines())
    return " ".join(line.lstrip("# ") for line in takewhile(lambda line: line[:1] == "#", lines))
