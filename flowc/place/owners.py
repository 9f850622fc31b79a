"""Which role owns which variable, and where the nodes of the update half run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowc.graph.graph import Graph, Node, Ref
from flowc.place.halves import GRADIENT, NEXT
from flowc.place.partition import ANYWHERE
from flowc_runtime.cluster.plan import rows_name, whole_and_rows


def parameter_of(path: str) -> str:
    """The variable that a slot belongs to, rows of it with the same rows; of any other its path."""
    whole, rows = whole_and_rows(path)
    parameter = whole.partition(":")[0]
    return parameter if rows is None else rows_name(parameter, rows)


def spread_by_bytes(
    update: Graph, roles: Sequence[str], pieces: Mapping[str, str]
) -> dict[str, str]:
    """A role for each variable that is updated, slots with their parameter.

    Rows of split parameters are where `pieces` says. Then the largest first, each to the role that
    holds least so far; ties go by path and by order. Variables that one kernel updates together
    stay together.
    """
    first = _together(update)
    bytes_of: dict[str, int] = {}
    for node in update.nodes:
        if node.op == "variable":
            group = first[parameter_of(node.attrs["path"])]
            bytes_of[group] = bytes_of.get(group, 0) + node.type.bytes
    held = dict.fromkeys(roles, 0)
    homes = {first[path]: role for path, role in pieces.items()}
    for group, role in homes.items():
        held[role] += bytes_of[group]
    for group in sorted(bytes_of.keys() - homes, key=lambda p: (-bytes_of[p], p)):
        homes[group] = min(roles, key=lambda r: (held[r], roles.index(r)))
        held[homes[group]] += bytes_of[group]
    return {path: homes[group] for path, group in first.items()}


def _together(update: Graph) -> dict[str, str]:
    """For each parameter or state the first path of those that one node updates with it."""
    paths = {parameter_of(n.attrs["path"]) for n in update.nodes if n.op == "variable"}
    first = {path: path for path in sorted(paths)}
    updated_by: dict[int, str] = {}
    for u in update.updates:
        path = first[parameter_of(update.nodes[u.variable].attrs["path"])]
        other = updated_by.setdefault(u.value.node, path)
        if other != path and update.nodes[u.value.node].operands:
            low, high = sorted((path, other))
            first = {p: low if f == high else f for p, f in first.items()}
            updated_by = {n: low if f == high else f for n, f in updated_by.items()}
    return first


def update_roles(update: Graph, homes: Mapping[str, str], default: str) -> dict[int, str]:
    """Where each node of the update half runs.

    A node that only one role's variables need runs there. One that several need (the norm of all
    gradients) runs where most bytes of its operands lie. Gradients are inputs of their owners.
    What depends on the step alone (a learning rate) has no role: each computes it for itself.
    """
    wanted = _wanted_by(update, homes)
    roles: dict[int, str] = {}
    for node in update.nodes:
        if node.id not in wanted:
            continue
        home = _home(node, homes)
        if home is not None:
            roles[node.id] = home
        elif any(ref.node in roles for ref in node.operands):
            only = wanted[node.id]
            roles[node.id] = (
                next(iter(only)) if len(only) == 1 else _heaviest(update, node, roles, default)
            )
    return roles


def _home(node: Node, homes: Mapping[str, str]) -> str | None:
    """The role of a variable, or of a gradient's input."""
    if node.op == "variable":
        return homes[parameter_of(node.attrs["path"])]
    if node.op == "input":
        for prefix in (GRADIENT, NEXT):
            if node.attrs["name"].startswith(prefix):
                return homes.get(node.attrs["name"].removeprefix(prefix))
    return None


def _wanted_by(update: Graph, homes: Mapping[str, str]) -> dict[int, set[str]]:
    """For each node the roles whose variables depend on it."""
    wanted: dict[int, set[str]] = {}
    for u in update.updates:
        role = homes[parameter_of(update.nodes[u.variable].attrs["path"])]
        for id in (u.variable, u.value.node):
            wanted.setdefault(id, set()).add(role)
    for node in reversed(update.nodes):
        for ref in node.operands if node.id in wanted else ():
            wanted.setdefault(ref.node, set()).update(wanted[node.id])
    return wanted


def _heaviest(update: Graph, node: Node, roles: Mapping[int, str], default: str) -> str:
    held: dict[str, int] = {}
    for ref in node.operands:
        role = roles.get(ref.node, ANYWHERE)
        if role:
            held[role] = held.get(role, 0) + update.type_of(Ref(*ref)).bytes
    return min(held, key=lambda r: (-held[r], r)) if held else default
