"""The Tree as text, for people: a node a line, with what it holds below it.

    Bind targets=[pixels] # 7:3
      value: Binary op="/" right=255 # 7:12
        left: Call function=cast # 7:12
          arguments: Argument value=image # 7:17
          arguments: Argument value=f32 # 7:24

Leaves (names, numbers, texts) stand on their parent's line; behind `#` are line and column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from flowc.source import Span
from flowc.syntax import tree as t

_INDENT = "  "
_LEAVES = (t.Name, t.Number, t.String, t.Bool)


def dump_tree(tree: t.Tree) -> str:
    """One line a node; ends with a newline."""
    return "".join(line + "\n" for item in tree.items for line in _lines(item, ""))


def _lines(node: Any, label: str) -> Iterator[str]:
    own, below = _parts(node)
    head = f"{label}: {type(node).__name__}" if label else type(node).__name__
    yield " ".join([head, *own, f"# {node.span.line}:{node.span.column}"])
    for name, child in below:
        for line in _lines(child, name):
            yield _INDENT + line


def _parts(node: Any) -> tuple[list[str], list[tuple[str, Any]]]:
    """What stands on the node's own line, and the nodes below it with their fields' names."""
    if isinstance(node, _LEAVES):
        return [_leaf(node)], []
    own: list[str] = []
    below: list[tuple[str, Any]] = []
    for entry in fields(node):
        value = getattr(node, entry.name)
        if isinstance(value, Span) or value is None:
            continue
        items = value if isinstance(value, tuple) else (value,)
        if all(_is_inline(item) for item in items):
            texts = ", ".join(map(_leaf, items))
            own.append(f"{entry.name}=[{texts}]" if isinstance(value, tuple) else
                       f"{entry.name}={texts}")  # fmt: skip
        else:
            below += [(entry.name, item) for item in items]
    return own, below


def _is_inline(value: Any) -> bool:
    return isinstance(value, (*_LEAVES, str, int, float))


def _leaf(value: Any) -> str:
    if isinstance(value, t.Name):
        return value.text
    plain = value.value if isinstance(value, t.Number | t.String | t.Bool) else value
    return json.dumps(plain, ensure_ascii=False)
