"""What a value of a cluster file can be: each kind reads a node, and says so in JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from flowc.cluster import errors
from flowc.cluster.tree import Mapping as MappingNode
from flowc.cluster.tree import Node, Scalar
from flowc.cluster.tree import Sequence as SequenceNode
from flowc.diagnostic import Sink, nearest
from flowc.source import Span

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Schema = Mapping[str, Any]
_INTEGER = re.compile(r"[+-]?\d{1,18}")


class Rejected(ValueError):
    """A kind's parser does not take the text; the message ends a sentence about the key."""

    def __init__(self, message: str, help: str | None = None, code: str = "cluster-wrong-kind"):
        super().__init__(message)
        self.message = message
        self.help = help
        self.code = code


class Kind(Protocol[T_co]):
    """`wanted` ends the sentence “`key` wants …”."""

    @property
    def wanted(self) -> str: ...

    @property
    def schema(self) -> Schema: ...

    def read(self, key: Scalar, node: Node, sink: Sink) -> T_co | None:
        """The value; None, and a word to the sink, if the node is none of this kind."""


@dataclass(frozen=True)
class Text(Generic[T]):
    """A scalar in words of its own: an address, a size, a choice."""

    wanted: str
    parse: Callable[[str], T]
    pattern: str = ""  # for editors; `parse` decides

    @property
    def schema(self) -> Schema:
        return {"type": "string", "pattern": self.pattern} if self.pattern else {"type": "string"}

    def read(self, key: Scalar, node: Node, sink: Sink) -> T | None:
        if not isinstance(node, Scalar) or node.empty:
            sink.report(errors.wrong_kind(key, node, self.wanted))
            return None
        try:
            return self.parse(node.text)
        except Rejected as rejected:
            sink.report(errors.rejected(rejected.code, key, node, rejected.message, rejected.help))
            return None


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    @property
    def wanted(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    @property
    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def read(self, key: Scalar, node: Node, sink: Sink) -> int | None:
        number = isinstance(node, Scalar) and node.plain and _INTEGER.fullmatch(node.text)
        if not number:
            sink.report(errors.wrong_kind(key, node, self.wanted))
            return None
        assert isinstance(node, Scalar)
        if not self.least <= int(node.text) <= self.most:
            sink.report(errors.out_of_range(key, node, self.least, self.most))
            return None
        return int(node.text)


@dataclass(frozen=True)
class Flag:
    """`true` or `false`, and none of YAML's older words for them."""

    wanted: str = "`true` or `false`"

    @property
    def schema(self) -> Schema:
        return {"type": "boolean"}

    def read(self, key: Scalar, node: Node, sink: Sink) -> bool | None:
        if isinstance(node, Scalar) and node.plain and node.text in ("true", "false"):
            return node.text == "true"
        sink.report(errors.wrong_kind(key, node, self.wanted))
        return None


@dataclass(frozen=True)
class Choice:
    """One word of several."""

    words: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return " or ".join(f"`{word}`" for word in self.words)

    @property
    def schema(self) -> Schema:
        return {"enum": list(self.words)}

    def read(self, key: Scalar, node: Node, sink: Sink) -> str | None:
        if not isinstance(node, Scalar) or node.empty:
            sink.report(errors.wrong_kind(key, node, self.wanted))
        elif node.text not in self.words:
            sink.report(errors.no_such_choice(key, node, self.words))
        else:
            return node.text
        return None


@dataclass(frozen=True)
class Given(Generic[T]):
    """A value, where it stands, and what it was given as."""

    value: T
    key: Scalar
    node: Node

    @property
    def span(self) -> Span:
        """The place to blame: the value where it is short, else its key."""
        return self.node.span if isinstance(self.node, Scalar) else self.key.span


@dataclass(frozen=True)
class Several(Generic[T]):
    """A list without repetitions, or a single item in its place."""

    item: Kind[T]

    @property
    def wanted(self) -> str:
        return f"a list of {self.item.wanted}"

    @property
    def schema(self) -> Schema:
        items = {"type": "array", "items": self.item.schema, "minItems": 1, "uniqueItems": True}
        return {"anyOf": [self.item.schema, items]}

    def read(self, key: Scalar, node: Node, sink: Sink) -> tuple[T, ...] | None:
        nodes = node.items if isinstance(node, SequenceNode) else (node,)
        if not nodes:
            sink.report(errors.empty_list(key, self.wanted))
            return None
        found: dict[T, Node] = {}
        for one in nodes:
            value = self.item.read(key, one, sink)
            if value in found:
                sink.report(errors.duplicate_item(key, one.span, found[value].span))
            elif value is not None:
                found[value] = one
        return tuple(found) if len(found) == len(nodes) else None


@dataclass(frozen=True)
class Named(Generic[T]):
    """A mapping from names of the author's choice to values of one kind."""

    wanted: str
    name: Text[str]
    item: Kind[T]

    @property
    def schema(self) -> Schema:
        names = self.name.pattern or "."
        return {"type": "object", "patternProperties": {names: self.item.schema},
                "additionalProperties": False, "minProperties": 1}  # fmt: skip

    def read(self, key: Scalar, node: Node, sink: Sink) -> dict[str, Given[T]] | None:
        """What is sound of it: a bad entry is told and left out."""
        if not isinstance(node, MappingNode):
            sink.report(errors.wrong_kind(key, node, self.wanted))
            return None
        if not node.entries:
            sink.report(errors.empty_list(key, self.wanted))
        found: dict[str, Given[T]] = {}
        for name, child in node.entries:
            known = self.name.read(name, name, sink)
            value = self.item.read(name, child, sink)
            if known is not None and value is not None:
                found[known] = Given(value, name, child)
        return found


@dataclass(frozen=True)
class Field:
    """A key of a section; `default` is what holds without it, in words."""

    name: str
    kind: Kind[Any]
    doc: str
    default: str = ""

    @property
    def required(self) -> bool:
        return self.default == "needed"


@dataclass(frozen=True)
class Filled:
    """A section as it was read: what is sound of it, by key."""

    values: Mapping[str, Given[Any]]
    damaged: bool

    def get(self, name: str, otherwise: Any = None) -> Any:
        return self.values[name].value if name in self.values else otherwise

    def given(self, name: str) -> Given[Any] | None:
        return self.values.get(name)


@dataclass(frozen=True)
class Section:
    """A mapping with known keys. `wanted` names it in messages."""

    wanted: str
    fields: tuple[Field, ...]
    doc: str = ""

    @property
    def schema(self) -> Schema:
        properties = {
            f.name: {**f.kind.schema, "description": _described(f)} for f in self.fields
        }
        required = [f.name for f in self.fields if f.required]
        return {"type": "object", "properties": properties, "additionalProperties": False,
                **({"required": required} if required else {})}  # fmt: skip

    def read(self, key: Scalar, node: Node, sink: Sink) -> Filled | None:
        if not isinstance(node, MappingNode):
            sink.report(errors.wrong_kind(key, node, self.wanted))
            return None
        return self.fill(key, node, sink)

    def fill(self, key: Scalar | None, node: MappingNode, sink: Sink) -> Filled:
        """Reads every key; `key` is that of the section, None for the whole file."""
        known = {f.name: f for f in self.fields}
        values: dict[str, Given[Any]] = {}
        damaged = False
        for name, child in node.entries:
            if name.text not in known:
                sink.report(errors.unknown_key(name, tuple(known), self.wanted))
                damaged = True
                continue
            value = known[name.text].kind.read(name, child, sink)
            damaged |= value is None
            if value is not None:
                values[name.text] = Given(value, name, child)
        here = {name.text for name, _ in node.entries}
        here |= {nearest(name, known) or "" for name in here - set(known)}  # told already
        for missing in (f for f in self.fields if f.required and f.name not in here):
            damaged = True
            sink.report(errors.missing_key(key, node, missing.name, self.wanted))
        return Filled(values, damaged)


def _described(field: Field) -> str:
    default = f" Default: {field.default}." if field.default and not field.required else ""
    text = f"{field.doc[:1].upper()}{field.doc[1:]}.{default}"
    return text.replace("`", "'")
