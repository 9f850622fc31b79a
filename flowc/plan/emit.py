"""The last stage: planned graphs become programs with addresses, and programs a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowc.graph.graph import Graph, Node
from flowc.plan.memory import aligned
from flowc.plan.places import Place, constant_home, variable_home
from flowc.plan.planned import Planned, plan_graph
from flowc.plan.steps import Step
from flowc_runtime.plan import Buffer, Constant, Instruction, Plan, Port, Program, Variable
from flowc_runtime.planfile import check_plan
from flowc_runtime.types import TensorType

Address = tuple[str, int]  # a space and the byte offset in it

_KINDS = ("param", "state", "slot")  # in this order they lie in memory


@dataclass(frozen=True)
class Layout:
    """Where variables and constants lie, the same for all programs of a plan."""

    variables: tuple[Variable, ...]
    variable_bytes: int
    constants: tuple[Constant, ...]
    constant_bytes: int
    homes: Mapping[str, Address]


def make_plan(
    model: str,
    source_hash: str,
    programs: Mapping[str, Graph],
    sizes: Mapping[str, Mapping[str, int]] | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu:0",
    in_order: bool = False,
) -> Plan:
    """The plan of a model from its programs' graphs, whose dimensions are all bound.

    `sizes` says, by program, what they were bound to. All programs share the variables: one that
    occurs in several has the same kind and type in each. `in_order` keeps the order of the graphs,
    which parts of one graph that wait for each other must have in common.
    """
    layout = make_layout(programs.values())
    made = {
        name: make_program(name, graph, (sizes or {}).get(name, {}), layout, in_order)
        for name, graph in sorted(programs.items())
    }
    plan = Plan(
        model,
        source_hash,
        layout.variables,
        layout.variable_bytes,
        layout.constants,
        layout.constant_bytes,
        made,
        device,
        dict(settings or {}),
    )
    check_plan(plan)
    return plan


def make_layout(graphs: Iterable[Graph]) -> Layout:
    """Gives each variable and each constant of the graphs a place of its own."""
    variables: dict[str, Node] = {}
    constants: dict[str, Node] = {}
    for node in (node for graph in graphs for node in _all_nodes(graph)):
        if node.op == "variable":
            known = variables.setdefault(node.attrs["path"], node)
            if (known.type, known.attrs["kind"]) != (node.type, node.attrs["kind"]):
                raise ValueError(f"the variable {node.attrs['path']} has two types or kinds")
        elif node.op in ("const", "dim"):
            constants.setdefault(constant_home(node), node)
    return _addressed(variables, constants)


def make_program(
    name: str, graph: Graph, sizes: Mapping[str, int], layout: Layout, in_order: bool = False
) -> Program:
    """Orders the graph's steps, lays out their arena, and writes them down as instructions."""
    planned = plan_graph(graph, layout.homes, in_order)
    return _Emitter(planned, layout.homes, base=0).program(name, sizes)


def _addressed(variables: Mapping[str, Node], constants: Mapping[str, Node]) -> Layout:
    homes: dict[str, Address] = {}
    held: list[Variable] = []
    written: list[Constant] = []
    end = 0
    for path in sorted(variables, key=lambda p: _rank(p, variables[p])):
        node = variables[path]
        held.append(Variable(path, node.attrs["kind"], _bound(node.type), end))
        homes[variable_home(path)] = ("variables", end)
        end += aligned(node.type.bytes)
    constants_end = 0
    for home, node in constants.items():
        written.append(Constant(_bound(node.type), constants_end, _plain(node.attrs["value"])))
        homes[home] = ("constants", constants_end)
        constants_end += aligned(node.type.bytes)
    return Layout(tuple(held), end, tuple(written), constants_end, homes)


def _rank(path: str, node: Node) -> tuple[int, str, str]:
    """By kind, then slot, then path: parameters and each of their slots lie in one order."""
    parameter, _, slot = path.partition(":")
    return _KINDS.index(node.attrs["kind"]), slot, parameter


def _all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes, those of scan bodies behind their scan."""
    for node in graph.nodes:
        yield node
        if node.body is not None:
            yield from _all_nodes(node.body)


def _bound(type: TensorType) -> TensorType:
    return TensorType(type.dtype, type.sizes)


def _plain(value: Any) -> Any:
    """An attribute as the plan holds it: a size's name, which integers may carry, stays behind."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


@dataclass
class _Emitter:
    """Writes down one planned graph whose arena begins at `base`."""

    planned: Planned
    homes: Mapping[str, Address]
    base: int
    buffers: list[Buffer] = field(default_factory=list)
    numbers: dict[Place, int] = field(default_factory=dict)

    def program(self, name: str, sizes: Mapping[str, int]) -> Program:
        draft = self.planned.draft
        inputs = tuple(Port(n, self._buffer(p)) for n, p in draft.inputs.items())
        steps = (draft.steps[number] for number in self.planned.order)
        instructions = tuple(self._instruction(step, name) for step in steps)
        outputs = tuple(Port(n, self._buffer(p)) for n, p in draft.outputs.items())
        return Program(
            name,
            dict(sizes),
            tuple(self.buffers),
            inputs,
            outputs,
            instructions,
            self.planned.arena_bytes,
            self.planned.commit,
        )

    def _instruction(self, step: Step, program: str) -> Instruction:
        cost, origin = step.cost, step.origin
        return Instruction(
            step.op,
            tuple(map(self._buffer, step.operands)),
            tuple(map(self._buffer, step.results)),
            {name: _plain(value) for name, value in step.attrs.items()},
            self._scratch(step) if step.scratch_bytes else 0,
            step.scratch_bytes,
            cost.flops,
            cost.bytes,
            str(origin.span) if origin.span else "",
            origin.path,
            self._body(step, program) if step.body else None,
        )

    def _body(self, step: Step, program: str) -> Program:
        """The loop of a scan: its arena is the scratch, its carries are the scan's results."""
        assert step.body is not None
        sequences, carries = step.attrs["sequences"], step.attrs["carries"]
        lent = {f"c{k}": self._address(p) for k, p in enumerate(step.results[:carries])}
        captured = step.operands[sequences + carries :]
        lent |= {f"k{k}": self._address(p) for k, p in enumerate(captured)}
        base = self._scratch(step) if step.scratch_bytes else 0
        inside = _Emitter(step.body, {**self.homes, **lent}, base)
        return inside.program(f"{program}/scan", {})

    def _scratch(self, step: Step) -> int:
        return self.base + self.planned.memory.scratch[step.id]

    def _buffer(self, place: Place) -> int:
        """The number of the buffer at a place; a new one at its first use."""
        if place not in self.numbers:
            self.numbers[place] = len(self.buffers)
            space, offset = self._address(place)
            self.buffers.append(Buffer(space, offset, _bound(place.type)))
        return self.numbers[place]

    def _address(self, place: Place) -> Address:
        home = self.planned.draft.storages[place.storage].home
        if home is not None:
            space, start = self.homes[home]
            return space, start + place.offset
        return "arena", self.base + self.planned.memory.offsets[place.storage] + place.offset
