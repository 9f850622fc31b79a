"""Reading the text of a graph: the inverse of `text.py`."""

from __future__ import annotations

import json
import re
from typing import Any

from flowc.graph.graph import NOWHERE, Graph, Node, Origin, Output, Ref, Update
from flowc.graph.text import RESERVED
from flowc_runtime.dims import parse_dim
from flowc_runtime.types import TensorType, parse_type

_INT = re.compile(r"-?\d+")
_FLOAT = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_DIM = re.compile(r"-?\w+(\*\w+)*( [+-] \w+(\*\w+)*)*")
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|<-|%\d+(?:\.\d+)?|[][(){}=,:]|[^][(){}=,:"#%<]+|#.*)')


class GraphTextError(ValueError):
    """The text is no graph; `line` counts from 1."""

    def __init__(self, line: int, message: str):
        super().__init__(f"line {line}: {message}")
        self.line = line


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
        if token in RESERVED:
            return RESERVED[token]
        if token.startswith('"'):
            return json.loads(token)
        if _INT.fullmatch(token):
            return int(token)
        if _FLOAT.fullmatch(token):
            return float(token)
        if _DIM.fullmatch(token):
            return parse_dim(token)
        raise self.reader.error(f"`{token}` is no value of an attribute")
