"""Branches and loops: decided or unrolled while importing where that is possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import NotKnown, OnnxError, Unsupported
from flowc.onnx.model import Graph, Node
from flowc.onnx.text import Index, call
from flowc.onnx.values import Known, Lost, Tensor, Value

MAX_ROUNDS = 512  # of a loop that is unrolled


def branch(b: Bench, node: Node, inputs: list[Operand]) -> list[Value]:
    """The branch that a known condition takes; else both, and a choice between their values."""
    condition = inputs[0]
    yes, no = node.attrs["then_branch"], node.attrs["else_branch"]
    if isinstance(condition, Known):
        return b.run(yes if bool(condition.array.reshape(-1)[0]) else no, {})
    first, second = b.run(yes, {}), b.run(no, {})
    test = b.tensor(condition)
    test_expr = test.expr if test.rank == 0 else call("reshape", test.expr, [])
    results: list[Value] = []
    for i, (a, c) in enumerate(zip(first, second, strict=True)):
        if isinstance(a, Lost) or isinstance(c, Lost):
            results.append(a)
            continue
        left, right = b.tensor(a), b.tensor(c)
        if left.type != right.type:
            raise Unsupported(f"its branches give {left.type} and {right.type}, and which one is "
                              "taken is only known in a step")
        results.append(b.bind(node, call("where", test_expr, left.expr, right.expr), i))
    return results


def loop(b: Bench, node: Node, inputs: list[Operand]) -> list[Value]:
    """Unrolled: the number of rounds and the condition must be known."""
    body: Graph = node.attrs["body"]
    limit = inputs[0] if inputs else None
    keep_going = inputs[1] if len(inputs) > 1 else None
    rounds = MAX_ROUNDS + 1 if limit is None else b.integers(limit, "the number of rounds")[0]
    carried: list[Value] = list(inputs[2:])
    collected: list[list[Value]] = [[] for _ in body.outputs[1 + len(carried):]]
    going = keep_going is None or bool(b.scalar(keep_going, "the condition"))
    index = 0
    while going and index < rounds:
        if index >= MAX_ROUNDS:
            raise OnnxError("onnx-limit", f"the loop at {node.place} has more than {MAX_ROUNDS} "
                            "rounds")
        given = [Known(np.array(index, np.int64)), Known(np.array(True)), *carried]
        results = b.run(body, _named(body, given))
        going = _goes_on(results[0])
        carried = results[1: 1 + len(carried)]
        for parts, value in zip(collected, results[1 + len(carried):], strict=True):
            parts.append(value)
        index += 1
    return [*carried, *(_stacked(b, node, parts, len(carried) + i, 0)
                        for i, parts in enumerate(collected))]


def _goes_on(condition: Value) -> bool:
    if isinstance(condition, Known):
        return bool(condition.array.reshape(-1)[0])
    raise NotKnown("", "whether the loop goes on")


def _named(body: Graph, given: list[Value]) -> Mapping[str, Value]:
    return {d.name: v for d, v in zip(body.inputs, given, strict=True)}


def _stacked(b: Bench, node: Node, parts: list[Value], result: int, axis: int) -> Value:
    if not parts:
        raise Unsupported("it collects nothing")
    if all(isinstance(p, Known) for p in parts):
        return Known(np.stack([p.array for p in parts if isinstance(p, Known)], axis))
    return b.bind(node, call("stack", [b.tensor(p).expr for p in parts], axis), result)


def scan(b: Bench, node: Node, inputs: list[Operand]) -> list[Value]:
    """Unrolled over the axis that it walks along."""
    body: Graph = node.attrs["body"]
    count = node.attrs["num_scan_inputs"]
    if node.version < 9:
        raise Unsupported("the form of opset 8, which walks inside of a batch")
    states, sequences = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count:]
    axes = node.attrs.get("scan_input_axes", [0] * count)
    backwards = node.attrs.get("scan_input_directions", [0] * count)
    outs = len(body.outputs) - len(states)
    length = sequences[0].shape[axes[0] % sequences[0].rank]
    if not isinstance(length, int) or length > MAX_ROUNDS:
        raise Unsupported(f"it walks over {length} rounds")
    collected: list[list[Value]] = [[] for _ in range(outs)]
    for i in range(length):
        given = list(states)
        for x, axis, turned in zip(sequences, axes, backwards, strict=True):
            given.append(_element(b, node, x, axis % x.rank, length - 1 - i if turned else i))
        results = b.run(body, _named(body, given))
        states = results[: len(states)]
        for parts, value in zip(collected, results[len(states):], strict=True):
            parts.append(value)
    made: list[Value] = list(states)
    out_axes = node.attrs.get("scan_output_axes", [0] * outs)
    turned_outs = node.attrs.get("scan_output_directions", [0] * outs)
    for i, parts in enumerate(collected):
        parts = parts[::-1] if turned_outs[i] else parts
        made.append(_stacked(b, node, parts, len(states) + i, out_axes[i]))
    return made


def _element(b: Bench, node: Node, x: Any, axis: int, place: int) -> Value:
    if isinstance(x, Known):
        return Known(np.take(x.array, place, axis))
    plain: Tensor = b.tensor(x)
    return b.bind(node, Index(plain.expr, ", ".join([*[":"] * axis, str(place)])),
                  wish=f"{plain.name}_{place}")


def has_element(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    return Known(np.array(bool(inputs) and inputs[0] is not None))


def element(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    """What is optional, and there."""
    if not inputs or inputs[0] is None:
        raise Unsupported("nothing is there")
    value: Value = inputs[0]
    return value


IN_ANY_FORM: dict[str, Translate] = {
    "If": branch, "Loop": loop, "Scan": scan, "OptionalHasElement": has_element,
    "OptionalGetElement": element,
}  # fmt: skip
