"""Where else in a file a name is bound: what to say when it is not known where it is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flowc.source import Span
from flowc.syntax import tree as t
from flowc.syntax.walk import children

BODIES = {t.Repeat: "repeat", t.If: "if", t.Scan: "scan"}


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A binding: in which item, and inside which `repeat`, `if` or `scan` (the innermost)."""

    span: Span
    item: t.Model | t.Block | t.Optimizer | t.Schedule | t.Hyper
    within: t.Repeat | t.If | t.Scan | None

    @property
    def owner(self) -> str:
        return f"{type(self.item).__name__.lower()} `{self.item.name.text}`"

    @property
    def word(self) -> str:
        return BODIES[type(self.within)] if self.within else ""


@dataclass
class Binders:
    """All bindings of a file's items, by name, in the order of the text."""

    tree: t.Tree

    def find(self, name: t.Name) -> Elsewhere | None:
        """The binding that the author most likely means: in the same item, and near."""
        known = self._by_name.get(name.text, [])
        own = [e for e in known if _holds(e.item, name.span)]
        later = [e for e in own if e.span.start > name.span.start]
        earlier = [e for e in own if e.span.start < name.span.start]
        return next(iter([*reversed(earlier), *later, *known]), None)

    @cached_property
    def _by_name(self) -> dict[str, list[Elsewhere]]:
        found: dict[str, list[Elsewhere]] = {}
        for item in self.tree.items:
            if isinstance(item, t.Hyper):
                found.setdefault(item.name.text, []).append(Elsewhere(item.name.span, item, None))
            if isinstance(item, (t.Model, t.Block, t.Optimizer, t.Schedule)):
                for name, within in _bindings(item):
                    found.setdefault(name.text, []).append(Elsewhere(name.span, item, within))
        for places in found.values():
            places.sort(key=lambda e: e.span.start)
        return found


def _holds(item: t.Item, span: Span) -> bool:
    return item.span.source is span.source and item.span.start <= span.start < item.span.end


def _bindings(item: t.Item) -> Iterator[tuple[t.Name, Any]]:
    pending: list[tuple[Any, Any]] = [(statement, None) for statement in children(item)]
    while pending:
        node, within = pending.pop()
        yield from ((name, within) for name in _bound_by(node))
        if isinstance(node, (t.Repeat, t.If, t.Scan)):
            within = node
            yield from ((name, within) for name in _bound_inside(node))
        pending.extend((child, within) for child in children(node))


def _bound_by(node: Any) -> tuple[t.Name, ...]:
    match node:
        case t.Bind(targets=names):
            return names
        case (t.Param(name=name) | t.State(name=name) | t.Layer(name=name) | t.Input(name=name)
              | t.LocalFunction(name=name) | t.Metric(name=name) | t.Output(name=name)
              | t.NamedDim(name=name) | t.Parameter(name=name)):  # fmt: skip
            return (name,)
    return ()


def _bound_inside(node: t.Repeat | t.If | t.Scan) -> tuple[t.Name, ...]:
    match node:
        case t.Repeat(index=index):
            return (index,) if index else ()
        case t.Scan(items=items, carries=carries):
            return (*items, *(carry.name for carry in carries))
    return ()
