"""How each node of the Tree is written: pieces, some of which may be spread over lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

from flowc.source import Span
from flowc.syntax import tree as t
from flowc.syntax.operators import ATOM, LEVEL, NEGATION


@dataclass(frozen=True, slots=True)
class Group:
    """Items between brackets, or between none, with commas. `end`: where its last comment may be."""

    open: str
    items: Sequence[Any]
    close: str
    end: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """An operand of a chain, with the operator before it; the first has none."""

    operator: str
    operand: Any
    bracketed: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands at one level of precedence."""

    links: Sequence[Link]


@dataclass(frozen=True, slots=True)
class Braces:
    """Statements. `before`: an offset between the start of their owner and the opening brace."""

    statements: Sequence[Any]
    before: int
    owner: Span


Piece = Union[str, Group, Chain, Braces, Any]  # noqa: UP007  (Any: a node)


def pieces(node: Any) -> list[Piece]:
    """What a node is written as."""
    write = _WRITERS.get(type(node).__name__)
    if write is None:
        raise TypeError(f"no way to write a {type(node).__name__}")
    written: list[Piece] = write(node)
    return written


# --- expressions ------------------------------------------------------------------------------


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
    return [Group(open, node.items, close, node.span.end)]


def _index(node: t.Index) -> list[Piece]:
    return [*_operand(node.value, ATOM), Group("[", node.items, "]", node.span.end)]


def _call(node: t.Call) -> list[Piece]:
    return [*_operand(node.function, ATOM), Group("(", node.arguments, ")", node.span.end)]


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
    sequences = [Group("(", node.sequences, ")")] if many else [*node.sequences]
    backwards = " reversed" if node.reverse else ""
    head = ["scan ", *sequences, f" over {node.over.text}{backwards} as {_names(node.items)}"]
    carries = [" carry ", Group("(", node.carries, ")")] if node.carries else []
    last = (node.carries or node.items)[-1]
    return [*head, *carries, Braces(node.body, last.span.end, node.span)]


def _names(names: Sequence[t.Name]) -> str:
    """One name bare, several in parentheses."""
    text = ", ".join(name.text for name in names)
    return f"({text})" if len(names) > 1 else text


# --- types ------------------------------------------------------------------------------------


def _tensor_type(node: t.TensorTypeExpr) -> list[Piece]:
    if node.span == node.dtype.span:
        return [node.dtype]
    return [node.dtype, Group("[", node.dims, "]", node.span.end)]


def _parameter(node: t.Parameter) -> list[Piece]:
    return [node.name.text, *_typed(node.type), *_valued(node.default)]


def _typed(type: Any) -> list[Piece]:
    return [": ", type] if type is not None else []


def _valued(value: Any) -> list[Piece]:
    return [" = ", value] if value is not None else []


# --- statements -------------------------------------------------------------------------------


def _named(word: str) -> Any:
    """The writer of `word NAME: type = value`, of which the latter two may be missing."""

    def write(node: Any) -> list[Piece]:
        value = getattr(node, "initial", None) or getattr(node, "value", None)
        type = getattr(node, "type", None)
        return [f"{word} {node.name.text}", *_typed(type), *_valued(value)]

    return write


def _output(node: t.Output) -> list[Piece]:
    short = node.value.span == node.name.span
    return [f"output {node.name.text}", *([] if short else _valued(node.value))]


def _assert(node: t.Assert) -> list[Piece]:
    return ["assert ", node.condition, *([", ", node.message] if node.message else [])]


def _bind(node: t.Bind) -> list[Piece]:
    return [", ".join(name.text for name in node.targets), " = ", node.value]


def _local_function(node: t.LocalFunction) -> list[Piece]:
    return [node.name.text, Group("(", node.parameters, ")"), " = ", node.value]


def _repeat(node: t.Repeat) -> list[Piece]:
    index = [f" as {node.index.text}"] if node.index else []
    before = (node.index or node.count).span.end
    return ["repeat ", node.count, *index, Braces(node.body, before, node.span)]


def _if(node: t.If) -> list[Piece]:
    written = ["if ", node.condition, Braces(node.then, node.condition.span.end, node.span)]
    if len(node.orelse) == 1 and isinstance(node.orelse[0], t.If):
        return [*written, " else ", node.orelse[0]]
    if node.orelse:
        return [*written, " else", Braces(node.orelse, node.orelse[0].span.start, node.span)]
    return written


