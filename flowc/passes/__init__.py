"""Passes: functions from graph to graph that keep its meaning. `PASSES` is the order."""

from __future__ import annotations

from collections.abc import Callable

from flowc.graph.graph import Graph
from flowc.graph.verify import VerifyError, verify
from flowc.graph.walk import Pass
from flowc.passes.cse import cse
from flowc.passes.dead_code import dead_code
from flowc.passes.fold import fold
from flowc.passes.fold_transposes import fold_transposes
from flowc.passes.fuse import fuse
from flowc.passes.hoist import hoist
from flowc.passes.join_scatters import join_scatters
from flowc.passes.join_slices import join_slices
from flowc.passes.simplify import simplify
from flowc.passes.sink import sink
from flowc.passes.sparse_updates import sparse_updates
from flowc.passes.split_reductions import split_reductions

PASSES: tuple[Pass, ...] = (
    dead_code,
    fold,
    cse,
    simplify,
    join_slices,
    join_scatters,
    fold_transposes,
    cse,
    dead_code,
    hoist,
    sink,
    simplify,
    cse,
    dead_code,
    sparse_updates,
    cse,
    dead_code,
    split_reductions,
    fuse,
    cse,
    dead_code,
)


def optimise(graph: Graph, watch: Callable[[str, Graph], None] | None = None) -> Graph:
    """The graph after all passes; VerifyError where one broke a promise.

    `watch` is told the name of each pass and the graph that it gave.
    """
    optimised = verify(graph)
    try:
        for change in PASSES:
            optimised = change(optimised)
            if watch is not None:
                watch(change.__name__, optimised)
        return verify(optimised)
    except Exception:
        _name_the_first_broken(graph)
        raise


def _name_the_first_broken(graph: Graph) -> None:
    """Raises VerifyError for the first pass that broke a promise, if one did.

    To verify after each pass would take a fifth of the time that a deep network takes.
    """
    for number, change in enumerate(PASSES):
        graph = change(graph)
        try:
            verify(graph)
        except VerifyError as error:
            raise VerifyError(f"pass {number}, {change.__name__}: {error}") from error
