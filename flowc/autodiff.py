"""Reverse-mode differentiation: a graph with a loss gets the gradients of its parameters.

Each op's own rule gives the cotangents of its operands from those of its results; the loop here
adds up what flows into one value from several users (Griewank and Walther, Evaluating
Derivatives, 2008, chapter 3). A scan is differentiated by a scan backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Output, Ref
from flowc.graph.scan import emit_scan, with_dim
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Forward
from flowc_runtime.types import FLOATS, TensorType

Blame = Callable[[Node], None]  # told of a node that has no derivative but would need one


def differentiate(graph: Graph, loss: Ref, wrt: Mapping[str, Ref], blame: Blame) -> Graph:
    """The graph with an output `gradient.PATH` for each of `wrt` that the loss depends on."""
    builder = Builder(list(graph.nodes))
    one = builder.constant(1.0, graph.type_of(loss))
    gradients = backpropagate(builder, {loss: one}, list(wrt.values()), blame)
    outputs = [
        Output(f"gradient.{path}", gradients[ref].ref)
        for path, ref in wrt.items()
        if ref in gradients
    ]
    return builder.finish([*graph.outputs, *outputs], graph.updates)


def backpropagate(
    builder: Builder, seeds: Mapping[Ref, Value], wrt: Iterable[Ref], blame: Blame
) -> dict[Ref, Value]:
    """Appends the backward pass; the cotangents of those of `wrt` that anything flows into."""
    wanted = set(wrt)
    active = _depends_on(builder.nodes, wanted)
    cotangents: dict[Ref, Value] = {}
    for ref, value in seeds.items():
        _add(builder, cotangents, ref, value)
    for id in range(max((r.node for r in seeds), default=-1), -1, -1):
        node = builder.nodes[id]
        results = [Ref(id, i) for i in range(len(node.types))]
        flowing = tuple(cotangents.get(r) for r in results)
        if id not in active or all(c is None for c in flowing) or not node.operands:
            continue
        with builder.at(replace(node.origin, path=f"{node.origin.path}'")):
            for ref, cotangent in _through(builder, node, flowing, active, blame):
                _add(builder, cotangents, ref, cotangent)
    return {ref: cotangents[ref] for ref in wanted if ref in cotangents}


def _depends_on(nodes: list[Node], wanted: set[Ref]) -> set[int]:
    """The nodes whose values change when one of `wanted` changes."""
    active = {ref.node for ref in wanted}
    for node in nodes:
        if any(ref.node in active for ref in node.operands):
            active.add(node.id)
    return active


def _add(builder: Builder, cotangents: dict[Ref, Value], ref: Ref, value: Value) -> None:
    known = cotangents.get(ref)
    cotangents[ref] = value if known is None else builder("add", known, value)


def _through(
    builder: Builder,
    node: Node,
    flowing: tuple[Value | None, ...],
    active: set[int],
    blame: Blame,
) -> list[tuple[Ref, Value]]:
    """What flows on to each operand that matters."""
    if node.op == "scan":
        return _through_scan(builder, node, flowing, active, blame)
    matters = [
        ref.node in active and builder.nodes[ref.node].types[ref.result].dtype in FLOATS
        for ref in node.operands
    ]
    if not any(matters):
        return []
    rule = CATALOG[node.op].gradient
    if rule is None:
        blame(node)
        return []
    forward = Forward(
        tuple(builder.value(r) for r in node.operands),
        tuple(builder.value(Ref(node.id, i)) for i in range(len(node.types))),
        node.attrs,
    )
    cotangents = rule(builder, forward, flowing)
    return [
        (ref, cotangent)
        for ref, matter, cotangent in zip(node.operands, matters, cotangents, strict=True)
        if matter and cotangent is not None
    ]


# --- scan -------------------------------------------------------------------------------------


@dataclass
class _Loop:
    """A scan node taken apart: operands and body results by their part in the loop."""

    node: Node
    body: Graph

    @property
    def sequences(self) -> tuple[Ref, ...]:
        return self.node.operands[: self.node.attrs["sequences"]]

    @property
    def carries(self) -> tuple[Ref, ...]:
        start = self.node.attrs["sequences"]
        return self.node.operands[start : start + self.node.attrs["carries"]]

    @property
    def captured(self) -> tuple[Ref, ...]:
        return self.node.operands[self.node.attrs["sequences"] + self.node.attrs["carries"] :]

    @property
    def inputs(self) -> list[Ref]:
        """The body's inputs, in the order of the operands."""
        return [Ref(n.id) for n in self.body.nodes if n.op == "input"]


