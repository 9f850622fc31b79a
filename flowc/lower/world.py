"""One file with all it imports: its items by kind, its names, and its hyperparameters' values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowc.diagnostic import Sink
from flowc.lower import errors
from flowc.lower.calls import is_poisoned
from flowc.lower.elsewhere import Binders
from flowc.lower.lowerer import Lowerer
from flowc.lower.modules import Modules, Parse, Read
from flowc.lower.scope import Binding, Scope
from flowc.lower.signature import convert
from flowc.lower.values import POISON, Arg
from flowc.source import Source, Span
from flowc.syntax import tree as t

KINDS = ("int", "float", "bool", "str")


@dataclass
class World:
    """What the stages of lowering share. `defines` are the `-D name=value` of the command line."""

    tree: t.Tree
    sink: Sink
    modules: Modules
    scope: Scope
    defines: Mapping[str, t.Expr]
    model: t.Model | None = None
    train: t.Train | None = None
    place: t.Place | None = None
    data: dict[str, t.Data] = field(default_factory=dict)

    damaged: bool = False  # the text has mistakes: what is missing may stand in a part of it

    def __post_init__(self) -> None:
        self.binders = Binders(self.tree)

    def lowerer(self, training: bool) -> Lowerer:
        library, lost = self.modules.library(), self.tree.lost
        return Lowerer(self.sink, training, library, self.binders, lost)


def open_world(
    tree: t.Tree, sink: Sink, parse: Parse, read: Read, root: Path | None,
    defines: Mapping[str, str],
) -> World:
    """Resolves imports, evaluates hyperparameters, and sorts the items of the file."""
    damaged = bool(sink.errors)
    given = parse_defines(tree, defines, parse, sink)
    evaluator = _HyperEvaluator(sink, given, tree.source)
    modules = Modules(parse, read, sink, root, evaluator.define)
    evaluator.lowerer = Lowerer(sink, False, modules.library(), Binders(tree), tree.lost)
    scope = modules.scope_of(tree)
    world = World(tree, sink, modules, scope, given, damaged=damaged)
    for item in tree.items:
        match item:
            case t.Model() | t.Train() | t.Place():
                _set_once(world, type(item).__name__.lower(), item)
            case t.Data():
                if item.name.text in world.data:
                    first = world.data[item.name.text].name.span
                    sink.report(errors.defined_twice(item.name, Binding(None, first)))
                world.data[item.name.text] = item
    _check_defines(world)
    return world


def parse_defines(
    tree: t.Tree, defines: Mapping[str, str], parse: Parse, sink: Sink
) -> dict[str, t.Expr]:
    """Each value read as an expression of the language; one for a `str` needs no quotes."""
    texts = {i.name.text for i in tree.items if isinstance(i, t.Hyper) and i.type.text == "str"}
    parsed: dict[str, t.Expr] = {}
    for name, text in defines.items():
        source = Source(f"-D {name}", f"train {{\nvalue =\n{text}\n}}\n")  # the value has its line
        if name in texts and not text.startswith('"'):
            start = source.text.index("=") + 2
            parsed[name] = t.String(Span(source, start, start + len(text)), text)
            continue
        items = parse(source, sink).items
        if items and isinstance(items[0], t.Train) and items[0].settings:
            parsed[name] = items[0].settings[0].value
    return parsed


def _set_once(world: World, slot: str, item: t.Model | t.Train | t.Place) -> None:
    first = getattr(world, slot)
    if first is not None:
        world.sink.report(errors.second_item(item, first.span))
        return
    setattr(world, slot, item)


def _check_defines(world: World) -> None:
    hypers = [i.name.text for i in world.tree.items if isinstance(i, t.Hyper)]
    for name, expr in world.defines.items():
        if name not in hypers and not name.startswith("train."):
            world.sink.report(errors.unknown_define(name, expr, hypers))


@dataclass
class _HyperEvaluator:
    """Gives hyperparameters their values; those of the main file may be set from outside."""

    sink: Sink
    defines: Mapping[str, t.Expr]
    main: Source
    lowerer: Lowerer = None  # type: ignore[assignment]  # one for all, so that work adds up

    def define(self, item: t.Hyper, scope: Scope) -> None:
        name = item.name.text
        if name in scope.names:
            self.sink.report(errors.defined_twice(item.name, scope.names[name]))
            return
        override = self.defines.get(name) if item.span.source is self.main else None
        value = self._value(item, override, scope)
        scope.names[name] = Binding(value, item.name.span, "hyper")

    def _value(self, item: t.Hyper, override: t.Expr | None, scope: Scope) -> Any:
        kind = item.type.text
        if kind not in KINDS:
            self.sink.report(errors.hyper_kind(item.type, KINDS))
            return POISON
        expr = override if override is not None else item.default
        arg = self.lowerer.arg(expr, scope)
        if arg.value is POISON:
            return POISON
        value = convert(arg.value, kind)
        if value is POISON:
            self.sink.report(errors.hyper_type(item, arg))
            return POISON
        return self._checked(item, Arg(value, expr.span), scope)

    def _checked(self, item: t.Hyper, arg: Arg, scope: Scope) -> Any:
        """The value, if it lies among the declared choices."""
        if item.choices is None:
            return arg.value
        choices = self.lowerer.arg(item.choices, scope)
        if is_poisoned(choices.value):
            return arg.value
        inside = _contains(choices.value, arg.value)
        if inside is None:
            self.sink.report(errors.bad_choices(item, choices))
        elif not inside:
            self.sink.report(errors.hyper_outside(item, arg))
            return POISON
        return arg.value


def _contains(choices: Any, value: Any) -> bool | None:
    """Whether a range `a..b` or a list holds the value; None where it is neither."""
    plain = (int, float, str)
    match choices:
        case (int() | float() as low, int() | float() as high) if isinstance(choices, tuple):
            return low <= value <= high if isinstance(value, (int, float)) else None
        case [*items] if isinstance(choices, list) and all(isinstance(i, plain) for i in items):
            return value in items
    return None

