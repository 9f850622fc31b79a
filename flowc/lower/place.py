"""The place section: its names are checked here; it takes effect when a model is placed."""

from __future__ import annotations

from collections.abc import Iterable

from flowc.lower import errors
from flowc.lower.settings import matches
from flowc.lower.world import World
from flowc.syntax import tree as t


def check_place(world: World, paths: Iterable[str]) -> None:
    """Holds every pattern of the place section against what the model has."""
    if world.place is None or world.model is None:
        return
    parameters = sorted(paths)
    known = parameters + sorted(bindings(world.model))
    for statement in world.place.statements:
        match statement:
            case t.Shard():
                _check_pattern(world, statement.pattern, parameters)
            case t.Stage():
                for pattern in statement.patterns:
                    _check_pattern(world, pattern, known)


def bindings(model: t.Model) -> set[str]:
    """The names that the model's own statements bind."""
    names: set[str] = set()
    pending: list[t.Statement] = list(model.body)
    while pending:
        match pending.pop():
            case t.Bind(targets=targets):
                names.update(name.text for name in targets)
            case t.Layer(name=name) | t.Param(name=name) | t.Input(name=name):
                names.add(name.text)
            case t.Repeat(index=index, body=body):
                names.update([index.text] if index else [])
                pending.extend(body)
            case t.If(then=then, orelse=orelse):
                pending.extend((*then, *orelse))
    return names


def _check_pattern(world: World, pattern: t.Pattern, known: list[str]) -> None:
    for text in (pattern.first, pattern.last):
        if text and not any(matches(text, name) or name.startswith(f"{text}.") for name in known):
            world.sink.report(errors.place_names_nothing(pattern.span, text, known))