def _through_scan(
    builder: Builder,
    node: Node,
    flowing: tuple[Value | None, ...],
    active: set[int],
    blame: Blame,
) -> list[tuple[Ref, Value]]:
    """Appends the scan backwards; the forward scan is made to yield what that one needs.

    One round backwards takes the cotangents of the round's next carries and yields and gives
    those of its carries, of its elements of the sequences, and its share for captured values,
    which is summed up in further carries.
    """
    assert node.body is not None
    loop = _Loop(node, node.body)
    inner = Builder(list(node.body.nodes))
    carry_types = node.types[: len(loop.carries)]
    seeds, given = _seeds(inner, loop, flowing)
    live = _live_inputs(loop, builder, active)
    gradients = _loop_gradients(inner, loop, seeds, live, blame)
    saved = _Saved(loop, len(node.body.nodes))
    backward = _backward_body(inner, loop, given, gradients, saved, live)
    _save_residuals(builder, inner, loop, saved)
    results = _emit_backward(builder, loop, flowing, given, saved, backward, live, carry_types)
    return results


def _float_carries(loop: _Loop) -> list[int]:
    types = loop.node.types[: len(loop.carries)]
    return [j for j, type in enumerate(types) if type.dtype in FLOATS]


def _seeds(
    inner: Builder, loop: _Loop, flowing: tuple[Value | None, ...]
) -> tuple[dict[str, Value], list[str]]:
    """Inputs of the backward body for the cotangents of next carries (`gc`) and yields (`gy`)."""
    seeds: dict[str, Value] = {}
    for j in _float_carries(loop):
        seeds[f"gc{j}"] = inner.input(f"gc{j}", loop.node.types[j])
    yields = loop.body.outputs[len(loop.carries) :]
    for j, output in enumerate(yields):
        if flowing[len(loop.carries) + j] is not None:
            seeds[f"gy{j}"] = inner.input(f"gy{j}", loop.body.type_of(output.value))
    return seeds, list(seeds)


def _live_inputs(loop: _Loop, builder: Builder, active: set[int]) -> list[int]:
    """Which captured values and sequences need a cotangent: positions among the operands."""
    first, count = len(loop.sequences), len(loop.carries)
    return [
        i
        for i, ref in enumerate(loop.node.operands)
        if not first <= i < first + count
        and ref.node in active
        and builder.nodes[ref.node].types[ref.result].dtype in FLOATS
    ]


def _loop_gradients(
    inner: Builder, loop: _Loop, seeds: dict[str, Value], live: list[int], blame: Blame
) -> dict[Ref, Value]:
    """Cotangents of the body's inputs within one round."""
    flows: dict[Ref, Value] = {}
    for name, value in seeds.items():
        offset = 0 if name.startswith("gc") else len(loop.carries)
        target = loop.body.outputs[offset + int(name[2:])].value
        _add(inner, flows, target, value)
    inputs = loop.inputs
    first = len(loop.sequences)
    carries = [inputs[first + j] for j in _float_carries(loop)]
    gradients = backpropagate(inner, flows, [*(inputs[i] for i in live), *carries], blame)
    for ref, value in flows.items():
        if ref in carries and ref not in gradients:
            gradients[ref] = value
    return gradients


@dataclass
class _Saved:
    """Values of a forward round that the backward round uses: which, and under what input."""

    loop: _Loop
    forward_count: int
    residuals: list[Ref] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.residuals = []


def _backward_body(
    inner: Builder,
    loop: _Loop,
    given: list[str],
    gradients: dict[Ref, Value],
    saved: _Saved,
    live: list[int],
) -> Graph:
    """The backward round as a graph of its own; what it needs of the forward round is noted."""
    body = Builder()
    inputs = loop.inputs
    n_seq, n_car = len(loop.sequences), len(loop.carries)
    wanted = _backward_outputs(inner, loop, gradients, live)
    needed = _needed(inner, [v.ref for v in wanted], saved.forward_count)
    sequence_inputs = [inputs[i] for i in range(n_seq)]
    captured_inputs = [inputs[i] for i in range(n_seq + n_car, len(inputs))]
    saved.residuals = [
        r for r in sorted(needed.used)
        if r not in sequence_inputs and r not in captured_inputs
        and inner.nodes[r.node].op not in ("const", "dim", "iota")
    ]
    moved: dict[Ref, Ref] = {}
    count = 0
    sources = [*sequence_inputs, *saved.residuals]
    for ref in sources:
        moved[ref] = body.input(f"x{count}", inner.nodes[ref.node].types[ref.result]).ref
        count += 1
    seeds = {n.attrs["name"]: Ref(n.id) for n in inner.nodes[saved.forward_count :]
             if n.op == "input"}
    for name in (n for n in given if n.startswith("gy")):
        moved[seeds[name]] = body.input(f"x{count}", inner.nodes[seeds[name].node].type).ref
        count += 1
    for k, name in enumerate(n for n in given if n.startswith("gc")):
        moved[seeds[name]] = body.input(f"c{k}", inner.nodes[seeds[name].node].type).ref
    sums: dict[int, Value] = {}
    k = sum(n.startswith("gc") for n in given)
    for i in live:
        if i >= n_seq:
            sums[i] = body.input(f"c{k}", inner.nodes[inputs[i].node].type)
            k += 1
    for j, ref in enumerate(captured_inputs):
        moved[ref] = body.input(f"k{j}", inner.nodes[ref.node].type).ref
    for node in inner.nodes:
        if node.id in needed.copied and Ref(node.id) not in moved:
            for i, value in enumerate(body.copy(node, tuple(moved[r] for r in node.operands))):
                moved[Ref(node.id, i)] = value.ref
    return _finish_backward(body, inner, loop, given, gradients, live, moved, sums)


