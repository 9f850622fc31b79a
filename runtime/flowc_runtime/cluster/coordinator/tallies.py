"""What became of each worker's gradients: applied, dropped, stale."""

from __future__ import annotations

from collections.abc import Iterable

from flowc_runtime.cluster.messages import Counts


class Tallies:
    """Adds up over generations what the owners of variables count within each."""

    def __init__(self) -> None:
        self._before: dict[str, Counts] = {}
        self._now: dict[str, dict[str, Counts]] = {}  # by worker and owner

    def add(self, owner: str, counts: Iterable[Counts]) -> None:
        """An owner's counts of this generation so far."""
        for entry in counts:
            self._now.setdefault(entry.task, {})[owner] = entry

    def new_generation(self) -> None:
        self._before = self.total
        self._now = {}

    @property
    def current(self) -> dict[str, Counts]:
        """Of this generation. A gradient counts as dropped if one owner has dropped its part."""
        return {
            worker: Counts(
                worker,
                min(c.applied for c in owners.values()),
                max(c.dropped for c in owners.values()),
                max(c.staleness for c in owners.values()),
            )
            for worker, owners in self._now.items()
        }

    @property
    def total(self) -> dict[str, Counts]:
        found = dict(self._before)
        for worker, now in self.current.items():
            past = found.get(worker, Counts(worker, 0, 0, 0))
            found[worker] = Counts(
                worker, past.applied + now.applied, past.dropped + now.dropped,
                max(past.staleness, now.staleness),
            )  # fmt: skip
        return found
