"""The names that a piece of the Tree mentions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowc.syntax import tree as t
from flowc.syntax.walk import children


def names_in(*nodes: Any) -> Iterator[t.Name]:
    """Every name below the nodes, those that bind included."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if isinstance(node, t.Name):
            yield node
        else:
            pending.extend(children(node))
