"""Two plans compared: which roles, channels, instructions and variables are not the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from flowc.costs.signature import signature
from flowc.planning.units import size_text
from flowc_runtime.cluster.plan import ClusterPlan, Part
from flowc_runtime.plan import Plan, Program, Variable

AnyPlan = Plan | ClusterPlan


def differences(old: AnyPlan, new: AnyPlan) -> list[str]:
    """What has changed from the old plan to the new one, a line each; none if nothing has."""
    if isinstance(old, ClusterPlan) and isinstance(new, ClusterPlan):
        return list(_clusters(old, new))
    if isinstance(old, Plan) and isinstance(new, Plan):
        return list(chain(_value("model", old.model, new.model), _plans("", old, new)))
    kinds = {True: "a plan for a cluster", False: "a plan for one process"}
    return [f"was {kinds[isinstance(old, ClusterPlan)]}, is {kinds[isinstance(new, ClusterPlan)]}"]


def _clusters(old: ClusterPlan, new: ClusterPlan) -> Iterator[str]:
    for name in ("model", "sync", "batch", "shards"):
        yield from _value(name, getattr(old, name), getattr(new, name))
    before, after = ({part.role: part for part in plan.parts} for plan in (old, new))
    yield from _names("role", before, after)
    for role in before.keys() & after.keys():
        yield from _parts(before[role], after[role])
    yield from _channels(old, new)
    if old.settings != new.settings:
        yield "settings: changed"


def _parts(old: Part, new: Part) -> Iterator[str]:
    yield from _value(f"{old.role}: replicas", old.replicas, new.replicas)
    yield from _plans(f"{old.role}: ", old.plan, new.plan)
    for program in old.stops.keys() & new.stops.keys():
        if old.stops[program] != new.stops[program]:
            yield f"{old.role}: {program}: sends and receives at other places"


def _plans(where: str, old: Plan, new: Plan) -> Iterator[str]:
    yield from _names(f"{where}program", old.programs, new.programs)
    for name in old.programs:
        if name in new.programs:
            yield from _programs(f"{where}{name}", old.programs[name], new.programs[name])
    yield from _variables(where, old.variables, new.variables)
    for what in ("variable_bytes", "constant_bytes", "arena_bytes"):
        name = what.replace("_", " ")
        yield from _sizes(f"{where}{name}", getattr(old, what), getattr(new, what))
    if where == "" and old.settings != new.settings:
        yield "settings: changed"


def _programs(where: str, old: Program, new: Program) -> Iterator[str]:
    before, after = ([signature(i, p.buffers) for i in p.instructions] for p in (old, new))
    if before == after:
        if old != new:
            yield f"{where}: the same instructions at other places"
        return
    gone, come = Counter(before) - Counter(after), Counter(after) - Counter(before)
    changes = [f"-{_ops(gone)}"] if gone else []
    changes += [f"+{_ops(come)}"] if come else []
    yield f"{where}: {len(before)} -> {len(after)} instructions ({'; '.join(changes) or 'moved'})"


def _ops(names: Counter[str]) -> str:
    """`2 matmul, 1 fused`."""
    ops: Counter[str] = Counter()
    for name, count in names.items():
        ops[name.rpartition("-")[0]] += count
    return ", ".join(f"{count} {op}" for op, count in sorted(ops.items()))


def _variables(where: str, old: Sequence[Variable], new: Sequence[Variable]) -> Iterator[str]:
    before, after = ({v.path: str(v.type) for v in found} for found in (old, new))
    yield from _names(f"{where}variable", before, after)
    for path in sorted(before.keys() & after.keys()):
        yield from _value(f"{where}{path}", before[path], after[path])


def _channels(old: ClusterPlan, new: ClusterPlan) -> Iterator[str]:
    before, after = ({c.name: c for c in plan.channels} for plan in (old, new))
    yield from _names("channel", before, after)
    for name in sorted(before.keys() & after.keys()):
        yield from _sizes(f"channel {name}", before[name].bytes, after[name].bytes)
        same_bytes = before[name].bytes == after[name].bytes
        if same_bytes and before[name].tensors != after[name].tensors:
            yield f"channel {name}: other tensors"


def _names(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    yield from (f"- {what} {name}" for name in sorted(old.keys() - new.keys()))
    yield from (f"+ {what} {name}" for name in sorted(new.keys() - old.keys()))


def _value(what: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{what}: {old} -> {new}"


def _sizes(what: str, old: int, new: int) -> Iterator[str]:
    if old != new:
        yield f"{what}: {size_text(old)} -> {size_text(new)} ({new - old:+,} bytes)"
