"""Groups: which items one box stands for, such that arrows between boxes never form a circle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from flowc.views.items import Item

VARIABLES = ("param", "state", "slot")
FIRST_VIEW_BOXES = 40  # as many groups as one takes in at a glance


@dataclass(frozen=True)
class Group:
    """Items that are shown as one box. `name` is empty where the only item has its own."""

    name: str
    path: str
    members: tuple[int, ...]


def each_alone(items: Mapping[int, Item]) -> list[Group]:
    """The groups of a picture that shows everything."""
    return [Group("", item.path, (number,)) for number, item in items.items()]


def by_path(items: Mapping[int, Item], depth: int) -> list[Group]:
    """Groups of items that lie under the same first `depth` names; inputs stay alone.

    What lies under no name is grouped by the author's line. Variables go to their first user.
    """
    runs = _runs({n: i for n, i in items.items() if i.kind not in VARIABLES}, depth)
    run_of = {number: at for at, run in enumerate(runs) for number in run}
    for number, home in _homes(items, run_of).items():
        if home is None:
            runs.append([number])
        else:
            runs[home].append(number)
    return [_group(items, sorted(run), depth) for run in runs]


def first_view_depth(items: Mapping[int, Item]) -> int:
    """The most names that can be told apart in a picture of FIRST_VIEW_BOXES groups; 1 at least."""
    deepest = max((len(item.path.split(".")) for item in items.values()), default=1)
    for depth in range(deepest, 1, -1):
        if len(by_path(items, depth)) <= FIRST_VIEW_BOXES:
            return depth
    return 1


def _key(item: Item, depth: int) -> str:
    """Items with the same key may share a box."""
    mark = "'" if item.gradient else ""
    if item.kind != "input" and item.path:
        return ".".join(item.path.split(".")[:depth]) + mark
    if item.kind != "input" and item.line:
        return f"line {item.at.rsplit(':', 1)[0]}{mark}"
    return f"%{item.id}"


def _group(items: Mapping[int, Item], members: list[int], depth: int) -> Group:
    computing = [n for n in members if items[n].kind not in VARIABLES] or members
    first = items[computing[0]]
    path = ".".join(first.path.split(".")[:depth])
    alone = len(computing) == 1 and not path or first.kind in ("input", *VARIABLES)
    return Group("" if alone else path or first.text, path, tuple(members))


def _runs(items: Mapping[int, Item], depth: int) -> list[list[int]]:
    """The items in an order that respects their uses, cut where the key changes.

    Since that is a topological order, arrows between runs only go forwards. The next run is one
    that finishes its key, if there is such a one, so that few keys are cut in two.
    """
    keys = {number: _key(item, depth) for number, item in items.items()}
    left: dict[str, int] = defaultdict(int)
    for key in keys.values():
        left[key] += 1
    walk = _Walk(items, keys)
    runs = []
    while walk.ready:
        candidates = sorted(walk.ready, key=lambda key: walk.ready[key][0])
        finishing = (key for key in candidates if len(walk.run(key)) == left[key])
        key = next(finishing, candidates[0])
        run = walk.run(key)
        walk.take(run)
        left[key] -= len(run)
        runs.append(run)
    return runs


class _Walk:
    """A walk over the items, of which those whose operands have been taken are `ready`, by key."""

    def __init__(self, items: Mapping[int, Item], keys: Mapping[int, str]):
        self.keys = keys
        self.users: dict[int, list[int]] = defaultdict(list)
        self.waiting: dict[int, int] = {}
        self.ready: dict[str, list[int]] = defaultdict(list)
        for number, item in items.items():
            operands = {use.item for use in item.uses if use.item in items}
            self.waiting[number] = len(operands)
            for operand in operands:
                self.users[operand].append(number)
            if not operands:
                self.ready[keys[number]].append(number)

    def run(self, key: str) -> list[int]:
        """What could be taken of a key now, in order, without taking anything else."""
        open_, run = list(self.ready[key]), []
        heapify(open_)
        missing: dict[int, int] = {}
        while open_:
            number = heappop(open_)
            run.append(number)
            for user in self.users[number]:
                if self.keys[user] == key:
                    missing[user] = missing.get(user, self.waiting[user]) - 1
                    if missing[user] == 0:
                        heappush(open_, user)
        return run

    def take(self, run: list[int]) -> None:
        taken = set(run)
        for key in {self.keys[number] for number in run}:
            self.ready[key] = [n for n in self.ready[key] if n not in taken]
        for number in run:
            for user in self.users[number]:
                self.waiting[user] -= 1
                if self.waiting[user] == 0 and user not in taken:
                    self.ready[self.keys[user]].append(user)
        self.ready = defaultdict(list, {k: sorted(v) for k, v in self.ready.items() if v})


def _homes(items: Mapping[int, Item], run_of: Mapping[int, int]) -> dict[int, int | None]:
    """For each variable the first run that uses it, or None where none does."""
    homes: dict[int, int | None] = {n: None for n, i in items.items() if i.kind in VARIABLES}
    for number, operand in _uses(items):
        known = homes.get(operand, 0)
        if operand in homes and number in run_of:
            homes[operand] = run_of[number] if known is None else min(known, run_of[number])
    return homes


def _uses(items: Mapping[int, Item]) -> Iterator[tuple[int, int]]:
    return ((number, use.item) for number, item in items.items() for use in item.uses)
