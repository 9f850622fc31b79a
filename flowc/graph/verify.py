"""The verifier: what must hold of every graph, checked before the passes and after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from flowc.graph.graph import Graph, Node
from flowc.graph.scan import numbered, with_dim, without
from flowc_runtime.expression import BadExpression, parse_expression
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Reject, Types

LEAVES = {"input": {"name"}, "variable": {"path", "kind"}, "const": {"value"}, "dim": {"value"}}


class VerifyError(Exception):
    """A graph that no stage may produce: a bug of ours, never an author's mistake."""


def verify(graph: Graph) -> Graph:
    """The graph itself; raises VerifyError where a promise of `graph.py` or `scan.py` is broken."""
    for position, node in enumerate(graph.nodes):
        try:
            _verify_operands(graph, node, position)
            _verify_node(node, tuple([graph.type_of(ref) for ref in node.operands]))
        except (VerifyError, Reject, BadExpression) as error:
            raise VerifyError(f"{_show(node)}: {error}") from error
    _verify_roots(graph)
    return graph


def _verify_operands(graph: Graph, node: Node, position: int) -> None:
    _need(node.id == position, "its id is not its position")
    for ref in node.operands:
        if ref.node >= position or not _exists(graph, ref.node, ref.result):
            raise VerifyError(f"takes {ref}, which does not stand before it")


def _verify_node(node: Node, operands: Types) -> None:
    _need((node.body is not None) == (node.op == "scan"), "a scan, and nothing else, has a body")
    if node.op in LEAVES:
        _need(set(node.attrs) == LEAVES[node.op], "has other attributes")
        _need(len(node.types) == 1 and not operands, "a leaf has one result and no operands")
    elif node.op == "fused":
        _verify_fused(node, operands)
    elif node.op == "scan":
        _verify_scan(node, operands)
    else:
        _verify_call(node, operands)


def _verify_call(node: Node, operands: Types) -> None:
    _need(node.op in CATALOG, "the catalog has no op of that name")
    op = CATALOG[node.op]
    _need(node.attrs.keys() == {a.name for a in op.attrs}, "has other attributes")
    _need_types(node, op.infer(operands, node.attrs))


def _verify_fused(node: Node, operands: Types) -> None:
    _need(set(node.attrs) == {"lines", "shape"}, "has other attributes")
    expression = parse_expression(node.attrs["lines"])
    _need(expression.operands <= len(operands), "reads more operands than it has")
    _need_types(node, expression.result_types(operands, node.attrs["shape"]))


def _verify_scan(node: Node, operands: Types) -> None:
    assert node.body is not None
    verify(node.body)
    walked, rest = operands[: node.attrs["sequences"]], operands[node.attrs["sequences"] :]
    axes, length = node.attrs["axes"], node.attrs["length"]
    for type, axis in zip(walked, axes, strict=True):
        if type.shape[axis] != length:
            raise VerifyError(f"{type} is not walked along axis {axis} in {length} rounds")
    rows = [without(type, axis) for type, axis in zip(walked, axes, strict=True)]
    letters = "x" * len(walked) + "c" * node.attrs["carries"]
    names = numbered(letters + "k" * (len(operands) - len(letters)))
    inputs = [n for n in node.body.nodes if n.op == "input"]
    _need([n.attrs["name"] for n in inputs] == names, "its body has other inputs")
    _need([n.type for n in inputs] == [*rows, *rest], "its body's inputs have other types")
    _verify_scan_results(node, node.body)


def _verify_scan_results(node: Node, body: Graph) -> None:
    carries, length = node.attrs["carries"], node.attrs["length"]
    types = [body.type_of(output.value) for output in body.outputs]
    names = numbered("c" * carries + "y" * (len(types) - carries))
    _need([o.name for o in body.outputs] == names, "its body has other outputs")
    _need(not body.updates, "its body updates variables")
    starts = {n.attrs["name"]: n.type for n in body.nodes if n.op == "input"}
    _need(types[:carries] == [starts[name] for name in names[:carries]], "a carry changes its type")
    yields = zip(types[carries:], node.attrs["yield_axes"], strict=True)
    _need_types(node, (*types[:carries], *(with_dim(type, a, length) for type, a in yields)))


def _verify_roots(graph: Graph) -> None:
    for ref in graph.roots:
        _need(_exists(graph, ref.node, ref.result), f"{ref} is wanted, but does not exist")
    _need_unique(output.name for output in graph.outputs)
    _need_unique(f"input {n.attrs['name']}" for n in graph.nodes if n.op == "input")
    _need_unique(f"variable {n.attrs['path']}" for n in graph.nodes if n.op == "variable")
    _need_unique(f"update of %{update.variable}" for update in graph.updates)
    for update in graph.updates:
        variable = graph.nodes[update.variable]
        if variable.op != "variable" or variable.type != graph.type_of(update.value):
            raise VerifyError(f"{_show(variable)}: cannot be updated with {update.value}")


def _exists(graph: Graph, node: int, result: int) -> bool:
    return 0 <= node < len(graph.nodes) and 0 <= result < len(graph.nodes[node].types)


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise VerifyError(message)


def _need_types(node: Node, expected: Types) -> None:
    if node.types != expected:
        raise VerifyError(f"has types {node.types}, but should have {expected}")


def _need_unique(names: Iterable[str]) -> None:
    double = [name for name, count in Counter(names).items() if count > 1]
    _need(not double, f"there are several of {', '.join(double)}")


def _show(node: Node) -> str:
    where = f" at {node.origin.span}" if node.origin.span else ""
    return f"%{node.id} = {node.op} {node.origin.path}{where}".rstrip()
