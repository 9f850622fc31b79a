"""Hoist: what a scan computes in the same way in every round is computed before it.

What does not depend on the round is computed once; the product of each element of a sequence
with one matrix (the input's part of a recurrent cell) becomes one large product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node, Ref
from flowc.graph.scan import emit_scan, without
from flowc.graph.walk import has_op, in_bodies
from flowc.passes.loops import Loop, body_inputs, body_outputs


def hoist(graph: Graph) -> Graph:
    if not has_op(graph, "scan"):
        return graph
    return rebuild(in_bodies(hoist, graph), _rewrite)


def _rewrite(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Sequence[Value] | None:
    if node.body is None:
        return None
    lifted = _lift(builder, Loop(node, node.body, operands))
    return _emit(builder, lifted) if lifted.captured or lifted.sequences else None


@dataclass
class _Lifted:
    """What can be had outside: by body node id, the value there."""

    loop: Loop
    invariant: dict[int, Value] = field(default_factory=dict)
    captured: dict[int, Value] = field(default_factory=dict)  # the invariant ones that are needed
    sequences: dict[int, tuple[Value, int]] = field(default_factory=dict)  # with the walked axis


def _lift(builder: Builder, loop: Loop) -> _Lifted:
    """Appends to the graph outside what is lifted out of the body."""
    lifted = _Lifted(loop)
    for node in loop.body.nodes:
        outside = loop.captured(Ref(node.id))
        if outside is not None:
            lifted.invariant[node.id] = outside
        elif node.op != "input" and len(node.types) == 1 and _all_invariant(node, lifted):
            operands = tuple(lifted.invariant[ref.node].ref for ref in node.operands)
            lifted.invariant[node.id] = builder.copy(node, operands)[0]
        elif (sequence := _product_of_sequence(builder, node, lifted)) is not None:
            lifted.sequences[node.id] = sequence
        else:
            _capture(node.operands, lifted)
    _capture(loop.body.roots, lifted)
    return lifted


def _all_invariant(node: Node, lifted: _Lifted) -> bool:
    return all(ref.node in lifted.invariant for ref in node.operands)


def _capture(refs: Sequence[Ref], lifted: _Lifted) -> None:
    """The body needs these; leaves are at hand in it."""
    for ref in refs:
        is_leaf = lifted.loop.body.nodes[ref.node].op in ("input", "const", "dim")
        if ref.node in lifted.invariant and not is_leaf:
            lifted.captured[ref.node] = lifted.invariant[ref.node]


def _product_of_sequence(builder: Builder, node: Node, lifted: _Lifted) -> tuple[Value, int] | None:
    if node.op != "matmul" or node.attrs["transpose_a"]:
        return None
    a, b = node.operands
    position, matrix = lifted.loop.sequence(a), lifted.invariant.get(b.node)
    if position is None or matrix is None or matrix.type.rank != 2:
        return None
    whole, axis = lifted.loop.operands[position], lifted.loop.node.attrs["axes"][position]
    if axis == whole.type.rank - 1:
        return None
    with builder.at(node.origin):
        return builder("matmul", whole, matrix, **node.attrs), axis


def _emit(builder: Builder, lifted: _Lifted) -> tuple[Value, ...]:
    loop, attrs = lifted.loop, lifted.loop.node.attrs
    new = list(lifted.sequences.values())
    sequences = [*loop.operands[: loop.first_carry], *(value for value, _ in new)]
    carries = loop.operands[loop.first_carry : loop.first_captured]
    captured = [*loop.operands[loop.first_captured :], *lifted.captured.values()]
    axes = (*attrs["axes"], *(axis for _, axis in new))
    return emit_scan(
        builder,
        sequences,
        carries,
        captured,
        _body(lifted, sequences, axes, captured),
        axes=axes,
        yield_axes=attrs["yield_axes"],
        length=attrs["length"],
        reverse=attrs["reverse"],
    )


def _body(
    lifted: _Lifted, sequences: Sequence[Value], axes: Sequence[int], captured: Sequence[Value]
) -> Graph:
    loop = lifted.loop
    rows = [without(value.type, axis) for value, axis in zip(sequences, axes, strict=True)]
    carries = [value.type for value in loop.operands[loop.first_carry : loop.first_captured]]
    body = Builder()
    inputs = [v.ref for v in body_inputs(body, rows, carries, [v.type for v in captured])]
    moved = _moved_inputs(lifted, inputs)
    for node in loop.body.nodes:
        if Ref(node.id) not in moved:
            values = body.copy(node, tuple(moved[ref] for ref in node.operands))
            moved |= {Ref(node.id, i): value.ref for i, value in enumerate(values)}
    results = [moved[output.value] for output in loop.body.outputs]
    return body.finish(body_outputs(results[: loop.carries], results[loop.carries :]))


def _moved_inputs(lifted: _Lifted, inputs: Sequence[Ref]) -> dict[Ref, Ref]:
    """Where the body's old inputs, and what is now an input, are found among the new inputs."""
    loop, added = lifted.loop, len(lifted.sequences)
    first_new_captured = len(loop.operands) + added
    moved = {
        Ref(id): inputs[i if i < loop.first_carry else i + added] for id, i in loop.position.items()
    }
    moved |= {Ref(id): inputs[loop.first_carry + i] for i, id in enumerate(lifted.sequences)}
    moved |= {Ref(id): inputs[first_new_captured + i] for i, id in enumerate(lifted.captured)}
    return moved
