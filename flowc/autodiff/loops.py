"""The gradient of a scan: a scan backwards over what the rounds forward have saved.

A round backwards takes the cotangents of the round's next carries and of its yields. It gives
the cotangents of its carries, which the round before takes on; of its elements of the sequences,
which are stacked; and its share of those of captured values, which is summed up in further
carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Output, Ref
from flowc.graph.scan import emit_scan, with_dim
from flowc_runtime.types import FLOATS

# Cotangents of values within one round: (builder, seeds, wanted) -> by wanted value.
Backpropagate = Callable[[Builder, Mapping[Ref, Value], list[Ref]], dict[Ref, Value]]

MADE_AGAIN = ("const", "dim", "iota")  # cheaper to make in each round than to save


@dataclass(frozen=True)
class _Loop:
    """A scan node taken apart. Positions count the operands, which are the body's inputs."""

    node: Node
    body: Graph
    live: tuple[int, ...]  # sequences and captured values that need a cotangent

    @property
    def first_carry(self) -> int:
        return int(self.node.attrs["sequences"])

    @property
    def first_captured(self) -> int:
        return self.first_carry + int(self.node.attrs["carries"])

    @property
    def inputs(self) -> list[Ref]:
        return [Ref(n.id) for n in self.body.nodes if n.op == "input"]

    @property
    def float_carries(self) -> list[int]:
        """Positions of the carries that have cotangents."""
        span = range(self.first_carry, self.first_captured)
        return [i for i in span if self.node.types[i - self.first_carry].dtype in FLOATS]

    @property
    def live_sequences(self) -> list[int]:
        return [i for i in self.live if i < self.first_carry]

    @property
    def live_captured(self) -> list[int]:
        return [i for i in self.live if i >= self.first_captured]

    def result_of(self, position: int) -> int:
        """The number of the result that a carry ends as."""
        return position - self.first_carry


@dataclass
class _Round:
    """One round forward and backward in one graph: first the body's nodes, then what follows.

    `carry_seeds` and `yield_seeds` are inputs for the cotangents of the next carries, by the
    carry's position, and of yields, by result; `gradients` are by value of the body.
    """

    builder: Builder
    forward_count: int
    carry_seeds: dict[int, Value] = field(default_factory=dict)
    yield_seeds: dict[int, Value] = field(default_factory=dict)
    gradients: dict[Ref, Value] = field(default_factory=dict)

    def is_forward(self, ref: Ref) -> bool:
        return ref.node < self.forward_count


def through_scan(
    builder: Builder,
    node: Node,
    flowing: tuple[Value | None, ...],
    active: set[int],
    backpropagate: Backpropagate,
) -> list[tuple[Ref, Value]]:
    """Appends the scan backwards; the scan forward is made to yield what that one needs.

    `flowing` are the cotangents of the results. Returns those of the operands that matter.
    """
    loop = _take_apart(builder, node, active)
    both = _differentiate_round(loop, flowing, backpropagate)
    backward = _BackwardBody(loop, both)
    body = backward.build()
    _save_residuals(builder, loop, both, backward.residuals)
    return _append(builder, loop, flowing, both, backward.residuals, body)


def _take_apart(builder: Builder, node: Node, active: set[int]) -> _Loop:
    assert node.body is not None
    carries = range(node.attrs["sequences"], node.attrs["sequences"] + node.attrs["carries"])
    live = tuple(
        i
        for i, ref in enumerate(node.operands)
        if i not in carries and ref.node in active and builder.value(ref).type.dtype in FLOATS
    )
    return _Loop(node, node.body, live)


def _differentiate_round(
    loop: _Loop, flowing: tuple[Value | None, ...], backpropagate: Backpropagate
) -> _Round:
    both = _Round(Builder(list(loop.body.nodes)), len(loop.body.nodes))
    inner, inputs = both.builder, loop.inputs
    seeds: dict[Ref, Value] = {}

    def seed(result: int) -> Value:
        target = loop.body.outputs[result].value
        value = inner.input(f"g{result}", loop.body.type_of(target))
        seeds[target] = inner("add", seeds[target], value) if target in seeds else value
        return value

    for i in loop.float_carries:
        both.carry_seeds[i] = seed(loop.result_of(i))
    for result in range(loop.node.attrs["carries"], len(loop.body.outputs)):
        if flowing[result] is not None:
            both.yield_seeds[result] = seed(result)
    wanted = [inputs[i] for i in (*loop.live, *loop.float_carries)]
    both.gradients = backpropagate(inner, seeds, wanted)
    return both


