"""The strategy: how many replicas and ps tasks there are, and how their gradients meet."""

from __future__ import annotations

from dataclasses import dataclass

from flowc.diagnostic import Diagnostic, Label, Sink, Stop
from flowc.lower.place import Placing
from flowc_runtime.cluster.plan import Sync


@dataclass(frozen=True)
class Strategy:
    """`shards` is how many equal parts a batch is cut into; `stages` are roles of a cut model."""

    sync: Sync
    replicas: int
    ps: int
    shards: int
    stages: int = 1

    @property
    def counted(self) -> int:
        """How many shards' gradients are in the mean of a step."""
        left_out = self.sync.backups if self.sync.mode == "backup" else 0
        return self.shards - left_out * (self.shards // self.replicas)

    @property
    def workers(self) -> tuple[str, ...]:
        """The roles that compute gradients."""
        if self.stages == 1:
            return ("worker",)
        return tuple(f"stage:{k}" for k in range(self.stages))

    @property
    def owners(self) -> tuple[str, ...]:
        """The roles that variables are spread over; those of the workers where there is no ps."""
        return tuple(f"ps:{k}" for k in range(self.ps)) or self.workers


def choose(
    placing: Placing, workers: int, ps: int, batch: int, shards: int | None, sink: Sink,
    sync: Sync | None = None,
) -> Strategy:
    """The strategy for a cluster of so many tasks; what cannot be is told to the sink, then Stop.

    `sync` is what the command line asks for; it goes before the text, which goes before the
    default: through ps where there are some and the text does not put the variables on the
    workers, else all_reduce.
    """
    asked = sync or placing.sync
    chosen = asked or Sync("sync" if ps and placing.owner != "worker" else "all_reduce")
    stages = placing.stage_count
    problem = _impossible(chosen, placing, workers, ps, stages)
    replicas = max(1, workers // stages)
    cut = 1 if chosen.mode == "async" else replicas
    shards = shards or (placing.microbatches or 1) * cut
    problem = problem or _uneven(chosen, batch, shards, replicas)
    if problem is not None:
        sink.report(Diagnostic(
            problem[0], problem[1], Label(placing.span) if placing.span else None,
            help=problem[2]))
        raise Stop
    return Strategy(chosen, replicas, 0 if chosen.mode == "all_reduce" else ps, shards, stages)


Problem = tuple[str, str, str]  # code, message, help


def _impossible(
    sync: Sync, placing: Placing, workers: int, ps: int, stages: int
) -> Problem | None:
    if not workers:
        return ("no-worker", "the cluster has no worker", "give a host the role `worker`")
    if workers % stages:
        return (
            "no-worker", f"{stages} stages need a multiple of {stages} workers, not {workers}",
            "each replica of the model has one worker a stage")
    if sync.mode != "all_reduce" and not ps and (stages == 1 or sync.mode != "sync"):
        return (
            "no-ps", f"`sync = {sync}` needs a ps, and the cluster has none",
            "give a host the role `ps`, or use sync = all_reduce")
    if (placing.owner == "ps" or placing.split) and not ps:
        return (
            "no-ps", "the variables are to live on ps tasks, and the cluster has none",
            "give a host the role `ps`")
    if stages > 1 and sync.mode in ("backup", "async"):
        return (
            "unknown-sync", f"a model in stages cannot meet by `{sync}`",
            "use sync = sync or sync = all_reduce")
    if sync.mode == "backup" and sync.backups >= workers:
        return (
            "unknown-sync", f"`{sync}` leaves no gradient of {workers} workers",
            f"backup({max(0, workers - 1)}) is the most")
    return None


def _uneven(sync: Sync, batch: int, shards: int, replicas: int) -> Problem | None:
    if batch % shards:
        near = next(n for n in range(min(shards, batch), 0, -1) if batch % n == 0)
        return (
            "uneven-shards",
            f"a batch of {batch} examples cannot be cut into {shards} shards of equal size",
            f"use {near} workers, set `shards`, or use a batch of "
            f"{shards * max(1, batch // shards)}")
    if sync.mode != "async" and shards < replicas:
        return (
            "uneven-shards", f"{shards} shards give {replicas - shards} of {replicas} workers "
            "nothing to do", f"shards = {replicas}")
    if sync.mode == "backup" and shards % replicas:
        return (
            "uneven-shards", f"with `{sync}` every worker has as many shards, and {shards} shards "
            f"cannot be dealt out to {replicas} workers", f"shards = {replicas}")
    return None


