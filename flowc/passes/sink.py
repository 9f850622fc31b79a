"""Sink: what a scan computes only to hand it out is computed after it, for all rounds at once.

The gradients of a recurrent cell's weights are sums over the rounds of products; the rounds hand
out the factors instead, and one large product adds up as it goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node, Ref
from flowc.graph.scan import emit_scan
from flowc.graph.walk import has_op, in_bodies
from flowc.passes.loops import Loop, body_outputs
from flowc_runtime.dims import Dim, product


def sink(graph: Graph) -> Graph:
    if not has_op(graph, "scan"):
        return graph
    return rebuild(in_bodies(sink, graph), _rewrite)


def _rewrite(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Sequence[Value] | None:
    if node.body is None:
        return None
    sinker = _Sinker(Loop(node, node.body, operands))
    return sinker.emit(builder) if sinker.products or sinker.sums else None


@dataclass(frozen=True)
class _Factor:
    """A value of the body for all rounds: the dimension of the rounds is put in at `axis`."""

    ref: Ref
    axis: int


@dataclass
class _Sinker:
    """Finds what can wait; by the number of the scan's result, the node that computes it."""

    loop: Loop
    products: dict[int, Node] = field(default_factory=dict)
    sums: dict[int, Node] = field(default_factory=dict)
    factors: dict[int, tuple[_Factor, ...]] = field(default_factory=dict)
    yields: list[_Factor] = field(default_factory=list)

    def __post_init__(self) -> None:
        outputs = self.loop.body.outputs[self.loop.carries :]
        axes = self.loop.node.attrs["yield_axes"]
        self.yields = [_Factor(o.value, a) for o, a in zip(outputs, axes, strict=True)]
        for result in range(self.loop.carries, len(self.loop.body.outputs)):
            self._find_product(result)
        for op in ("matmul", "reduce_sum"):  # a sum waits if its terms are handed out anyway
            for result in range(self.loop.carries):
                self._find_sum(result, op)

    def _find_product(self, result: int) -> None:
        """A yield of `v @ m`, with the same matrix in every round, is a yield of `v`."""
        ref, axis = self.yields[result - self.loop.carries].ref, self._yield_axis(result)
        node = self.loop.body.nodes[ref.node]
        if node.op != "matmul" or node.attrs["transpose_a"] or self.loop.uses[ref] > 1:
            return
        matrix = self.loop.captured(node.operands[1])
        if matrix is not None and matrix.type.rank == 2 and axis < node.type.rank:
            self._wait(self.products, result, node, (_Factor(node.operands[0], axis),))

    def _find_sum(self, carry: int, op: str) -> None:
        """A carry that only adds up terms."""
        term = self._term(carry)
        if term is None or term.op != op:
            return
        if op == "matmul":
            factors = self._cheapest(term)
            if factors:
                self._wait(self.sums, carry, term, factors)
            return
        for known in self.yields:
            if known.ref == term.operands[0]:
                self._wait(self.sums, carry, term, (known,))
                return

    def _term(self, carry: int) -> Node | None:
        """What is added to a carry in each round, if that is all that happens to either."""
        nodes, total = self.loop.body.nodes, self.loop.body.outputs[carry].value
        start = next(
            Ref(id) for id, i in self.loop.position.items() if i == self.loop.first_carry + carry
        )
        add = nodes[total.node]
        if add.op != "add" or start not in add.operands or self.loop.uses[total] > 1:
            return None
        (term,) = [ref for ref in add.operands if ref != start] or [start]
        alone = self.loop.uses[term] == 1 and self.loop.uses[start] == 1
        same = all(self.loop.body.type_of(ref) == add.type for ref in add.operands)
        return nodes[term.node] if alone and same else None

    def _cheapest(self, term: Node) -> tuple[_Factor, ...]:
        """The factors, with the rounds before or after the axis that is summed over."""
        for ref in term.operands:
            if self.loop.body.type_of(ref).rank != 2 or self.loop.captured(ref) is not None:
                return ()
        summed = (int(not term.attrs["transpose_a"]), int(term.attrs["transpose_b"]))
        ways = [
            tuple(
                _Factor(ref, axis + after) for ref, axis in zip(term.operands, summed, strict=True)
            )
            for after in (0, 1)
        ]
        return min(ways, key=lambda factors: sum(map(self._elements, factors)))

    def _elements(self, factor: _Factor) -> int:
        """How many elements each round would have to hand out for the factor."""
        size = self.loop.body.type_of(factor.ref).size
        free = factor in self.yields or self._as_operand(factor) is not None
        return 0 if free else size if isinstance(size, int) else 1 << 40

    def _as_operand(self, factor: _Factor) -> Value | None:
        """The sequence outside that the factor is, if it is just that."""
        position = self.loop.sequence(factor.ref)
        if position is None or self.loop.node.attrs["axes"][position] != factor.axis:
            return None
        return self.loop.operands[position]

    def _wait(
        self, kind: dict[int, Node], result: int, node: Node, factors: tuple[_Factor, ...]
    ) -> None:
        kind[result] = node
        self.factors[result] = factors
        for factor in factors:
            if factor not in self.yields and self._as_operand(factor) is None:
                self.yields.append(factor)

    def _yield_axis(self, result: int) -> int:
        return self.yields[result - self.loop.carries].axis

    def emit(self, builder: Builder) -> tuple[Value, ...]:
        """Appends the scan that hands out the factors, and after it what has waited."""
        loop, attrs = self.loop, self.loop.node.attrs
        carries = [output.value for output in loop.body.outputs[: loop.carries]]
        outputs = body_outputs(carries, [factor.ref for factor in self.yields])
        results = emit_scan(
            builder,
            loop.operands[: loop.first_carry],
            loop.operands[loop.first_carry : loop.first_captured],
            loop.operands[loop.first_captured :],
            Graph(loop.body.nodes, tuple(outputs)),
            axes=attrs["axes"],
            yield_axes=tuple(factor.axis for factor in self.yields),
            length=attrs["length"],
            reverse=attrs["reverse"],
        )
        return tuple(
            self._after(builder, result, results) for result in range(len(loop.node.types))
        )

    def _after(self, builder: Builder, result: int, results: tuple[Value, ...]) -> Value:
        node = self.products.get(result) or self.sums.get(result)
        if node is None:
            return results[result]
        found = [self._whole(factor, results) for factor in self.factors[result]]
        with builder.at(node.origin):
            if result in self.products:
                matrix = self.loop.captured(node.operands[1])
                assert matrix is not None
                return builder("matmul", found[0], matrix, **node.attrs)
            start = self.loop.operands[self.loop.first_carry + result]
            return builder("add", start, self._total(builder, node, result, found))

    def _whole(self, factor: _Factor, results: tuple[Value, ...]) -> Value:
        outside = self._as_operand(factor)
        return outside or results[self.loop.carries + self.yields.index(factor)]

    def _total(self, builder: Builder, node: Node, result: int, found: list[Value]) -> Value:
        """The sum over all rounds of a product of matrices, or of sums."""
        axes = [factor.axis for factor in self.factors[result]]
        if node.op == "matmul":
            summed = (int(not node.attrs["transpose_a"]), int(node.attrs["transpose_b"]))
            flat = [_joined(builder, v, axis) for v, axis in zip(found, summed, strict=True)]
            return builder("matmul", *flat, **node.attrs)
        inner = [axis + (axis >= axes[0]) for axis in node.attrs["axes"]]
        total = builder("reduce_sum", found[0], axes=tuple(sorted([*inner, axes[0]])), keep=False)
        return builder("reshape", total, shape=node.type.shape)


def _joined(builder: Builder, value: Value, axis: int) -> Value:
    """A tensor of rank 3 as a matrix, with the axes `axis` and the next as one."""
    shape: tuple[Dim, ...] = value.type.shape
    joined = (*shape[:axis], product(shape[axis : axis + 2]), *shape[axis + 2 :])
    return builder("reshape", value, shape=joined)
