"""Steps: instructions before they have an order and addresses, and the draft that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flowc.graph.graph import NOWHERE, Origin
from flowc.plan.places import Place, Storage
from flowc_runtime.blocking import fused_scratch_bytes
from flowc_runtime.expression import Expression, parse_expression
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Cost, Types
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.plan.planned import Planned


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction to be: what it reads and writes, not yet when or where.

    `joined` and `rewritten` are further storages that it reads and writes, behind the first ones
    that its operands and results name (see `join.py`).
    """

    id: int
    op: str
    attrs: Mapping[str, Any]
    operands: tuple[Place, ...]
    results: tuple[Place, ...]
    origin: Origin
    scratch_bytes: int = 0
    expression: Expression | None = None
    body: Planned | None = None
    joined: tuple[int, ...] = ()
    rewritten: tuple[int, ...] = ()

    @property
    def reads(self) -> tuple[int, ...]:
        """The storages that are read, each once, in operand order."""
        return tuple(dict.fromkeys((*(p.storage for p in self.operands), *self.joined)))

    @property
    def types(self) -> tuple[Types, Types]:
        return tuple(p.type for p in self.operands), tuple(p.type for p in self.results)

    @property
    def cost(self) -> Cost:
        operands, results = self.types
        if self.body is not None:
            costs = [step.cost for step in self.body.draft.steps]
            rounds, moved = self.attrs["length"], sum(t.bytes for t in (*operands, *results))
            inside = sum(c.flops for c in costs), sum(c.bytes for c in costs)
            return Cost(rounds * inside[0], rounds * inside[1] + moved)
        if self.expression is not None:
            return self.expression.cost(operands, results, self.attrs["shape"])
        if self.op == "copy":
            return Cost(0, 2 * results[0].bytes)
        return CATALOG[self.op].cost(operands, results, self.attrs)

    def may_overwrite(self, storage: int, result: int) -> bool:
        """Whether the result may be written onto a storage although the step reads it."""
        return all(
            self._may_take_over(k, result)
            for k, place in enumerate(self.operands)
            if place.storage == storage
        )

    def _may_take_over(self, operand: int, result: int) -> bool:
        place = self.operands[operand]
        if place.offset or place.type != self.results[result].type:
            return False
        if self.expression is not None:
            whole = place.type.shape == tuple(self.attrs["shape"])
            return whole and self.expression.may_overwrite(operand, result)
        if self.op == "scan":
            return operand - int(self.attrs["sequences"]) == result < int(self.attrs["carries"])
        return self.op != "copy" and result == 0 and operand in CATALOG[self.op].in_place


@dataclass
class Draft:
    """Steps and storages while the plan of one graph is made."""

    storages: list[Storage] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, Place] = field(default_factory=dict)
    outputs: dict[str, Place] = field(default_factory=dict)
    before: dict[int, list[int]] = field(default_factory=dict)  # step: others that it waits for

    def new_storage(self, bytes: int, home: str | None = None, kept: bool = False) -> Storage:
        storage = Storage(len(self.storages), bytes, home, kept)
        self.storages.append(storage)
        return storage

    def new_place(self, type: TensorType, home: str | None = None, kept: bool = False) -> Place:
        return Place(self.new_storage(type.bytes, home, kept).id, 0, type)

    def add(
        self,
        op: str,
        attrs: Mapping[str, Any],
        operands: tuple[Place, ...],
        results: tuple[Place, ...],
        origin: Origin = NOWHERE,
        body: Planned | None = None,
    ) -> Step:
        types = tuple(p.type for p in operands), tuple(p.type for p in results)
        expression, scratch = None, 0
        if body is not None:
            scratch = body.arena_bytes
        elif op == "fused":
            expression = parse_expression(attrs["lines"])
            scratch = fused_scratch_bytes(attrs["lines"], *types, attrs["shape"])
        elif op != "copy":
            scratch = CATALOG[op].scratch_bytes(*types, attrs)
        number = len(self.steps)
        step = Step(number, op, attrs, operands, results, origin, scratch, expression, body)
        self.steps.append(step)
        return step

    def keep(self, place: Place) -> None:
        """Holds the value to the end of the program."""
        self.storages[place.storage] = replace(self.storages[place.storage], kept=True)

    def rehome(self, storage: int, home: str) -> None:
        """Has a value written into other memory than the arena."""
        self.storages[storage] = replace(self.storages[storage], home=home)

    def in_arena(self, storage: int) -> bool:
        return self.storages[storage].home is None

    def wait(self, step: int, before: int) -> None:
        """Makes a step come after another although it reads nothing of it."""
        self.before.setdefault(step, []).append(before)

    def writer(self) -> dict[int, int]:
        """The step that writes each storage."""
        return {
            storage: step.id
            for step in self.steps
            for storage in (*(p.storage for p in step.results), *step.rewritten)
        }

    def readers(self) -> dict[int, list[int]]:
        """The steps that read each storage, in order."""
        readers: dict[int, list[int]] = {}
        for step in self.steps:
            for storage in step.reads:
                readers.setdefault(storage, []).append(step.id)
        return readers

    def waits(self) -> list[list[int]]:
        """For each step the others that must come before it."""
        writer = self.writer()
        waits = []
        for step in self.steps:
            data = {writer[s] for s in step.reads if s in writer}
            waits.append(sorted(data.union(self.before.get(step.id, ()))))
        return waits
