"""The train section: each setting checked, with its default where it is not given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowc.lower import errors
from flowc.lower.data import DataDecl, data_scope
from flowc.lower.paths import MAX_PATTERNS, matches, unmatched
from flowc.lower.scope import Scope
from flowc.lower.values import POISON, Arg, Configured, DataSource, OptimizerFunction
from flowc.lower.world import World
from flowc.source import Span
from flowc.syntax import tree as t
from flowc.syntax.walk import children


@dataclass(frozen=True)
class Freeze:
    """Path patterns whose parameters do not learn, and those that do all the same.

    `places` are where the patterns are written.
    """

    patterns: tuple[str, ...]
    exceptions: tuple[str, ...] = ()
    places: Mapping[str, Span] = field(default_factory=dict)

    def covers(self, path: str) -> bool:
        return any(matches(p, path) for p in self.patterns) and not any(
            matches(p, path) for p in self.exceptions)


@dataclass(frozen=True)
class TrainSettings:
    """How a model learns. One of `epochs` and `steps` is set."""

    data: DataDecl
    validate: DataDecl | None
    optimizer: Configured
    batch: int = 32
    shards: int | None = None  # None: as many as there are replicas
    epochs: int | None = None
    steps: int | None = None
    seed: int = 0
    clip_norm: float | None = None
    clip_value: float | None = None
    freeze: Freeze | None = None
    init: str | None = None
    log_every: int | None = None
    validate_every: int | None = None
    checkpoint_every: int | None = None


@dataclass(frozen=True)
class Kind:
    """What a setting takes; `accepts` converts a value or answers POISON."""

    words: str
    accepts: Callable[[Any], Any]


def _whole(least: int) -> Callable[[Any], Any]:
    def accepts(value: Any) -> Any:
        good = isinstance(value, int) and not isinstance(value, bool) and value >= least
        return value if good and value < 2**62 else POISON

    return accepts


def _positive(value: Any) -> Any:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    return float(value) if good else POISON


def _is_optimizer(value: Any) -> bool:
    function = value.function if isinstance(value, Configured) else value
    return isinstance(function, OptimizerFunction)


def _freeze(value: Any) -> Any:
    if isinstance(value, Freeze):
        return value
    patterns = _patterns(value)
    return POISON if patterns is None else Freeze(patterns)


def _patterns(value: Any) -> tuple[str, ...] | None:
    items = value if isinstance(value, list) else [value]
    good = len(items) <= MAX_PATTERNS and all(isinstance(item, str) for item in items)
    return tuple(items) if good else None


COUNT = Kind("a whole number from 1", _whole(1))
SETTINGS: dict[str, Kind] = {
    "data": Kind("data", lambda v: v if isinstance(v, DataSource) else POISON),
    "validate": Kind("data", lambda v: v if isinstance(v, DataSource) else POISON),
    "optimizer": Kind(
        "an optimizer such as adam(lr = 1e-3)",
        lambda v: v if _is_optimizer(v) else POISON),
    "batch": COUNT,
    "shards": COUNT,
    "epochs": COUNT,
    "steps": COUNT,
    "seed": Kind("a whole number from 0", _whole(0)),
    "clip_norm": Kind("a positive number", _positive),
    "clip_value": Kind("a positive number", _positive),
    "freeze": Kind('path patterns: "encoder.**" except "encoder.head.*"', _freeze),
    "init": Kind("the path of a safetensors file", lambda v: v if isinstance(v, str) else POISON),
    "log_every": COUNT,
    "validate_every": COUNT,
    "checkpoint_every": COUNT,
}


def lower_settings(world: World, declared: Mapping[str, DataDecl]) -> TrainSettings | None:
    """The train section's settings; None where there is none, or after a complaint."""
    if world.train is None:
        return None
    values, spans = _values(world, data_scope(world, declared))
    if values is None:
        return None
    if "data" not in values:
        if "data" not in world.tree.lost:
            world.sink.report(errors.no_data(world.train))
        return None
    for key in ("data", "validate"):
        if key in values:
            values[key] = _declaration(values[key], declared)
            if values[key] is None:
                world.sink.report(errors.undeclared_data(key, spans[key]))
                return None
    if "epochs" in values and "steps" in values:
        world.sink.report(errors.both_lengths(spans["epochs"], spans["steps"]))
        return None
    if "epochs" not in values and "steps" not in values:
        values["epochs"] = 1
    batch = values.get("batch", TrainSettings.batch)
    if batch % values.get("shards", 1):
        world.sink.report(errors.uneven_shards(spans["shards"], values["shards"], batch))
        return None
    return TrainSettings(
        **{"validate": None, **values,
           "optimizer": _optimizer(world, values.get("optimizer"), spans.get("optimizer"))})


