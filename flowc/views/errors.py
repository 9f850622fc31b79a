"""What cannot be shown, as coded errors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flowc.diagnostic import nearest


class NotShown(Exception):
    """Something that `inspect` cannot show; `code` has an explanation in `flowc explain`."""

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


def unknown_kind(path: Path) -> NotShown:
    return NotShown(
        "inspect-unknown",
        f"{path} is nothing that flowc made or reads",
        help="inspect shows models (.flow), plans (plan.json), weights (.safetensors), "
        "checkpoints and run folders",
    )


def unknown_name(name: str, known: Iterable[str]) -> NotShown:
    near = nearest(name, (other for other in known if other != name))
    help = f"did you mean `{near}`?" if near else "the summary without --why lists the names"
    return NotShown("inspect-name", f"nothing in the model is called `{name}`", help)


def no_program(program: str, known: Iterable[str]) -> NotShown:
    there_is = ", ".join(f"`{name}`" for name in known)
    message = f"the plan has no program `{program}`; it has {there_is or 'none'}"
    return NotShown("inspect-program", message)


def no_stage(stage: str, program: str | None, known: Iterable[str]) -> NotShown:
    """`known` are the stages that this model passes, as the compiler calls them."""
    of = f" of `{program}`" if program else ""
    message = f"this model has no stage `{stage}`{of}; it has {', '.join(known)}"
    return NotShown("inspect-program", message)


def too_many_boxes(count: int, most: int) -> NotShown:
    return NotShown(
        "inspect-too-large",
        f"a picture of {count:,} boxes is more than the {most:,} that can be laid out",
        help="show fewer with --depth 1 or 2",
    )


def bad_plan(path: Path, reason: object) -> NotShown:
    return NotShown("plan-damaged", f"{path}: {reason}", help="compile the model again")
