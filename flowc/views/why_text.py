"""The answers of `why` as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowc.views.items import GRADIENT_MARK
from flowc.views.tables import INDENT, bytes_text, pairs, sections, table

Facts = Mapping[str, Any]

MOST_LIVES = 24  # values of one name that are listed; a whole block may have hundreds


def why_text(answers: Sequence[Facts]) -> str:
    """One part for each thing that the name stands for; ends with a newline."""
    return "\n".join(_answer(answer) for answer in answers)


def _answer(answer: Facts) -> str:
    head = f"{answer['name']}: {answer['type']}" if answer["type"] else answer["name"]
    where = f" at {answer['at']}" if answer["at"] else ""
    about = [f"{INDENT}{answer['what']}{where}", *_text_line(answer)]
    if answer["initial"]:
        about.append(f"{INDENT}begins as {answer['initial']}")
    return sections([
        (head, "\n".join([*about, *(f"{INDENT}{fact}" for fact in answer["facts"])])),
        ("dimensions", pairs(list(_dimensions(answer["dimensions"])))),
        ("over a cluster", "\n".join(f"{INDENT}{line}" for line in answer["over_a_cluster"])),
        ("used by", _users(answer["used_by"])),
        ("in memory", _lives(answer["lives"])),
    ])  # fmt: skip


def _text_line(answer: Facts) -> list[str]:
    return [f"{INDENT}  {answer['text']}"] if answer["text"] else []


def _dimensions(dimensions: Sequence[Facts]) -> Iterator[tuple[str, str]]:
    for dimension in dimensions:
        name = dimension["size"]
        for reason in dimension["why"] or [""]:
            yield name, reason
            name = ""


def _users(users: Sequence[Facts]) -> str:
    rows = [(u["op"], u["type"], u["path"], u["at"]) for u in users]
    return table(("op", "type", "path", "at"), rows) if rows else ""


def _lives(lives: Sequence[Facts]) -> str:
    rows = [
        (f["program"], f["type"], _gradient(f), f"{f['space']} @{f['offset']}",
         bytes_text(f["bytes"]), _first(f), _last(f))
        for f in lives[:MOST_LIVES]
    ]  # fmt: skip
    if not rows:
        return ""
    shown = table(("program", "type", "of", "place", "bytes", "from", "to"), rows, ("bytes",))
    rest = len(lives) - len(rows)
    return shown + (f"\n{INDENT}and {rest} more" if rest > 0 else "")


def _gradient(life: Facts) -> str:
    """Marks what autodiff has made."""
    made = life["space"] == "arena" and life["written"]
    return "gradient" if made and made[0]["path"].endswith(GRADIENT_MARK) else ""


def _first(life: Facts) -> str:
    """The instruction that writes a value; what lies there when the program begins is older."""
    if life["written"] and life["space"] != "variables":
        return _instruction(life["written"][0])
    return "before the program"


def _last(life: Facts) -> str:
    if life["space"] == "variables" and life["written"]:
        return f"written by {_instruction(life['written'][-1])}"
    read = f"last read by {_instruction(life['read'][-1])}" if life["read"] else ""
    if life["kept"]:
        return f"{read}, kept" if read else "kept to the end"
    return read or "read by nobody"


def _instruction(told: Facts) -> str:
    at = f" ({told['at']})" if told["at"] else ""
    return f"{told['number']} {told['op']}{at}"
