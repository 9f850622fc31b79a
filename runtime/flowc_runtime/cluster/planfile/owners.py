"""Who updates what: one owner a variable, or a row of it, whom its gradient reaches, and from whom
all others learn its new values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from flowc_runtime.cluster.plan import (
    GRADIENT,
    UPDATE,
    ClusterPlan,
    Kind,
    Part,
    rows_name,
    whole_and_rows,
)
from flowc_runtime.cluster.planfile.promises import need
from flowc_runtime.cluster.shards import Range
from flowc_runtime.plan import Program
from flowc_runtime.types import TensorType

Owned = Mapping[str, Sequence[tuple[Range | None, str]]]  # by variable: rows (None: all), and role
Going = Mapping[tuple[str, str], set[tuple[str, str]]]

_SUMMED = ("gradient", "next")  # what begins the name of an output that is summed over shards


def check_owners(plan: ClusterPlan) -> None:
    owned = _owned(plan)
    for part in plan.parts:
        _check_filled(plan, part)
        if GRADIENT in part.plan.programs:
            _check_fresh(part, owned, _going(plan, "variables"))
            _check_used(part, owned, _going(plan, "gradients"))


def _owned(plan: ClusterPlan) -> Owned:
    owned: dict[str, list[tuple[Range | None, str]]] = {}
    for part in plan.parts:
        for path in part.owns:
            whole, rows = whole_and_rows(path)
            owned.setdefault(whole, []).append((rows, part.role))
    for path, found in owned.items():
        pieces = sorted(rows for rows, _ in found if rows is not None)
        apart = all(stop <= start for (_, stop), (start, _) in pairwise(pieces))
        roles = sorted(role for _, role in found)
        need(
            len(found) == 1 or (len(pieces) == len(found) and apart), "owned-twice",
            f"`{path[:80]}` is updated by {', '.join(roles)}")
    return owned


def _going(plan: ClusterPlan, kind: Kind) -> Going:
    """By who sends something, and what that is part of: the ways it goes, as (whom, name)."""
    going: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for channel in plan.channels:
        for tensor in channel.tensors if channel.kind == kind else ():
            key = channel.producer, whole_and_rows(tensor.name)[0]
            going.setdefault(key, set()).add((channel.consumer, tensor.name))
    return going


def _check_fresh(part: Part, owned: Owned, going: Going) -> None:
    """What a role computes with, and others change, it is sent."""
    for variable in part.plan.variables:
        if variable.kind == "slot" or variable.path not in owned:
            continue
        pieces = owned[variable.path]
        for rows, role in pieces:
            name = _named(variable.path, rows)
            told = role == part.role or (part.role, name) in going.get((role, variable.path), ())
            need(told, "stale-variable",
                 f"`{name[:80]}` changes at `{role}`, and `{part.role}` is not told")
        need(_all_rows(pieces, variable.type), "stale-variable",
             f"some rows of `{variable.path[:80]}` change nowhere")


def _check_used(part: Part, owned: Owned, going: Going) -> None:
    """Each gradient goes to whoever updates the variable, all of it, and to nobody else."""
    program = part.plan.programs[GRADIENT]
    for port in program.outputs:
        kind, _, path = port.name.partition(".")
        if kind not in _SUMMED:
            continue
        pieces = owned.get(path, ())
        wanted = {(role, _named(port.name, rows)) for rows, role in pieces}
        goes = going.get((part.role, port.name), set())
        whole = _all_rows(pieces, program.buffers[port.buffer].type)
        need(
            bool(wanted) and goes == wanted and whole, "owned-by-nobody",
            f"`{port.name[:80]}` of `{part.role}` goes to "
            f"{', '.join(sorted({role for role, _ in goes})) or 'nobody'}")


def _named(name: str, rows: Range | None) -> str:
    return name if rows is None else rows_name(name, rows)


def _all_rows(pieces: Sequence[tuple[Range | None, str]], type: TensorType) -> bool:
    """Whether pieces that lie apart are all of a tensor."""
    if any(rows is None for rows, _ in pieces):
        return True
    held = sum(rows[1] - rows[0] for rows, _ in pieces if rows is not None)
    return bool(type.shape) and held == type.sizes[0]


def _check_filled(plan: ClusterPlan, part: Part) -> None:
    """An input that is no field of the data comes by a channel."""
    comes = {
        tensor.name
        for c in plan.channels if c.consumer == part.role and c.kind in ("gradients", "value")
        for tensor in c.tensors
    }
    for program in (part.plan.programs.get(name) for name in (GRADIENT, UPDATE)):
        for name in _expected(program) if program is not None else ():
            need(name in comes, "input-missing",
                 f"nobody sends `{part.role}` what it needs as `{name[:80]}`")


def _expected(program: Program) -> Iterator[str]:
    for port in program.inputs:
        if port.name not in ("seed", "step") and (program.name == UPDATE or "." in port.name):
            yield port.name