@dataclass
class _Needed:
    used: set[Ref]  # forward values that the backward round reads
    copied: set[int]  # nodes that become part of the backward round


def _needed(inner: Builder, wanted: list[Ref], forward_count: int) -> _Needed:
    used: set[Ref] = set()
    copied: set[int] = set()
    pending = list(wanted)
    while pending:
        ref = pending.pop()
        node = inner.nodes[ref.node]
        if node.id < forward_count and node.op not in ("const", "dim", "iota"):
            used.add(ref)
        elif node.id not in copied:
            copied.add(node.id)
            pending.extend(node.operands)
    return _Needed(used, copied)


def _backward_outputs(
    inner: Builder, loop: _Loop, gradients: dict[Ref, Value], live: list[int]
) -> list[Value]:
    inputs = loop.inputs
    first = len(loop.sequences)
    refs = [inputs[first + j] for j in _float_carries(loop)] + [inputs[i] for i in live]
    return [gradients[r] for r in refs if r in gradients]


def _finish_backward(
    body: Builder,
    inner: Builder,
    loop: _Loop,
    given: list[str],
    gradients: dict[Ref, Value],
    live: list[int],
    moved: dict[Ref, Ref],
    sums: dict[int, Value],
) -> Graph:
    """Outputs: cotangents of the carries, the sums so far, then those of the sequences."""
    inputs = loop.inputs
    first = len(loop.sequences)

    def cotangent(ref: Ref) -> Value:
        if ref in gradients:
            return body.value(moved[gradients[ref].ref])
        return body.constant(0.0, inner.nodes[ref.node].type)

    carried = [cotangent(inputs[first + j]) for j in _float_carries(loop)]
    for i, total in sums.items():
        share = gradients.get(inputs[i])
        carried.append(
            total if share is None else body("add", total, body.value(moved[share.ref]))
        )
    yields = [cotangent(inputs[i]) for i in live if i < first]
    outputs = [Output(f"c{j}", v.ref) for j, v in enumerate(carried)]
    outputs += [Output(f"y{j}", v.ref) for j, v in enumerate(yields)]
    return body.finish(outputs)


def _save_residuals(builder: Builder, inner: Builder, loop: _Loop, saved: _Saved) -> None:
    """Lets the forward scan yield the residuals, stacked along a new first axis."""
    node = loop.node
    length = node.attrs["length"]
    count = len(loop.body.outputs) - len(loop.carries)
    outputs = list(loop.body.outputs)
    types: list[TensorType] = list(node.types)
    for j, ref in enumerate(saved.residuals):
        outputs.append(Output(f"y{count + j}", ref))
        types.append(with_dim(inner.nodes[ref.node].types[ref.result], 0, length))
    body = Graph(tuple(inner.nodes[: saved.forward_count]), tuple(outputs))
    axes = (*node.attrs["yield_axes"], *(0,) * len(saved.residuals))
    attrs = {**node.attrs, "yield_axes": axes}
    builder.nodes[node.id] = replace(node, attrs=attrs, types=tuple(types), body=body)


def _emit_backward(
    builder: Builder,
    loop: _Loop,
    flowing: tuple[Value | None, ...],
    given: list[str],
    saved: _Saved,
    backward: Graph,
    live: list[int],
    carry_types: tuple[TensorType, ...],
) -> list[tuple[Ref, Value]]:
    """Appends the backward scan; its results are the operands' cotangents."""
    node, attrs = loop.node, loop.node.attrs
    first, n_car = len(loop.sequences), len(loop.carries)
    extra = [builder.value(Ref(node.id, len(node.types) + j)) for j in range(len(saved.residuals))]
    yields = [int(n[2:]) for n in given if n.startswith("gy")]
    walked = [builder.value(r) for r in loop.sequences] + extra
    axes = (*attrs["axes"], *(0,) * len(extra))
    for j in yields:
        cotangent = flowing[n_car + j]
        assert cotangent is not None
        walked.append(cotangent)
        axes = (*axes, attrs["yield_axes"][j])
    start = [
        flowing[j] or builder.constant(0.0, carry_types[j]) for j in _float_carries(loop)
    ]
    summed = [i for i in live if i >= first]
    zeros = [builder.constant(0.0, builder.value(node.operands[i]).type) for i in summed]
    results = emit_scan(
        builder, walked, [*start, *zeros], [builder.value(r) for r in loop.captured], backward,
        axes=axes, yield_axes=tuple(attrs["axes"][i] for i in live if i < first),
        length=attrs["length"], reverse=not attrs["reverse"],
    )
    n_start = len(start)
    flows = [(loop.carries[j], results[k]) for k, j in enumerate(_float_carries(loop))]
    flows += [(node.operands[i], results[n_start + k]) for k, i in enumerate(summed)]
    walked_live = [i for i in live if i < first]
    flows += [
        (node.operands[i], results[n_start + len(summed) + k]) for k, i in enumerate(walked_live)
    ]
    return flows