# --- items ------------------------------------------------------------------------------------


def _hyper(node: t.Hyper) -> list[Piece]:
    choices = [" in ", node.choices] if node.choices else []
    return [f"hyper {node.name.text}: {node.type.text} = ", node.default, *choices]


def _import(node: t.Import) -> list[Piece]:
    module = node.module if node.library else node.origin.text
    return [f"import {module} ", Group("(", node.names, ")", node.span.end)]


def _imported(node: t.ImportedName) -> list[Piece]:
    return [node.name.text + (f" as {node.alias.text}" if node.alias else "")]


def _definition(word: str) -> Any:
    """The writer of a block, an optimizer or a schedule."""

    def write(node: Any) -> list[Piece]:
        results = getattr(node, "results", ())
        arrow: list[Piece] = []
        if results:
            many = len(results) > 1
            arrow = [" -> ", *([Group("(", results, ")")] if many else results)]
        before = (*(node.parameters or (node.name,)), *results)[-1].span.end
        parameters = Group("(", node.parameters, ")")
        body = Braces(node.body, before, node.span)
        return [f"{word} {node.name.text}", parameters, *arrow, body]

    return write


def _model(node: t.Model) -> list[Piece]:
    return [f"model {node.name.text}", Braces(node.body, node.name.span.end, node.span)]


def _data(node: t.Data) -> list[Piece]:
    return [f"data {node.name.text} = ", node.source, f" -> {_names(node.fields)}"]


def _setting(node: t.Setting) -> list[Piece]:
    return [f"{node.key.text} = ", node.value]


def _train(node: t.Train) -> list[Piece]:
    return ["train", Braces(node.settings, node.span.start, node.span)]


# --- where it runs ----------------------------------------------------------------------------


def _place(node: t.Place) -> list[Piece]:
    return ["place", Braces(node.statements, node.span.start, node.span)]


def _spread(node: t.Spread) -> list[Piece]:
    return [f"variables over {node.over.text}" + (f" by {node.by.text}" if node.by else "")]


def _shard(node: t.Shard) -> list[Piece]:
    return ["shard ", node.pattern, f" axis {node.axis.value} over {node.over.text}"]


def _stage(node: t.Stage) -> list[Piece]:
    patterns = Group("{ ", node.patterns, " }", node.span.end)
    return [f"stage on {node.device.value} ", patterns if node.patterns else "{}"]


def _pattern(node: t.Pattern) -> list[Piece]:
    return [node.first + ("" if node.last is None else f"..{node.last}")]


_WRITERS: dict[str, Any] = {
    "Number": lambda node: [node.span.text],
    "String": lambda node: [node.span.text],
    "Bool": lambda node: ["true" if node.value else "false"],
    "Name": lambda node: [node.text],
    "TupleExpr": _tuple,
    "ListExpr": lambda node: [Group("[", node.items, "]", node.span.end)],
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
    "Parameter": _parameter,
    "Input": _named("input"),
    "Param": _named("param"),
    "State": _named("state"),
    "Next": _named("next"),
    "Layer": _named("layer"),
    "Metric": _named("metric"),
    "Output": _output,
    "Loss": lambda node: ["loss = ", node.value],
    "Assert": _assert,
    "Return": lambda node: ["return ", node.value],
    "Yield": lambda node: ["yield ", node.value],
    "Bind": _bind,
    "LocalFunction": _local_function,
    "Repeat": _repeat,
    "If": _if,
    "Version": lambda node: [f"flow {node.number}"],
    "Hyper": _hyper,
    "Import": _import,
    "ImportedName": _imported,
    "Block": _definition("block"),
    "Optimizer": _definition("optimizer"),
    "Schedule": _definition("schedule"),
    "Model": _model,
    "Data": _data,
    "Train": _train,
    "Setting": _setting,
    "Place": _place,
    "Replicate": lambda node: [f"replicate over {node.over.text}"],
    "Spread": _spread,
    "Shard": _shard,
    "Stage": _stage,
    "Pattern": _pattern,
    "Pipeline": lambda node: ["pipeline ", Group("", node.settings, "", node.span.end)],
    "Sync": lambda node: ["sync = ", node.value],
}
