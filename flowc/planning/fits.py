"""Whether a plan fits: what the tasks of each host hold, against the memory that it has."""

from __future__ import annotations

from collections.abc import Mapping

from flowc.cluster import TaskSpec
from flowc.diagnostic import Diagnostic, Sink
from flowc.planning.facts import held_by
from flowc.planning.units import size_text
from flowc_runtime.cluster.memory import Held
from flowc_runtime.cluster.plan import ClusterPlan, TaskName

WAYS_OUT = {
    "variables": "spread the variables over more ps tasks, or split large ones in the place "
    "section: `shard TABLE axis 0 over ps`",
    "arena": "use a smaller batch, or more shards: `shards = N`",
    "channels": "spread the variables over more hosts",
    "sums": "use fewer shards",
    "constants": "read large tables as data, not as constants of the text",
}


def check_fits(plan: ClusterPlan, tasks: Mapping[TaskName, TaskSpec], sink: Sink) -> None:
    """Reports `does-not-fit` for each host whose tasks hold more than it has."""
    for host in sorted({spec.host for spec in tasks.values()}):
        mine = {t: held_by(plan, t, tasks) for t, spec in tasks.items() if spec.host == host}
        room = next(spec.memory_bytes for spec in tasks.values() if spec.host == host)
        if sum(held.total for held in mine.values()) > room:
            sink.report(does_not_fit(host, room, mine))


def does_not_fit(host: str, room: int, mine: Mapping[TaskName, Held]) -> Diagnostic:
    total = sum(held.total for held in mine.values())
    largest = max(mine, key=lambda t: mine[t].total)
    held = mine[largest]
    fills = max(WAYS_OUT, key=lambda what: getattr(held, what))
    others = f" of its {len(mine)} tasks" if len(mine) > 1 else ""
    return Diagnostic(
        "does-not-fit",
        f"the plan needs {size_text(total)} on {host}, which has {size_text(room)}: most{others} "
        f"has {largest}, {size_text(held.total)}, of which {size_text(getattr(held, fills))} are "
        f"{fills}",
        help=WAYS_OUT[fills],
    )
