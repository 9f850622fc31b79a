"""The place section: its names are checked here; it takes effect when a model is placed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flowc.diagnostic import MAX_REPORTED, Limit, Stop
from flowc.lower import errors
from flowc.lower.paths import MAX_PATTERNS, unmatched
from flowc.lower.world import World
from flowc.syntax import tree as t


def check_place(world: World, paths: Iterable[str]) -> None:
    """Holds every pattern of the place section against what the model has."""
    if world.place is None or world.model is None or world.damaged:
        return
    parameters = sorted(paths)
    everything = parameters + sorted(bindings(world.model))
    known_to_shard, known_to_stage = _with_prefixes(parameters), _with_prefixes(everything)
    starred = 0
    for pattern, known in _patterns(world.place, known_to_shard, known_to_stage):
        starred += "*" in pattern.span.text
        if starred > MAX_PATTERNS:
            raise Limit(errors.too_many_patterns(pattern.span, MAX_PATTERNS))
        ends = [text for text in (pattern.first, pattern.last) if text]
        for text in unmatched(ends, known):
            world.sink.report(errors.place_names_nothing(pattern.span, text, known))
        if len(world.sink.errors) >= MAX_REPORTED:
            raise Stop


def _patterns(
    place: t.Place, parameters: list[str], everything: list[str]
) -> Iterator[tuple[t.Pattern, list[str]]]:
    """Each pattern with the names that it may mean: a shard is a parameter, a stage anything."""
    for statement in place.statements:
        match statement:
            case t.Shard(pattern=pattern):
                yield pattern, parameters
            case t.Stage(patterns=patterns):
                yield from ((pattern, everything) for pattern in patterns)


def _with_prefixes(known: Sequence[str]) -> list[str]:
    """The paths, and those of the blocks that hold them."""
    parts = [path.split(".") for path in known]
    return sorted({".".join(p[:n]) for p in parts for n in range(1, len(p) + 1)})


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
