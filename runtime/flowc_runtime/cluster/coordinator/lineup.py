"""The members of a generation, and which of their variables can be relied on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowc_runtime.cluster.coordinator.agreement import Agreement, agree
from flowc_runtime.cluster.coordinator.layout import Layout
from flowc_runtime.cluster.coordinator.roster import Roster
from flowc_runtime.cluster.messages import Configure, Member
from flowc_runtime.cluster.shards import Range


class Lineup:
    """Generation after generation; the first is number `first`."""

    def __init__(self, layout: Layout, roster: Roster, first: int):
        self._layout = layout
        self._roster = roster
        self.generation = first - 1
        self.members: Mapping[str, Range] = {}
        self.agreement = Agreement(0, {}, {})
        self._trusted: set[str] = set()  # whose variables are of this line of steps
        self._stands: dict[str, int] = {}  # what the members say
        self._running = False  # those who run on have been told to, in this generation

    def form(self) -> Configure | None:
        """Begins a generation, if enough tasks are there; the first one waits for all."""
        ready = self._roster.ready
        members = self._layout.members(ready)
        if members is None or not (self._roster.formed or len(ready) == len(self._layout.tasks)):
            return None
        self._roster.formed = True
        self.generation += 1
        self.members = members
        self._stands, self._running = {}, False
        return Configure(self.generation, tuple(map(self._member, self._layout.tasks)))

    @property
    def may_grow(self) -> bool:
        """Whether tasks are there that could take part and do not."""
        members = self._layout.members(self._roster.ready)
        return members is not None and len(members) > len(self.members)

    # --- where they stand -----------------------------------------------------------------------

    def stands(self, task: str, step: int) -> None:
        self._stands[task] = step

    def agree(self, at_hand: int, rely: bool = True) -> Agreement:
        """Where all are to stand; without `rely` at the step of the values at hand."""
        relied_on = {t: s for t, s in self._stands.items() if t in self._trusted and rely}
        empty = {t for t, s in self._stands.items() if s < 0}
        self.agreement = agree(
            self._layout.groups, relied_on, empty, self.members, at_hand, least=at_hand)
        return self.agreement

    def distrust(self, tasks: Iterable[str]) -> None:
        """Their variables are gone, or are being overwritten."""
        self._trusted.difference_update(tasks)

    def loaded(self, task: str) -> None:
        self._trusted.add(task)

    def stand(self) -> None:
        """All members stand at the step agreed on, and nobody else does."""
        self._trusted = set(self.members)

    # --- who is told what -------------------------------------------------------------------------

    def counting(self) -> tuple[str, ...]:
        """The members whose word that a step is done is waited for."""
        return self._layout.counting(self.members)

    def told_to_run(self) -> tuple[str, ...]:
        """Those who count, and once in a generation those who run on."""
        running, self._running = self._running, True
        return self.counting() if running else tuple(self.members)

    def paths_of(self, source: str) -> tuple[str, ...]:
        """What a task of the same group as `source` must be given."""
        return next(g.loads for g in self._layout.groups if source in g.tasks)

    def sources(self) -> dict[str, tuple[str, ...]]:
        """Members that have all changing variables together, and which each is to give."""
        return {
            next(t for t in group.tasks if t in self.members): group.changing
            for group in self._layout.groups
            if group.changing
        }

    def _member(self, name: str) -> Member:
        """A task that takes no part has no shards, and nobody needs its address."""
        if name not in self.members:
            return Member(name, "", "", 0, 0)
        record = self._roster[name]
        return Member(name, record.address, record.token, *self.members[name])
