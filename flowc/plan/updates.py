"""How updates reach their variables: written in place where that is safe, by a copy elsewhere.

The carries of a scan's body are updates too: at the end of a round they take their new values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flowc.graph.graph import Origin
from flowc.plan.places import Place
from flowc.plan.steps import Draft


@dataclass(frozen=True, slots=True)
class Change:
    """At the end, what lies in `variable` becomes what lies in `value`."""

    variable: Place
    value: Place
    origin: Origin


def write_back(draft: Draft, changes: Sequence[Change], guard: Iterable[Place]) -> frozenset[int]:
    """Adds what carries out the changes, and returns the steps that write variables.

    None of them comes before a step that the `guard` places (the loss) depend on.
    """
    real = [c for c in changes if c.value.storage != c.variable.storage]
    targets = [c.variable.storage for c in real]
    if len(set(targets)) != len(targets):
        raise ValueError("a variable is updated twice")
    return _WriteBack(draft, _old_values_saved(draft, real), guard).run()


def _old_values_saved(draft: Draft, changes: Sequence[Change]) -> list[Change]:
    """Copies the old value of a changed variable where that is itself an output or a new value."""
    changed = {c.variable.storage for c in changes}
    saved: dict[int, Place] = {}

    def safe(place: Place, origin: Origin) -> Place:
        if place.storage not in changed:
            return place
        if place.storage not in saved:
            old = next(c.variable for c in changes if c.variable.storage == place.storage)
            saved[place.storage] = draft.new_place(old.type)
            draft.add("copy", {}, (old,), (saved[place.storage],), origin)
        return replace(place, storage=saved[place.storage].storage)

    origins = {c.variable.storage: c.origin for c in changes}
    for name, place in draft.outputs.items():
        draft.outputs[name] = safe(place, origins.get(place.storage, Origin()))
    return [replace(c, value=safe(c.value, c.origin)) for c in changes]


class _WriteBack:
    """Decides change by change; what was decided restricts the changes that follow."""

    def __init__(self, draft: Draft, changes: Sequence[Change], guard: Iterable[Place]):
        self.draft = draft
        self.changes = changes
        self.writer = draft.writer()
        self.readers = draft.readers()
        self.followers: list[set[int]] = [set() for _ in draft.steps]
        waits = draft.waits()
        for step, befores in enumerate(waits):
            for before in befores:
                self.followers[before].add(step)
        roots = [self.writer[p.storage] for p in guard if p.storage in self.writer]
        self.needed = closure(roots, waits)

    def run(self) -> frozenset[int]:
        return frozenset(
            self._in_place(change) if self._may_write(change) else self._copy(change)
            for change in self.changes
        )

    def _may_write(self, change: Change) -> bool:
        """Whether the step that computes the new value can write it onto the old one."""
        value, old = change.value, change.variable.storage
        computed = value.storage in self.writer and self.draft.in_arena(value.storage)
        if not computed or self.draft.storages[value.storage].bytes != change.variable.type.bytes:
            return False
        step = self.draft.steps[self.writer[value.storage]]
        result = [p.storage for p in step.results].index(value.storage)
        if step.id in self.needed or not step.may_overwrite(old, result):
            return False
        return not closure([step.id], self.followers) & self._other_readers(old, step.id)

    def _in_place(self, change: Change) -> int:
        step = self.writer[change.value.storage]
        home = self.draft.storages[change.variable.storage].home
        assert home is not None, "what is updated lies outside the arena"
        self.draft.rehome(change.value.storage, home)
        for reader in sorted(self._other_readers(change.variable.storage, step)):
            self.draft.wait(step, before=reader)
            self.followers[reader].add(step)
        return step

    def _copy(self, change: Change) -> int:
        draft, old = self.draft, change.variable
        target = draft.new_place(old.type, draft.storages[old.storage].home)
        source = replace(change.value, type=old.type)
        step = draft.add("copy", {}, (source,), (target,), change.origin)
        self.followers.append(set())
        for reader in self.readers.get(old.storage, ()):
            draft.wait(step.id, before=reader)
            self.followers[reader].add(step.id)
        return step.id

    def _other_readers(self, storage: int, step: int) -> set[int]:
        return {reader for reader in self.readers.get(storage, ()) if reader != step}


def closure(roots: Iterable[int], neighbours: Sequence[Iterable[int]]) -> set[int]:
    """All that can be reached from the roots, themselves included."""
    seen = set(roots)
    todo = list(seen)
    while todo:
        for other in neighbours[todo.pop()]:
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen
