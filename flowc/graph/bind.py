"""Binding symbolic dimensions: the same graph for a batch of 128, or for a single example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowc.graph.graph import Graph, Node
from flowc_runtime.dims import Dim, NamedSize, Poly, bind


def bind_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph with the named dimensions put in; names that are not in `sizes` stay symbolic.

    Types, attributes and scan bodies are bound, and a `dim` node becomes a constant where its
    value is known.
    """
    return replace(graph, nodes=tuple(_bind_node(node, sizes) for node in graph.nodes))


def _bind_node(node: Node, sizes: Mapping[str, int]) -> Node:
    bound = replace(
        node,
        attrs={name: _bind_value(value, sizes) for name, value in node.attrs.items()},
        types=tuple(type.bound(sizes) for type in node.types),
        body=bind_sizes(node.body, sizes) if node.body else None,
    )
    return _constant(bound) if node.op == "dim" else bound


def _bind_value(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, (Poly, NamedSize)):
        return bind(value, sizes)
    if isinstance(value, tuple):
        return tuple(_bind_value(item, sizes) for item in value)
    return value


def _constant(node: Node) -> Node:
    size: Dim = node.attrs["value"]
    if isinstance(size, Poly):
        return node
    value = size if node.type.kind == "int" else float(size)
    return replace(node, op="const", attrs={"value": value})
