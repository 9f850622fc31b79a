"""Where a training runs: the options for it, and the cluster that they mean."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from flowc.cluster import Cluster
    from flowc.diagnostic import Sink
    from flowc.jobs import Runs, TrainingJob
    from flowc.source import Source
    from flowc_runtime.cluster.plan import Sync

F = TypeVar("F", bound=Callable[..., Any])

FROM_ENVIRONMENT = "TF_CONFIG"


def cluster_options(command: F) -> F:
    """`--cluster`, `--local`, `--ps`, `--place` and `--sync`."""
    for option in reversed((
        click.option("--cluster", metavar="FILE",
                     help=f"A cluster file, or {FROM_ENVIRONMENT} for the variable's cluster."),
        click.option("--local", type=click.IntRange(1, 256), metavar="N",
                     help="N workers and a ps, all on this machine."),
        click.option("--ps", type=click.IntRange(0, 256), metavar="N",
                     help="With --local, how many ps tasks."),
        click.option("--place", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                     metavar="FILE", help="A place section for the model, in a file of its own."),
        click.option("--sync", metavar="MODE",
                     help="sync, all_reduce, backup(1) or async(4): before what the text says."),
    )):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True)
class Where:
    """What the options say."""

    cluster: str | None
    local: int | None
    ps: int | None
    sync: str | None
    place: Path | None = None

    def place_section(self, sink: Sink) -> Source | None:
        """The text of `--place`; Stop where it is none."""
        from flowc.cli.models import read_model

        return read_model(self.place, sink) if self.place else None

    def runs(self, sink: Sink) -> Runs | None:
        """None: in this process. What is wrong with a file is told to the sink, then Stop."""
        cluster = self.read(sink)
        if cluster is None:
            return None
        from flowc.distributed import over

        return over(cluster, self.parsed_sync())

    def read(self, sink: Sink) -> Cluster | None:
        """The cluster that is meant, if one is."""
        if self.cluster is not None and self.local is not None:
            raise click.UsageError("--cluster and --local are two ways to say where; keep one")
        if self.local is None and self.ps is not None:
            raise click.UsageError("--ps goes with --local")
        if self.cluster is None and self.local is None:
            if self.sync is not None:
                raise click.UsageError("--sync goes with --local or --cluster")
            return None
        return self._local() if self.cluster is None else self._read(self.cluster, sink)

    def parsed_sync(self) -> Sync | None:
        from flowc.distributed import parse_sync

        if self.sync is None:
            return None
        try:
            return parse_sync(self.sync)
        except ValueError as error:
            raise click.UsageError(f"--sync: {error}") from None

    def _local(self) -> Cluster:
        from flowc.cluster import local

        sync = self.parsed_sync()
        wanted = 0 if sync is not None and sync.mode == "all_reduce" else 1
        return local(self.local or 1, wanted if self.ps is None else self.ps)

    def _read(self, name: str, sink: Sink) -> Cluster:
        from flowc.cluster import read_cluster_file, read_tf_config

        if name == FROM_ENVIRONMENT:
            return read_tf_config(os.environ.get(FROM_ENVIRONMENT, ""), sink).cluster
        return read_cluster_file(Path(name), sink)


def refuse_drift(job: TrainingJob, stored: Path | None) -> None:
    """Raises PlanDrift where the job's plan is not the one that was stored."""
    if stored is None:
        return
    from flowc.distributed import check_stored

    check_stored(job.planned, stored.read_text(encoding="utf-8"), str(stored))