class _BackwardBody:
    """Builds the round backwards as a graph of its own.

    What it needs of the round forward comes in by sequences: `residuals` are those values that
    are neither elements of a sequence of the scan, nor captured, nor made again.
    """

    def __init__(self, loop: _Loop, both: _Round):
        self.loop = loop
        self.both = both
        self.body = Builder()
        self.moved: dict[Ref, Ref] = {}  # from the graph of both rounds to the body
        self.sums: dict[int, Value] = {}  # cotangents of captured values so far, by position
        self.used, self.copied = self._needed()
        self.residuals = self._residuals()

    def build(self) -> Graph:
        self._add_sequences()
        self._add_carries()
        self._add_captured()
        for node in self.both.builder.nodes:
            if node.id in self.copied and Ref(node.id) not in self.moved:
                self._copy(node)
        return self._finish()

    def _needed(self) -> tuple[set[Ref], set[int]]:
        """The forward values that the gradients are made from, and the nodes between."""
        used: set[Ref] = set()
        copied: set[int] = set()
        pending = [value.ref for value in self.both.gradients.values()]
        while pending:
            ref = pending.pop()
            node = self.both.builder.nodes[ref.node]
            if self.both.is_forward(ref) and node.op not in MADE_AGAIN:
                used.add(ref)
            elif node.id not in copied:
                copied.add(node.id)
                pending.extend(node.operands)
        return used, copied

    def _residuals(self) -> list[Ref]:
        loop, inputs = self.loop, self.loop.inputs
        given = {*inputs[: loop.first_carry], *inputs[loop.first_captured :]}
        return sorted(self.used - given)

    def _input(self, name: str, ref: Ref) -> None:
        self.moved[ref] = self.body.input(name, self.both.builder.value(ref).type).ref

    def _add_sequences(self) -> None:
        yields = [seed.ref for seed in self.both.yield_seeds.values()]
        sequences = self.loop.inputs[: self.loop.first_carry]
        for k, ref in enumerate([*sequences, *self.residuals, *yields]):
            self._input(f"x{k}", ref)

    def _add_carries(self) -> None:
        seeds = [seed.ref for seed in self.both.carry_seeds.values()]
        for k, ref in enumerate(seeds):
            self._input(f"c{k}", ref)
        for k, i in enumerate(self.loop.live_captured, len(seeds)):
            type_ = self.both.builder.value(self.loop.inputs[i]).type
            self.sums[i] = self.body.input(f"c{k}", type_)

    def _add_captured(self) -> None:
        for k, ref in enumerate(self.loop.inputs[self.loop.first_captured :]):
            self._input(f"k{k}", ref)

    def _copy(self, node: Node) -> None:
        values = self.body.copy(node, tuple(self.moved[r] for r in node.operands))
        self.moved |= {Ref(node.id, i): value.ref for i, value in enumerate(values)}

    def _finish(self) -> Graph:
        """Outputs: cotangents of the carries, the sums, then those of the sequences."""
        loop, inputs = self.loop, self.loop.inputs
        carried = [self._cotangent(inputs[i]) for i in loop.float_carries]
        carried += [self._summed(inputs[i], total) for i, total in self.sums.items()]
        stacked = [self._cotangent(inputs[i]) for i in loop.live_sequences]
        outputs = [Output(f"c{k}", value.ref) for k, value in enumerate(carried)]
        outputs += [Output(f"y{k}", value.ref) for k, value in enumerate(stacked)]
        return self.body.finish(outputs)

    def _cotangent(self, ref: Ref) -> Value:
        gradient = self.both.gradients.get(ref)
        if gradient is None:
            return self.body.constant(0.0, self.both.builder.value(ref).type)
        return self.body.value(self.moved[gradient.ref])

    def _summed(self, ref: Ref, total: Value) -> Value:
        if ref not in self.both.gradients:
            return total
        return self.body("add", total, self._cotangent(ref))


def _save_residuals(builder: Builder, loop: _Loop, both: _Round, residuals: list[Ref]) -> None:
    """Lets the scan forward yield the residuals as well, stacked along a new first axis."""
    node, length = loop.node, loop.node.attrs["length"]
    count = len(loop.body.outputs) - loop.node.attrs["carries"]
    extra = [Output(f"y{count + k}", ref) for k, ref in enumerate(residuals)]
    types = [with_dim(both.builder.value(ref).type, 0, length) for ref in residuals]
    nodes = tuple(both.builder.nodes[: both.forward_count])
    axes = (*node.attrs["yield_axes"], *(0,) * len(residuals))
    builder.nodes[node.id] = replace(
        node,
        attrs={**node.attrs, "yield_axes": axes},
        types=(*node.types, *types),
        body=Graph(nodes, (*loop.body.outputs, *extra)),
    )


def _append(
    builder: Builder,
    loop: _Loop,
    flowing: tuple[Value | None, ...],
    both: _Round,
    residuals: list[Ref],
    body: Graph,
) -> list[tuple[Ref, Value]]:
    """Appends the scan backwards; its results are the cotangents of the operands."""
    node, attrs = loop.node, loop.node.attrs
    saved = [builder.value(Ref(node.id, len(node.types) + k)) for k in range(len(residuals))]
    given = {result: flowing[result] for result in both.yield_seeds}
    walked = [builder.value(ref) for ref in node.operands[: loop.first_carry]] + saved
    walked += [value for value in given.values() if value is not None]
    axes = (*attrs["axes"], *(0,) * len(saved))
    axes += tuple(attrs["yield_axes"][result - attrs["carries"]] for result in given)
    results = emit_scan(
        builder,
        walked,
        _starts(builder, loop, flowing),
        [builder.value(ref) for ref in node.operands[loop.first_captured :]],
        body,
        axes=axes,
        yield_axes=tuple(attrs["axes"][i] for i in loop.live_sequences),
        length=attrs["length"],
        reverse=not attrs["reverse"],
    )
    positions = (*loop.float_carries, *loop.live_captured, *loop.live_sequences)
    return [(node.operands[i], value) for i, value in zip(positions, results, strict=True)]


def _starts(
    builder: Builder, loop: _Loop, flowing: tuple[Value | None, ...]
) -> list[Value]:
    """First carries backwards: cotangents of the last carries, and sums that begin at zero."""
    starts = []
    for i in loop.float_carries:
        result = loop.result_of(i)
        known = flowing[result]
        starts.append(known or builder.constant(0.0, loop.node.types[result]))
    for i in loop.live_captured:
        starts.append(builder.constant(0.0, builder.value(loop.node.operands[i]).type))
    return starts
