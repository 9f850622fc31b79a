"""How expressions and types are written."""

from __future__ import annotations

from typing import Any

from flowc.syntax import tree as t
from flowc.syntax.operators import ATOM, LEVEL, NEGATION
from flowc.syntax.style.pieces import (
    Braces,
    Chain,
    Group,
    Link,
    Piece,
    Writers,
    group,
    group_behind,
    some_names,
)


def _operand(node: Any, least: int) -> list[Piece]:
    return ["(", node, ")"] if _needs_brackets(node, least) else [node]


def _needs_brackets(node: Any, least: int) -> bool:
    return _level(node) < least or _has_brackets(node)


def _level(node: Any) -> int:
    match node:
        case t.Pipe():
            return LEVEL["|>"]
        case t.Binary():
            return LEVEL[node.op]
        case t.Unary():
            return LEVEL[NEGATION if node.op == "-" else node.op]
        case t.Scan():
            return LEVEL["|>"]
    return ATOM


def _has_brackets(node: Any) -> bool:
    """Whether the author put an operation into brackets; they are kept inside of others."""
    match node:
        case t.Binary() | t.Pipe():
            return bool(node.span.start < node.left.span.start)
        case t.Unary() | t.Scan():
            return bool(node.span.source.text[node.span.start] == "(")
    return False


def _chain(node: Any) -> list[Piece]:
    level = _level(node)
    links: list[Link] = []
    while True:
        links.append(Link(_operator(node), node.right, _brackets_right(node, level)))
        left = node.left
        if _level(left) != level or isinstance(left, t.Scan) or _brackets_left(left, level):
            break
        node = left
    links.append(Link("", left, _brackets_left(left, level)))
    return [Chain(links[::-1])]


def _operator(node: Any) -> str:
    return "|>" if isinstance(node, t.Pipe) else str(node.op)


def _brackets_left(left: Any, level: int) -> bool:
    alone = level in (LEVEL["^"], LEVEL["=="])  # not `(a ^ b) ^ c`, not `(a < b) < c`
    return _needs_brackets(left, level + alone)


def _brackets_right(node: Any, level: int) -> bool:
    least = LEVEL[NEGATION] if level == LEVEL["^"] else level + 1
    return _needs_brackets(node.right, least)


def _unary(node: t.Unary) -> list[Piece]:
    sign, key = ("-", NEGATION) if node.op == "-" else ("not ", "not")
    return [sign, *_operand(node.operand, LEVEL[key])]


def _tuple(node: t.TupleExpr) -> list[Piece]:
    open, close = ("(", ")") if node.parenthesised else ("", "")
    return [Group(open, node.items, close, node.span.start, node.span.end)]


def _index(node: t.Index) -> list[Piece]:
    return [*_operand(node.value, ATOM), group_behind(node.value, "[", node.items, "]", node)]


def _call(node: t.Call) -> list[Piece]:
    return [
        *_operand(node.function, ATOM),
        group_behind(node.function, "(", node.arguments, ")", node),
    ]


def _slice(node: t.Slice) -> list[Piece]:
    bounds = [node.start, node.stop] + ([node.step] if node.step else [])
    colon = " : " if any(isinstance(b, (t.Binary, t.Pipe)) for b in bounds) else ":"
    written: list[Piece] = []
    for place, bound in enumerate(bounds):
        written += [colon] * (place > 0) + [bound] * (bound is not None)
    if written[0] == " : ":
        written[0] = ": "
    if written[-1] == " : ":
        written[-1] = " :"
    return written


def _scan(node: t.Scan) -> list[Piece]:
    many = len(node.sequences) > 1
    sequences = [group(node.sequences)] if many else [*node.sequences]
    backwards = " reversed" if node.reverse else ""
    head = ["scan ", *sequences, f" over {node.over.text}{backwards} as {some_names(node.items)}"]
    carries = [" carry ", group(node.carries)] if node.carries else []
    last = (node.carries or node.items)[-1]
    return [*head, *carries, Braces(node.body, last.span.end, node.span)]


def _tensor_type(node: t.TensorTypeExpr) -> list[Piece]:
    if node.span == node.dtype.span:
        return [node.dtype]
    return [node.dtype, group_behind(node.dtype, "[", node.dims, "]", node)]


EXPRESSIONS: Writers = {
    "Number": lambda node: [node.span.text],
    "String": lambda node: [node.span.text],
    "Bool": lambda node: ["true" if node.value else "false"],
    "Name": lambda node: [node.text],
    "TupleExpr": _tuple,
    "ListExpr": lambda node: [Group("[", node.items, "]", node.span.start, node.span.end)],
    "Unary": _unary,
    "Binary": _chain,
    "Pipe": _chain,
    "Call": _call,
    "Argument": lambda node: [*([node.name.text, " = "] if node.name else []), node.value],
    "Attribute": lambda node: [*_operand(node.value, ATOM), f".{node.name.text}"],
    "Index": _index,
    "Slice": _slice,
    "Scan": _scan,
    "Carry": lambda node: [f"{node.name.text} = ", node.initial],
    "Ellipsis_": lambda node: ["..."],
    "NamedDim": lambda node: [f"{node.name.text} = ", node.size],
    "TensorTypeExpr": _tensor_type,
}
