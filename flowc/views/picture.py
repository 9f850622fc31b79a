"""Pictures: boxes and arrows with their words, before anybody knows where they lie."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("op", "block", "scan", "input", "param", "state", "slot", "output", "update")


@dataclass(frozen=True, slots=True)
class Box:
    """`kind` is one of KINDS. The first of `lines` is the name; `hover` tells all there is.

    `path` are the names that the box lies under; `gradient` marks what autodiff has made.
    """

    kind: str
    lines: tuple[str, ...]
    hover: str
    path: str = ""
    gradient: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """What flows from one box to another; `text` has the types, one a line."""

    source: int
    target: int
    text: str


@dataclass(frozen=True)
class Picture:
    """Boxes with arrows that never go round in a circle; `inner` are the bodies of scans."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    inner: tuple[Picture, ...] = ()
