"""YAML text → a tree of mappings, sequences and scalars that know their places.

Only events are taken from the YAML library: no object is made of them, so aliases cannot multiply
and tags cannot construct. What a configuration has no use for (anchors, aliases, tags, further
documents) is refused at the first event, before anything grows.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from flowc.cluster import errors
from flowc.diagnostic import Diagnostic, Sink
from flowc.source import Source, Span

MAX_BYTES = 256 << 10
MAX_DEPTH = 32
MAX_NODES = 10_000


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text; `plain` if it stands without quotes, so that it may be a number or a word."""

    span: Span
    text: str
    plain: bool = True

    @property
    def empty(self) -> bool:
        """Whether nothing stands there: `key:` alone, or a word for nothing."""
        return self.plain and self.text in ("", "~", "null")


@dataclass(frozen=True, slots=True)
class Sequence:
    span: Span
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in order; keys differ."""

    span: Span
    entries: tuple[tuple[Scalar, Node], ...]


Node: TypeAlias = Scalar | Sequence | Mapping


def read_text(path: Path, sink: Sink) -> Source | None:
    """The text of a file; None, and a word to the sink, if it is none. Raises OSError."""
    with path.open("rb") as file:
        raw = file.read(len(BOM_UTF8) + MAX_BYTES + 1).removeprefix(BOM_UTF8)
    source = Source(str(path), raw.decode("utf-8", "replace"), path.parent)
    if len(raw) > MAX_BYTES:
        sink.report(errors.too_large(source, MAX_BYTES))
        return None
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = len(raw[: error.start].decode("utf-8"))
        sink.report(errors.not_text(Span(source, at, at + 1), raw[error.start]))
        return None
    return source


def parse_tree(source: Source, sink: Sink) -> Node | None:
    """The document's tree; None, and a word to the sink, if it has none."""
    if len(source.text) > MAX_BYTES:
        sink.report(errors.too_large(source, MAX_BYTES))
        return None
    builder = _Builder(source, sink)
    try:
        for event in _events(source):
            builder.take(event)
    except _Refused as refused:
        sink.report(refused.diagnostic)
        return None
    if builder.root is None:
        sink.report(errors.empty(source))
    return builder.root


class _Refused(Exception):
    """The text cannot be read on."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _events(source: Source) -> Iterator[Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        yield from YAML(typ="safe", pure=True).parse(source.text)
    except ReaderError as error:
        at = int(error.position)
        raise _Refused(errors.bad_character(Span(source, at, at + 1))) from None
    except MarkedYAMLError as error:
        raise _Refused(_syntax(source, error)) from None


def _syntax(source: Source, error: Any) -> Diagnostic:
    def span(mark: Any) -> Span:
        at = min(mark.index, len(source.text.rstrip()))
        return Span(source, at, at + 1)

    begun = span(error.context_mark) if error.context_mark else None
    where = span(error.problem_mark) if error.problem_mark else begun
    return errors.syntax(where or Span(source, 0, 1), str(error.problem), begun)


class _Open:
    """A mapping or a sequence whose end has not come; a mapping's key waits for its value."""

    def __init__(self, start: Span, mapping: bool):
        self.start = start
        self.mapping = mapping
        self.nodes: list[Node] = []
        self.entries: dict[str, tuple[Scalar, Node]] = {}
        self.key: Scalar | None = None

    def closed(self) -> Node:
        last = self.nodes[-1].span if self.nodes else self.start
        span = self.start.to(last)
        return Mapping(span, tuple(self.entries.values())) if self.mapping else Sequence(
            span, tuple(self.nodes))


class _Builder:
    """Takes events one by one; refuses what is too much or too clever."""

    def __init__(self, source: Source, sink: Sink):
        self.root: Node | None = None
        self._source = source
        self._sink = sink
        self._open: list[_Open] = []
        self._count = 0

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        span = Span(self._source, event.start_mark.index, event.end_mark.index)
        if kind == "AliasEvent":
            raise _Refused(errors.feature(span, "alias"))
        if kind in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent"):
            self._guard(event, span)
        match kind:
            case "ScalarEvent":
                self._put(Scalar(self._visible(span), event.value, event.style is None))
            case "SequenceStartEvent" | "MappingStartEvent":
                self._open.append(_Open(span, kind == "MappingStartEvent"))
            case "SequenceEndEvent" | "MappingEndEvent":
                self._put(self._open.pop().closed())
            case "DocumentStartEvent" if self.root is not None:
                raise _Refused(errors.feature(span, "document"))

    def _guard(self, event: Any, span: Span) -> None:
        self._count += 1
        if event.anchor is not None:
            raise _Refused(errors.feature(span, "anchor"))
        if event.tag is not None:
            raise _Refused(errors.feature(span, "tag"))
        if self._count > MAX_NODES:
            raise _Refused(errors.too_many(span, MAX_NODES))
        if len(self._open) >= MAX_DEPTH:
            raise _Refused(errors.too_deep(span, MAX_DEPTH))

    def _visible(self, span: Span) -> Span:
        """An empty value has no place of its own: it is shown at its key."""
        here = self._open[-1] if self._open else None
        if span.start == span.end and here is not None and here.key is not None:
            return here.key.span
        return span

    def _put(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        here = self._open[-1]
        here.nodes.append(node)
        if not here.mapping:
            return
        if here.key is None:
            here.key = self._key(node)
        else:
            self._entry(here, here.key, node)
            here.key = None

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            return node
        raise _Refused(errors.key_is_no_text(node.span))

    def _entry(self, here: _Open, key: Scalar, value: Node) -> None:
        before = here.entries.setdefault(key.text, (key, value))[0]
        if before is not key:
            self._sink.report(errors.duplicate_key(key.text, key.span, before.span))
