"""How statements are written."""

from __future__ import annotations

from typing import Any

from flowc.syntax import tree as t
from flowc.syntax.style.pieces import Braces, Piece, Writers, group, typed, valued


def _named(word: str) -> Any:
    """The writer of `word NAME: type = value`, of which the latter two may be missing."""

    def write(node: Any) -> list[Piece]:
        value = getattr(node, "initial", None) or getattr(node, "value", None)
        type = getattr(node, "type", None)
        return [f"{word} {node.name.text}", *typed(type), *valued(value)]

    return write


def _output(node: t.Output) -> list[Piece]:
    short = node.value.span == node.name.span
    return [f"output {node.name.text}", *([] if short else valued(node.value))]


def _assert(node: t.Assert) -> list[Piece]:
    return ["assert ", node.condition, *([", ", node.message] if node.message else [])]


def _bind(node: t.Bind) -> list[Piece]:
    return [", ".join(name.text for name in node.targets), " = ", node.value]


def _local_function(node: t.LocalFunction) -> list[Piece]:
    return [node.name.text, group(node.parameters), " = ", node.value]


def _repeat(node: t.Repeat) -> list[Piece]:
    index = [f" as {node.index.text}"] if node.index else []
    before = (node.index or node.count).span.end
    return ["repeat ", node.count, *index, Braces(node.body, before, node.span)]


def _if(node: t.If) -> list[Piece]:
    written: list[Piece] = [
        "if ",
        node.condition,
        Braces(node.then, node.condition.span.end, node.span),
    ]
    if len(node.orelse) == 1 and isinstance(node.orelse[0], t.If):
        return [*written, " else ", node.orelse[0]]
    if node.orelse:
        return [*written, " else", Braces(node.orelse, node.orelse[0].span.start, node.span)]
    return written


def _setting(node: t.Setting) -> list[Piece]:
    return [f"{node.key.text} = ", node.value]


STATEMENTS: Writers = {
    "Input": _named("input"),
    "Param": _named("param"),
    "State": _named("state"),
    "Next": _named("next"),
    "Layer": _named("layer"),
    "Metric": _named("metric"),
    "Output": _output,
    "Loss": lambda node: ["loss = ", node.value],
    "Assert": _assert,
    "Return": lambda node: ["return ", node.value],
    "Yield": lambda node: ["yield ", node.value],
    "Bind": _bind,
    "LocalFunction": _local_function,
    "Repeat": _repeat,
    "If": _if,
    "Setting": _setting,
}
