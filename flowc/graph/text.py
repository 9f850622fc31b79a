"""The graph as text: print it, and read the same graph back.

    %0: f32[batch, 784] = input {name="image"}
    %1: f32[784, 10] = variable {path="dense.weight", kind="param"}
    %2: f32[batch, 10] = matmul(%0, %1) {transpose_a=false, transpose_b=false}  # y at m.flow:4:3
    outputs:
      loss = %2
    updates:
      %1 <- %2

A scan's body and the lines of a fused kernel stand in braces below their node. What follows `#`
is the node's origin; of it only the path is read back, because a span needs its source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowc.graph.graph import NOWHERE, Graph, Node, Origin, Output, Ref, Update
from flowc_runtime.dims import Poly, parse_dim
from flowc_runtime.types import TensorType, parse_type

COMMENT_COLUMN = 72
_INDENT = "  "
_RESERVED = {"true": True, "false": False, "none": None, "inf": float("inf"), "nan": float("nan")}
_RESERVED["-inf"] = float("-inf")
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_INT = re.compile(r"-?\d+")
_FLOAT = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_DIM = re.compile(r"-?\w+(\*\w+)*( [+-] \w+(\*\w+)*)*")
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|<-|%\d+(?:\.\d+)?|[][(){}=,:]|[^][(){}=,:"#%<]+|#.*)')


class GraphTextError(ValueError):
    """The text is no graph; `line` counts from 1."""

    def __init__(self, line: int, message: str):
        super().__init__(f"line {line}: {message}")
        self.line = line


def print_graph(graph: Graph) -> str:
    """The text of a graph, one node a line; ends with a newline."""
    return "".join(line + "\n" for line in _graph_lines(graph))


def value_text(value: Any) -> str:
    """An attribute as text: `true`, `none`, `3`, `0.5`, `"relu"`, `2*batch + 1`, `(1, 2)`."""
    if isinstance(value, tuple):
        inner = ", ".join(map(value_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Poly):
        text = str(value)
        if text not in _RESERVED:
            return text
        return f"0 - {text[1:]}" if text[0] == "-" else f"0 + {text}"  # a dimension called `inf`
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value)


def attrs_text(attrs: Mapping[str, Any]) -> str:
    """`{axes=(0,), keep=true}`; empty where there are none."""
    inner = ", ".join(f"{name}={value_text(value)}" for name, value in attrs.items())
    return f"{{{inner}}}" if inner else ""


def _graph_lines(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        yield from _node_lines(node)
    if graph.outputs:
        yield "outputs:"
    for output in graph.outputs:
        yield f"{_INDENT}{_name_text(output.name)} = {output.value}"
    if graph.updates:
        yield "updates:"
    for update in graph.updates:
        yield f"{_INDENT}%{update.variable} <- {update.value}"


def _node_lines(node: Node) -> Iterator[str]:
    block = _block(node)
    attrs = attrs_text({k: v for k, v in node.attrs.items() if not _in_block(node, k)})
    operands = f"({', '.join(map(str, node.operands))})" if node.operands else ""
    parts = [f"%{node.id}: {_types_text(node.types)} = {node.op}{operands}", attrs]
    line = " ".join(part for part in parts if part) + (" {" if block is not None else "")
    yield _with_origin(line, node.origin)
    if block is not None:
        yield from (_INDENT + inner for inner in block)
        yield "}"


def _block(node: Node) -> list[str] | None:
    """What stands in braces below the node, if anything."""
    if node.body is not None:
        return list(_graph_lines(node.body))
    return list(node.attrs["lines"]) if node.op == "fused" else None


def _in_block(node: Node, attr: str) -> bool:
    return node.op == "fused" and attr == "lines"


def _types_text(types: tuple[TensorType, ...]) -> str:
    return str(types[0]) if len(types) == 1 else f"({', '.join(map(str, types))})"


def _name_text(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)


def _with_origin(line: str, origin: Origin) -> str:
    at = f"at {origin.span}" if origin.span else ""
    comment = " ".join(part for part in (origin.path, at) if part)
    return f"{line:<{COMMENT_COLUMN}}  # {comment}" if comment else line


def read_graph(text: str) -> Graph:
    """The graph that `print_graph` printed as `text`; raises GraphTextError on anything else."""
    reader = _Reader(text)
    graph = reader.graph()
    if reader.peek() is not None:
        raise reader.error("nothing is open that `}` could close")
    return graph


class _Reader:
    """Walks over the lines; blank lines and lines that are only a comment do not count."""

    def __init__(self, text: str):
        lines = enumerate(text.split("\n"), start=1)
        self.lines = [(n, s) for n, line in lines if (s := line.strip()) and s[0] != "#"]
        self.position = 0

    def peek(self) -> str | None:
        return self.lines[self.position][1] if self.position < len(self.lines) else None

    def next(self) -> str:
        line = self.peek()
        if line is None:
            raise self.error("a block is not closed")
        self.position += 1
        return line

    def error(self, message: str) -> GraphTextError:
        at = min(self.position, len(self.lines) - 1)
        return GraphTextError(self.lines[at][0] if self.lines else 1, message)

    def graph(self) -> Graph:
        """Reads until `}` or the end of the text."""
        nodes: list[Node] = []
        outputs: list[Output] = []
        updates: list[Update] = []
        section = "nodes"
        while (line := self.peek()) not in (None, "}"):
            if line in ("outputs:", "updates:"):
                section = self.next()
                continue
            parser = _LineParser(self, nodes)
            if section == "nodes":
                nodes.append(parser.node())
            elif section == "outputs:":
                outputs.append(parser.output())
            else:
                updates.append(parser.update())
            parser.end()
        return Graph(tuple(nodes), tuple(outputs), tuple(updates))

    def block_lines(self) -> tuple[str, ...]:
        """The lines up to the closing brace, as they are."""
        lines = []
        while self.peek() != "}":
            lines.append(self.next())
        return tuple(lines)


class _LineParser:
    """Recursive descent over the tokens of the reader's next line."""

    def __init__(self, reader: _Reader, nodes: list[Node]):
        self.reader = reader
        self.nodes = nodes
        self.tokens = self._tokens(reader.peek() or "")
        self.at = 0

    def _tokens(self, line: str) -> list[str]:
        tokens, at = [], 0
        while at < len(line):
            match = _TOKEN.match(line, at)
            if match is None:
                raise self.reader.error(f"cannot read `{line[at:]}`")
            tokens.append(match[1].strip())
            at = match.end()
        return [t for t in tokens if t]

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else "the end of the line"

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if expected not in (None, token):
            raise self.reader.error(f"expected `{expected}`, but found `{token}`")
        self.at += 1
        return token

    def end(self) -> None:
        """The line is read; the reader moves on."""
        if self.at < len(self.tokens) and not self.peek().startswith("#"):
            raise self.reader.error(f"did not expect `{self.peek()}`")
        self.reader.position += 1

    def node(self) -> Node:
        id = self._new_id()
        self.take(":")
        types = self._types()
        self.take("=")
        op = self.take()
        operands = self._listed(self._ref, "(", ")") if self.peek() == "(" else ()
        attrs: dict[str, Any] = {}
        if self.peek() == "{" and not self._opens_block():
            attrs = dict(self._listed(self._attr, "{", "}"))
        has_block = self.peek() == "{" and bool(self.take())
        origin = self._origin()
        body = self._read_block(op, attrs) if has_block else None
        return Node(id, op, operands, attrs, types, origin, body)

    def output(self) -> Output:
        token = self.take()
        name = json.loads(token) if token.startswith('"') else token
        self.take("=")
        return Output(name, self._ref())

    def update(self) -> Update:
        variable = self._ref()
        self.take("<-")
        return Update(variable.node, self._ref())

    def _new_id(self) -> int:
        token = self.take()
        if token != f"%{len(self.nodes)}":
            raise self.reader.error(f"expected `%{len(self.nodes)}:`, but found `{token}`")
        return len(self.nodes)

    def _opens_block(self) -> bool:
        rest = self.tokens[self.at + 1 : self.at + 2]
        return not rest or rest[0].startswith("#")

    def _read_block(self, op: str, attrs: dict[str, Any]) -> Graph | None:
        """Reads up to the closing brace, which is left as this parser's line."""
        self.reader.position += 1
        body = None
        if op == "fused":
            attrs["lines"] = self.reader.block_lines()
        else:
            body = self.reader.graph()
        if self.reader.peek() is None:
            raise self.reader.error("a block is not closed")
        return body

    def _origin(self) -> Origin:
        if not self.peek().startswith("#"):
            return NOWHERE
        path = re.split(r"(?:^| )at ", self.take()[1:].strip())[0]
        return Origin(path=path) if path else NOWHERE

    def _listed(self, item: Any, opening: str, closing: str) -> tuple[Any, ...]:
        """Items with commas between them; a comma after the last is allowed."""
        self.take(opening)
        items = []
        while self.peek() != closing:
            items.append(item())
            if self.peek() != closing:
                self.take(",")
        self.take(closing)
        return tuple(items)

    def _types(self) -> tuple[TensorType, ...]:
        return self._listed(self._type, "(", ")") if self.peek() == "(" else (self._type(),)

    def _type(self) -> TensorType:
        dtype = self.take()
        dims = self._listed(self.take, "[", "]")
        text = f"{dtype}[{', '.join(dims)}]"
        try:
            if all(_DIM.fullmatch(dim) for dim in dims):
                return parse_type(text)
        except ValueError:
            pass
        raise self.reader.error(f"`{text}` is no tensor type")

    def _ref(self) -> Ref:
        token = self.take()
        if not re.fullmatch(r"%\d+(\.\d+)?", token):
            raise self.reader.error(f"expected a value like `%3`, but found `{token}`")
        node, _, result = token[1:].partition(".")
        ref = Ref(int(node), int(result or 0))
        if ref.node >= len(self.nodes) or ref.result >= len(self.nodes[ref.node].types):
            raise self.reader.error(f"`{token}` is not known here")
        return ref

    def _attr(self) -> tuple[str, Any]:
        name = self.take()
        self.take("=")
        return name, self._value()

    def _value(self) -> Any:
        if self.peek() == "(":
            return self._listed(self._value, "(", ")")
        token = self.take()
        if token in _RESERVED:
            return _RESERVED[token]
        if token.startswith('"'):
            return json.loads(token)
        if _INT.fullmatch(token):
            return int(token)
        if _FLOAT.fullmatch(token):
            return float(token)
        if _DIM.fullmatch(token):
            return parse_dim(token)
        raise self.reader.error(f"`{token}` is no value of an attribute")