def _values(world: World, scope: Scope) -> tuple[dict[str, Any] | None, dict[str, Span]]:
    assert world.train is not None
    lowerer = world.lowerer(training=True)
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    given = [(s.key, s.value) for s in world.train.settings]
    overridden = {n.removeprefix("train."): e for n, e in world.defines.items()
                  if n.startswith("train.")}
    given = [(k, e) for k, e in given if not _replaced(k.text, overridden)]
    given += [(t.Name(e.span, name), e) for name, e in overridden.items()]
    good = True
    for key, expr in given:
        if key.text not in SETTINGS:
            world.sink.report(errors.unknown_setting(key, SETTINGS, "train"))
            good = False
        elif key.text in values:
            world.sink.report(errors.setting_twice(key, spans[key.text]))
            good = False
        else:
            arg = Arg(_evaluate(lowerer, expr, scope), expr.span)
            value = arg.value if arg.value is POISON else SETTINGS[key.text].accepts(arg.value)
            if isinstance(value, Freeze):
                patterns = (*value.patterns, *value.exceptions)
                value = replace(value, places=dict.fromkeys(patterns, expr.span) | _texts(expr))
            if value is POISON and arg.value is not POISON:
                world.sink.report(errors.setting_kind(key, SETTINGS[key.text].words, arg))
            good = good and value is not POISON
            values[key.text], spans[key.text] = value, expr.span
    return (values if good else None), spans


def _texts(expr: t.Expr) -> dict[str, Span]:
    """Where each quoted text below an expression stands."""
    found: dict[str, Span] = {}
    pending: list[Any] = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, t.String):
            found[node.value] = node.span
        pending.extend(children(node))
    return found


def _replaced(key: str, overridden: Mapping[str, t.Expr]) -> bool:
    """Whether the command line sets this; `epochs` there also replaces `steps` in the text."""
    lengths = {"epochs", "steps"}
    return key in overridden or (key in lengths and bool(lengths & overridden.keys()))


def _evaluate(lowerer: Any, expr: t.Expr, scope: Scope) -> Any:
    """A setting's value; `"a" except "b"` makes path patterns."""
    if not (isinstance(expr, t.Binary) and expr.op == "except"):
        return lowerer.evaluate(expr, scope)
    patterns = _patterns(lowerer.evaluate(expr.left, scope))
    exceptions = _patterns(lowerer.evaluate(expr.right, scope))
    if patterns is None or exceptions is None:
        return ()
    return Freeze(patterns, exceptions)


def _declaration(source: DataSource, declared: Mapping[str, DataDecl]) -> DataDecl | None:
    """The `data` item behind a value, with the transforms that the setting added."""
    item = next((d for d in declared.values() if d.source.span == source.span), None)
    return item and DataDecl(item.name, source, item.fields, item.span)


def _optimizer(world: World, value: Any, span: Span | None) -> Configured:
    """The optimizer; plain `sgd` where none is named, and `adam` without brackets is `adam()`."""
    if isinstance(value, Configured):
        return value
    assert world.train is not None
    if value is None:
        found = world.modules.library().find("sgd")
        assert found is not None
        value = found.value
    return Configured(value, {}, span or world.train.span)


def check_freeze(world: World, freeze: Freeze, parameters: Sequence[str]) -> None:
    """Every pattern must cover a parameter."""
    for pattern in unmatched((*freeze.patterns, *freeze.exceptions), parameters):
        world.sink.report(errors.freezes_nothing(freeze.places[pattern], pattern, parameters))
