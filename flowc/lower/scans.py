"""`scan`: the body becomes a graph of its own; what it uses from outside is captured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Output, Ref
from flowc.graph.scan import emit_scan, without
from flowc.lower import errors
from flowc.lower.arithmetic import to_tensor
from flowc.lower.scope import Binding, Scope
from flowc.lower.values import POISON, Arg, Tensor
from flowc.lower.variables import fit
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim, is_called
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Level, Lowerer


def lower_scan(lw: Lowerer, expr: t.Scan, scope: Scope) -> Any:
    sequences = [lw.arg(s, scope) for s in expr.sequences]
    carries = [_initial(lw, carry, scope) for carry in expr.carries]
    axes = _walked_axes(lw, expr, sequences, scope)
    if axes is None or any(c.value is POISON for c in carries):
        return POISON
    length = sequences[0].value.type.shape[axes[0]]
    return _lower_body(lw, expr, scope, sequences, carries, axes, length)


def _initial(lw: Lowerer, carry: t.Carry, scope: Scope) -> Arg:
    arg = lw.arg(carry.initial, scope)
    return arg if arg.value is POISON else to_tensor(lw, arg, "f32")


def _walked_axes(
    lw: Lowerer, expr: t.Scan, sequences: list[Arg], scope: Scope
) -> tuple[int, ...] | None:
    """For each sequence the axis called like the `over` dimension; all must be equally long."""
    if len(sequences) != len(expr.items):
        lw.report(errors.scan_items(expr, len(sequences)))
        return None
    axes: list[int] = []
    for arg in sequences:
        if arg.value is POISON:
            return None
        if not isinstance(arg.value, Tensor):
            lw.report(errors.needs_tensor("scan", arg))
            return None
        axis = find_axis(arg.value.type, expr.over.text, scope)
        if axis is None:
            lw.report(errors.no_such_axis(expr.over, arg))
            return None
        axes.append(axis)
    lengths = [a.value.type.shape[axis] for a, axis in zip(sequences, axes, strict=True)]
    for arg, length in zip(sequences[1:], lengths[1:], strict=True):
        if length != lengths[0]:
            lw.report(errors.unequal_sequences(sequences[0], lengths[0], arg, length))
            return None
    found = scope.find(expr.over.text)
    if found is not None and found.span is not None:
        lw.used.add(found.span)
    return tuple(axes)


def find_axis(type_: TensorType, name: str, scope: Scope) -> int | None:
    """The axis that carries the name; failing that, the only one of the size it stands for."""
    called = [i for i, dim in enumerate(type_.shape) if is_called(dim, name)]
    if not called:
        known = scope.find(name)
        called = [i for i, dim in enumerate(type_.shape) if known and dim == known.value]
    return called[0] if len(called) == 1 else None


def _lower_body(
    lw: Lowerer,
    expr: t.Scan,
    scope: Scope,
    sequences: list[Arg],
    carries: list[Arg],
    axes: tuple[int, ...],
    length: Dim,
) -> Any:
    from flowc.lower.lowerer import Level

    level = Level(Builder(origin=lw.origin(expr.span)), length=length)
    lw.levels.append(level)
    try:
        inner = Scope("scan", scope)
        for i, (name, arg, axis) in enumerate(zip(expr.items, sequences, axes, strict=True)):
            level.builder.origin = lw.origin(name.span)
            item = level.builder.input(f"x{i}", without(arg.value.type, axis))
            inner.names[name.text] = Binding(Tensor(item, lw.level), name.span)
        for j, (carry, arg) in enumerate(zip(expr.carries, carries, strict=True)):
            level.builder.origin = lw.origin(carry.span)
            value = level.builder.input(f"c{j}", arg.value.type)
            inner.names[carry.name.text] = Binding(
                Tensor(value, lw.level), carry.name.span
            )
        with lw.inside(lw.statement.target):
            yielded = lw.execute(expr.body, inner)
        outputs = _body_outputs(lw, expr, inner, carries, yielded)
    finally:
        lw.levels.pop()
    if outputs is None:
        return POISON
    return _append(lw, expr, level, sequences, carries, axes, outputs, yielded)




def _body_outputs(
    lw: Lowerer, expr: t.Scan, inner: Scope, carries: list[Arg], yielded: Arg | None
) -> list[Output] | None:
    """The next carries and the yields as outputs of the body; None after a complaint."""
    outputs: list[Output] = []
    for carry in expr.carries:
        lw.used.add(inner.names[carry.name.text].span or carry.span)  # the next round reads it
    for j, (carry, first) in enumerate(zip(expr.carries, carries, strict=True)):
        value = inner.names[carry.name.text].value
        if value is POISON:
            return None
        span = inner.names[carry.name.text].span or carry.span
        fitted = fit(lw, Arg(value, span), first.value.type)
        if fitted is None:
            lw.report(errors.carry_changes(carry, first, Arg(value, span)))
            return None
        outputs.append(Output(f"c{j}", lw.local(fitted).ref))
    for j, value in enumerate(_yields(yielded)):
        if value is POISON:
            return None
        tensor = to_tensor(lw, Arg(value, expr.span), "f32").value
        if tensor is POISON:
            return None
        outputs.append(Output(f"y{j}", lw.local(tensor).ref))
    if not outputs:
        lw.report(errors.scan_of_nothing(expr))
        return None
    return outputs


def _yields(yielded: Arg | None) -> tuple[Any, ...]:
    if yielded is None:
        return ()
    return yielded.value if isinstance(yielded.value, tuple) else (yielded.value,)


def _append(
    lw: Lowerer,
    expr: t.Scan,
    level: Level,
    sequences: list[Arg],
    carries: list[Arg],
    axes: tuple[int, ...],
    outputs: list[Output],
    yielded: Arg | None,
) -> Any:
    lw.builder.origin = lw.origin(expr.span)
    walked = [lw.local(a.value) for a in sequences]
    if level.uses_round:
        walked.append(_rounds(lw, level.length))
        axes = (*axes, 0)
    yields = [level.builder.value(o.value) for o in outputs[len(carries) :]]
    stacked = tuple(min(axes[0], y.type.rank) for y in yields)  # a vector's only place is the first
    results = emit_scan(
        lw.builder,
        walked,
        [lw.local(c.value) for c in carries],
        [lw.local(captured) for captured in level.captured],
        inputs_first(level.builder, outputs),
        axes=axes,
        yield_axes=stacked,
        length=level.length,
        reverse=expr.reverse,
    )
    kept: Sequence[Value] = results[len(carries) :] if yields else results
    if yields:
        walked_dim = sequences[0].value.type.shape[axes[0]]
        kept = [_named_like(r, walked_dim, axis) for r, axis in zip(kept, stacked, strict=True)]
    tensors = tuple(Tensor(r, lw.level) for r in kept)
    return tensors if len(tensors) > 1 else tensors[0]


def _named_like(value: Value, walked: Dim, axis: int) -> Value:
    """The stacked yield with the walked dimension under the name it has in the sequence."""
    shape = list(value.type.shape)
    shape[axis] = walked
    return Value(value.ref, TensorType(value.type.dtype, tuple(shape)))


def _rounds(lw: Lowerer, length: Dim) -> Value:
    return lw.builder("iota", shape=(length,), axis=0, dtype="i64")


def inputs_first(builder: Builder, outputs: list[Output]) -> Graph:
    """The body with its inputs in the order of the scan's operands: x.., c.., k.."""
    inputs = [n for n in builder.nodes if n.op == "input"]
    inputs.sort(key=lambda n: ("xck".index(n.attrs["name"][0]), int(n.attrs["name"][1:])))
    ordered = Builder()
    moved: dict[Ref, Ref] = {}
    for node in [*inputs, *(n for n in builder.nodes if n.op != "input")]:
        values = ordered.copy(node, tuple(moved[r] for r in node.operands))
        moved |= {Ref(node.id, i): v.ref for i, v in enumerate(values)}
    return ordered.finish([Output(o.name, moved[o.value]) for o in outputs])


def round_index(lw: Lowerer, level: int) -> Tensor:
    """The number of the round (from 0) of the scan at that level, as an i64 scalar."""
    here = lw.levels[level]
    if here.round_index is None:
        count = sum(n.op == "input" and n.attrs["name"][0] == "x" for n in here.builder.nodes)
        here.uses_round = True
        value = here.builder.input(f"x{count}", TensorType("i64"))
        here.round_index = Tensor(value, level)
    return here.round_index
