"""Where the members of a new generation are to stand, and who gives whom the variables for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flowc_runtime.cluster.coordinator.layout import Group


@dataclass(frozen=True, slots=True)
class Agreement:
    """All are to stand at `step`. `peers` has for a task those that get its variables,
    `here` for a task the paths that it gets from the values at hand."""

    step: int
    peers: Mapping[str, tuple[str, ...]]
    here: Mapping[str, tuple[str, ...]]

    @property
    def loading(self) -> set[str]:
        """Those who have to say that they are loaded."""
        return {task for targets in self.peers.values() for task in targets} | set(self.here)


def common_step(
    groups: Collection[Group], stands: Mapping[str, int], members: Collection[str]
) -> int | None:
    """The largest step at which each group has a member."""
    common: set[int] | None = None
    for group in groups:
        if group.changing:
            steps = {stands[t] for t in group.tasks if t in members and stands.get(t, -1) >= 0}
            common = steps if common is None else common & steps
    return max(common, default=None) if common is not None else None


def agree(
    groups: Collection[Group],
    stands: Mapping[str, int],
    empty: Collection[str],
    members: Collection[str],
    at_hand: int,
    least: int,
) -> Agreement:
    """`stands` has the steps of those whose variables can be relied on; `empty` have none at all.

    The values at hand are those after step `at_hand`. They are what is left where the members
    have no step in common, or none from `least` on.
    """
    step = common_step(groups, stands, members)
    if step is None or step < least:
        here = {t: g.loads for g in groups for t in g.tasks if t in members}
        return Agreement(at_hand, {}, here)
    peers: dict[str, tuple[str, ...]] = {}
    here = {}
    for group in groups:
        present = [t for t in group.tasks if t in members]
        if not group.changing:
            here |= {t: group.loads for t in present if t in empty}
            continue
        behind = tuple(t for t in present if stands.get(t) != step)
        if behind:
            peers[next(t for t in present if stands.get(t) == step)] = behind
    return Agreement(step, peers, here)
