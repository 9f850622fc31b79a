"""Items: the nodes of a graph in the form in which pictures group them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flowc.graph.graph import Graph, Node, Ref
from flowc.graph.text import attrs_text, value_text
from flowc.graph.walk import live_nodes

GRADIENT_MARK = "'"  # ends the path of what autodiff has made
CONSTANTS = ("const", "dim")
_KERNEL_OP = re.compile(r"\S+ = (\w+)\(")


class Use(NamedTuple):
    """Result number `result` of an item, where something needs it."""

    item: int
    result: int


@dataclass(frozen=True)
class Item:
    """A node with its words. `path` is without the mark of gradients; `line` is 0 if unknown."""

    id: int
    kind: str  # "op", "scan", "input", "param", "state" or "slot"
    name: str
    ops: tuple[str, ...]
    types: tuple[str, ...]
    uses: tuple[Use, ...]
    path: str
    gradient: bool
    at: str
    line: int
    text: str  # the line of the author's text
    hover: str
    elements: int = 0  # of a parameter
    body: Graph | None = None


class Result(NamedTuple):
    """A named output: what gives it, or the text of the constant that it is."""

    name: str
    type: str
    use: Use | None
    constant: str = ""


@dataclass(frozen=True)
class Flow:
    """Items by number, each after those that it uses; outputs; next values by variable path."""

    items: Mapping[int, Item]
    results: tuple[Result, ...]
    updates: tuple[tuple[str, Use], ...]


def flow_of(graph: Graph) -> Flow:
    """What the results of a graph need, constants left out."""
    live = live_nodes(graph)
    constants = {n.id: value_text(n.attrs["value"]) for n in graph.nodes if n.op in CONSTANTS}
    items = {
        node.id: _item(node, constants)
        for node in graph.nodes
        if node.id in live and node.id not in constants
    }
    results = []
    for name, ref in graph.outputs:
        fixed = constants.get(ref.node, "")
        results.append(Result(name, str(graph.type_of(ref)), None if fixed else Use(*ref), fixed))
    updates = [
        (str(graph.nodes[u.variable].attrs["path"]), Use(*u.value))
        for u in graph.updates
        if u.value.node in items
    ]
    return Flow(items, tuple(results), tuple(updates))


def source_line(text: str, line: int) -> str:
    """Line number `line` of a text, without its indentation; empty where there is none."""
    lines = text.split("\n")
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def kernel_ops(lines: Iterable[str]) -> tuple[str, ...]:
    """The ops of a fused kernel's lines, in order."""
    return tuple(m[1] for line in lines if (m := _KERNEL_OP.match(line)))


def _item(node: Node, constants: Mapping[int, str]) -> Item:
    span, path = node.origin.span, node.origin.path
    line = span.line if span else 0
    text = source_line(span.source.text, line) if span else ""
    at = str(span) if span else ""
    return Item(
        id=node.id,
        kind=_kind(node),
        name=_name(node, constants),
        ops=_ops(node),
        types=tuple(map(str, node.types)),
        uses=tuple(Use(r.node, r.result) for r in node.operands if r.node not in constants),
        path=path.removesuffix(GRADIENT_MARK),
        gradient=path.endswith(GRADIENT_MARK),
        at=at,
        line=line,
        text=text,
        hover=_hover(node, at, text),
        elements=_elements(node),
        body=node.body,
    )


def _kind(node: Node) -> str:
    if node.op == "variable":
        return str(node.attrs["kind"])
    return node.op if node.op in ("input", "scan") else "op"


def _name(node: Node, constants: Mapping[int, str]) -> str:
    """`matmul`, `div(_, 255.0)`; an input or a variable by its own name."""
    match node.op:
        case "input":
            return str(node.attrs["name"])
        case "variable":
            return str(node.attrs["path"])
        case "scan":
            return f"scan of {node.attrs['length']} rounds"
        case "fused":
            return "fused"
    if not any(ref.node in constants for ref in node.operands):
        return node.op
    return f"{node.op}({', '.join(constants.get(ref.node, '_') for ref in node.operands)})"


def _ops(node: Node) -> tuple[str, ...]:
    """What is computed, by catalog names; those inside a fused kernel one by one."""
    if node.op == "fused":
        return kernel_ops(node.attrs["lines"])
    return () if node.op in ("input", "variable") else (node.op,)


def _elements(node: Node) -> int:
    if node.op != "variable" or node.attrs["kind"] != "param":
        return 0
    size = node.type.size
    return size if isinstance(size, int) else 0


def _hover(node: Node, at: str, text: str) -> str:
    attrs = attrs_text({k: v for k, v in node.attrs.items() if k != "lines"})
    operands = f"({', '.join(map(str, node.operands))})" if node.operands else ""
    lines = [
        f"{Ref(node.id)} = {node.op}{operands} {attrs}".rstrip(),
        ", ".join(map(str, node.types)),
        *node.attrs.get("lines", ()),
        f"{node.origin.path} at {at}".strip() if at else node.origin.path,
        text,
    ]
    return "\n".join(line for line in lines if line)
