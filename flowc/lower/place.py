"""The place section: its names checked, and what it asks for as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flowc.diagnostic import MAX_REPORTED, Diagnostic, Limit, Sink, Stop
from flowc.lower import errors
from flowc.lower.paths import MAX_PATTERNS, matches, unmatched
from flowc.lower.world import World
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.cluster.plan import Sync

ROLES = ("worker", "ps")
PIPELINE = ("stages", "microbatches")  # what it may be told
SYNCS = ("sync", "all_reduce", "backup", "async")
# What a mode may be told in brackets, and what holds without.
SYNC_NUMBERS = {"backup": ("backups", 1), "async": ("max_staleness", 4)}


@dataclass(frozen=True)
class StagePin:
    """`stage on worker:1 { … }`: what lies under the patterns runs there."""

    device: str
    patterns: tuple[t.Pattern, ...]
    span: Span


@dataclass(frozen=True)
class Placing:
    """What the place section asks for; None or empty where it leaves a choice.

    `owner` is the role that holds the variables, `split` has patterns of parameters that are cut
    by rows, with their places in the text. `balanced` is how many stages the compiler shall cut,
    where `stages` says nothing.
    """

    replicate: bool = False
    owner: str | None = None
    split: tuple[t.Pattern, ...] = ()
    stages: tuple[StagePin, ...] = ()
    microbatches: int | None = None
    sync: Sync | None = None
    span: Span | None = None
    balanced: int | None = None

    @property
    def stage_count(self) -> int:
        return len(self.stages) or self.balanced or 1


def place_section(tree: t.Tree, sink: Sink) -> t.Place | None:
    """The section of a file that holds nothing else."""
    found: t.Place | None = None
    for item in tree.items:
        if not isinstance(item, (t.Place, t.Version)) or (found and isinstance(item, t.Place)):
            sink.report(errors.only_a_place(item.span))
        elif isinstance(item, t.Place):
            found = item
    if found is None and not sink.errors:
        sink.report(errors.only_a_place(tree.source_span()))
    return found


def lower_place(world: World, paths: Iterable[str]) -> Placing:
    """The section's wishes; mistakes go to the world's sink."""
    known = sorted(paths)
    check_place(world, known)
    if world.place is None:
        return Placing()
    return _Wishes(world, known).of(world.place)


class _Wishes:
    """Reads the statements one by one; what is said twice is a mistake."""

    def __init__(self, world: World, paths: Sequence[str]):
        self._world = world
        self._paths = paths
        self._first: dict[str, Span] = {}

    def of(self, place: t.Place) -> Placing:
        replicate, owner, sync = False, None, None
        pipeline: dict[str, int] = {}
        split: list[t.Pattern] = []
        stages: list[StagePin] = []
        for statement in place.statements:
            match statement:
                case t.Replicate(over=over):
                    self._once("replicate", statement.span)
                    replicate = self._role(over, ("worker",)) is not None
                case t.Spread(over=over, by=by):
                    self._once("variables", statement.span)
                    owner = self._role(over, ROLES)
                    if by is not None and by.text != "bytes":
                        self._report(errors.unknown_measure(by))
                case t.Shard(pattern=pattern, axis=axis, over=over):
                    self._role(over, ("ps",))
                    if axis.value != 0:
                        self._report(errors.only_rows(axis))
                    split += self._each((pattern,))
                case t.Stage(device=device, patterns=patterns):
                    self._once(f"stage on {device.value}", statement.span)
                    stages.append(StagePin(device.value, self._each(patterns), statement.span))
                case t.Pipeline(settings=settings):
                    self._once("pipeline", statement.span)
                    pipeline = self._pipeline(settings)
                case t.Sync(value=value):
                    self._once("sync", statement.span)
                    sync = self._sync(value)
        if sync is not None and sync.mode == "all_reduce" and (owner == "ps" or split):
            self._report(errors.sync_without_ps(self._first["sync"], place.span))
        if sync is not None and sync.mode in ("sync", *SYNC_NUMBERS) and owner == "worker":
            self._report(errors.sync_needs_ps(self._first["sync"], sync.mode))
        if stages and "stages" in pipeline:
            self._report(errors.stages_both_ways(self._first["pipeline"], stages[0].span))
        return Placing(
            replicate, owner, tuple(split), tuple(stages), pipeline.get("microbatches"), sync,
            place.span, pipeline.get("stages"))

    def _report(self, diagnostic: Diagnostic) -> None:
        self._world.sink.report(diagnostic)

    def _once(self, key: str, span: Span) -> None:
        if key in self._first:
            self._report(errors.placed_twice(key, span, self._first[key]))
        self._first.setdefault(key, span)

    def _each(self, patterns: Sequence[t.Pattern]) -> tuple[t.Pattern, ...]:
        """The patterns, with those that a range stands for in its place."""
        found: list[t.Pattern] = []
        for pattern in patterns:
            names = self._between(pattern)
            if not names:
                self._report(errors.range_of_nothing(pattern.span))
            found += [t.Pattern(pattern.span, name, None) for name in names]
        return tuple(found)

    def _between(self, pattern: t.Pattern) -> list[str]:
        """`body..head`: names that the model binds, in its order; `tower.0..tower.3`: by number."""
        if pattern.last is None:
            return [pattern.first]
        parent = pattern.first.rpartition(".")[0]
        if parent or self._world.model is None:
            inside = (p for p in _with_prefixes(self._paths) if p.rpartition(".")[0] == parent)
            names = sorted(inside, key=lambda name: (len(name), name))
        else:
            names = bindings(self._world.model)
        if not {pattern.first, pattern.last or pattern.first} <= set(names):
            return [pattern.first]  # of which was complained already
        last = names.index(pattern.last) if pattern.last else len(names) - 1
        return names[names.index(pattern.first) : last + 1]

    def _role(self, name: t.Name, known: Sequence[str]) -> str | None:
        if name.text in known:
            return name.text
        self._report(errors.unknown_role(name, known))
        return None

    def _pipeline(self, settings: Sequence[t.Setting]) -> dict[str, int]:
        found: dict[str, int] = {}
        for setting in settings:
            key, value = setting.key.text, getattr(setting.value, "value", None)
            if key not in PIPELINE:
                self._report(errors.unknown_setting(setting.key, PIPELINE, "pipeline"))
            elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
                self._report(errors.not_a_count(setting.value.span, key, 1))
            elif key in found:
                self._report(errors.placed_twice(key, setting.span, self._first[key]))
            else:
                found[key] = value
                self._first[key] = setting.span
        return found

    def _sync(self, value: t.Expr) -> Sync | None:
        name: t.Expr = value.function if isinstance(value, t.Call) else value
        arguments = value.arguments if isinstance(value, t.Call) else ()
        if not isinstance(name, t.Name) or name.text not in SYNCS:
            self._report(errors.unknown_sync(name.span, SYNCS))
            return None
        mode = name.text
        if mode not in SYNC_NUMBERS:
            if arguments:
                self._report(errors.sync_takes_nothing(value.span, mode))
                return None
            return Sync(mode)  # type: ignore[arg-type]  # one of SYNCS
        number = self._number(mode, arguments, value.span)
        if number is None:
            return None
        return Sync("backup", backups=number) if mode == "backup" else Sync(
            "async", max_staleness=number)

    def _number(self, mode: str, arguments: Sequence[t.Argument], span: Span) -> int | None:
        key, otherwise = SYNC_NUMBERS[mode]
        if not arguments:
            return otherwise
        first = arguments[0]
        value = getattr(first.value, "value", None)
        wrong_name = first.name is not None and first.name.text != key
        if len(arguments) > 1 or wrong_name or type(value) is not int or value < 0:
            self._report(errors.not_a_count(span, key, 0))
            return None
        return value


def covers(pattern: t.Pattern, path: str) -> bool:
    """Whether a single pattern covers a path, or a block that the path lies in."""
    parts = path.split(".")
    heads = [".".join(parts[: n + 1]) for n in range(len(parts))]
    return any(matches(pattern.first, head) for head in heads)


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


def bindings(model: t.Model) -> list[str]:
    """The names that the model's own statements bind, in order of their first."""
    names: list[str] = []
    pending: list[t.Statement] = list(reversed(model.body))
    while pending:
        match pending.pop():
            case t.Bind(targets=targets):
                names += [name.text for name in targets]
            case t.Layer(name=name) | t.Param(name=name) | t.Input(name=name):
                names.append(name.text)
            case t.Repeat(index=index, body=body):
                names += [index.text] if index else []
                pending.extend(reversed(body))
            case t.If(then=then, orelse=orelse):
                pending.extend(reversed((*then, *orelse)))
    return list(dict.fromkeys(names))
