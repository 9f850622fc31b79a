"""How the items of a file are written."""

from __future__ import annotations

from typing import Any

from flowc.syntax import tree as t
from flowc.syntax.style.pieces import (
    Braces,
    Group,
    Piece,
    Writers,
    group,
    group_behind,
    some_names,
    typed,
    valued,
)


def _parameter(node: t.Parameter) -> list[Piece]:
    return [node.name.text, *typed(node.type), *valued(node.default)]


def _hyper(node: t.Hyper) -> list[Piece]:
    choices = [" in ", node.choices] if node.choices else []
    return [f"hyper {node.name.text}: {node.type.text} = ", node.default, *choices]


def _import(node: t.Import) -> list[Piece]:
    module = node.module if node.library else node.origin.text
    names = Group("(", node.names, ")", node.origin.end, node.span.end)
    return [f"import {module} ", names]


def _imported(node: t.ImportedName) -> list[Piece]:
    return [node.name.text + (f" as {node.alias.text}" if node.alias else "")]


def _definition(word: str) -> Any:
    """The writer of a block, an optimizer or a schedule."""

    def write(node: Any) -> list[Piece]:
        results = getattr(node, "results", ())
        arrow: list[Piece] = []
        if results:
            many = len(results) > 1
            arrow = [" -> ", *([group(results)] if many else results)]
        before = (*(node.parameters or (node.name,)), *results)[-1].span.end
        body = Braces(node.body, before, node.span)
        return [f"{word} {node.name.text}", group(node.parameters), *arrow, body]

    return write


def _model(node: t.Model) -> list[Piece]:
    return [f"model {node.name.text}", Braces(node.body, node.name.span.end, node.span)]


def _data(node: t.Data) -> list[Piece]:
    return [f"data {node.name.text} = ", node.source, f" -> {some_names(node.fields)}"]


def _train(node: t.Train) -> list[Piece]:
    return ["train", Braces(node.settings, node.span.start, node.span)]


def _place(node: t.Place) -> list[Piece]:
    return ["place", Braces(node.statements, node.span.start, node.span)]


def _spread(node: t.Spread) -> list[Piece]:
    return [f"variables over {node.over.text}" + (f" by {node.by.text}" if node.by else "")]


def _shard(node: t.Shard) -> list[Piece]:
    return ["shard ", node.pattern, f" axis {node.axis.value} over {node.over.text}"]


def _stage(node: t.Stage) -> list[Piece]:
    patterns = group_behind(node.device, "{ ", node.patterns, " }", node)
    return [f"stage on {node.device.value} ", patterns if node.patterns else "{}"]


def _pattern(node: t.Pattern) -> list[Piece]:
    return [node.first + ("" if node.last is None else f"..{node.last}")]


ITEMS: Writers = {
    "Version": lambda node: [f"flow {node.number}"],
    "Hyper": _hyper,
    "Import": _import,
    "ImportedName": _imported,
    "Parameter": _parameter,
    "Block": _definition("block"),
    "Optimizer": _definition("optimizer"),
    "Schedule": _definition("schedule"),
    "Model": _model,
    "Data": _data,
    "Train": _train,
    "Place": _place,
    "Replicate": lambda node: [f"replicate over {node.over.text}"],
    "Spread": _spread,
    "Shard": _shard,
    "Stage": _stage,
    "Pattern": _pattern,
    "Pipeline": lambda node: ["pipeline ", group(node.settings, "", "")],
    "Sync": lambda node: ["sync = ", node.value],
}
