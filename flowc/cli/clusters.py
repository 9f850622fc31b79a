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
RAY, RAY_CLIENT = "ray", "ray://"
RAY_WORKERS = 2


def cluster_options(command: F) -> F:
    """`--cluster`, `--local`, `--workers`, `--ps`, `--insecure`, `--place` and `--sync`."""
    for option in reversed((
        click.option("--cluster", metavar="FILE",
                     help=f"A cluster file; {FROM_ENVIRONMENT}: the variable's cluster; {RAY} or "
                     f"{RAY_CLIENT}HOST:PORT: a Ray cluster."),
        click.option("--local", type=click.IntRange(1, 256), metavar="N",
                     help="N workers and a ps, all on this machine."),
        click.option("--workers", type=click.IntRange(1, 256), metavar="N",
                     help=f"With --cluster ray, how many workers; otherwise {RAY_WORKERS}."),
        click.option("--ps", type=click.IntRange(0, 256), metavar="N",
                     help="With --local or --cluster ray, how many ps tasks."),
        click.option("--insecure", is_flag=True,
                     help="With --cluster ray or TF_CONFIG, tasks let in whoever can reach them."),
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
    workers: int | None = None
    insecure: bool = False

    def place_section(self, sink: Sink) -> Source | None:
        """The text of `--place`; Stop where it is none."""
        from flowc.cli.models import read_model

        return read_model(self.place, sink) if self.place else None

    def runs(self, sink: Sink, backend: str) -> Runs | None:
        """None: in this process. What is wrong with a file is told to the sink, then Stop."""
        cluster = self.read(sink)
        if cluster is None:
            return None
        from flowc.cli.costs import costs_by_host
        from flowc.distributed import over
        from flowc_runtime.backend import require_on_host

        require_on_host(backend, "the tasks of a cluster compute")
        if cluster.ray is not None:
            from flowc_runtime.cluster.launch.ray_join import connect

            connect(cluster.ray)
        return over(cluster, self.parsed_sync(), costs_by_host(backend=backend))

    def read(self, sink: Sink) -> Cluster | None:
        """The cluster that is meant, if one is."""
        if self.cluster is not None and self.local is not None:
            raise click.UsageError("--cluster and --local are two ways to say where; keep one")
        self._check_ray_options()
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

    @property
    def _on_ray(self) -> bool:
        return self.cluster == RAY or (self.cluster or "").startswith(RAY_CLIENT)

    def _check_ray_options(self) -> None:
        if self.ps is not None and self.local is None and not self._on_ray:
            raise click.UsageError("--ps goes with --local or --cluster ray")
        if self.workers is not None and not self._on_ray:
            raise click.UsageError("--workers goes with --cluster ray")
        if self.insecure and not self._on_ray and self.cluster != FROM_ENVIRONMENT:
            raise click.UsageError("--insecure goes with --cluster ray or TF_CONFIG")

    def _local(self) -> Cluster:
        from flowc.cluster import local

        return local(self.local or 1, self._ps())

    def _ps(self) -> int:
        if self.ps is not None:
            return self.ps
        sync = self.parsed_sync()
        return 0 if sync is not None and sync.mode == "all_reduce" else 1

    def _read(self, name: str, sink: Sink) -> Cluster:
        from flowc.cluster import Security, on_ray, read_cluster_file, read_tf_config

        if self._on_ray:
            address = "auto" if name == RAY else name
            return on_ray(self.workers or RAY_WORKERS, self._ps(), address, self.insecure)
        if name == FROM_ENVIRONMENT:
            security = Security(insecure=self.insecure)
            return read_tf_config(os.environ.get(FROM_ENVIRONMENT, ""), sink, security).cluster
        return read_cluster_file(Path(name), sink)


def refuse_drift(job: TrainingJob, stored: Path | None) -> None:
    """Raises PlanDrift where the job's plan is not the one that was stored."""
    if stored is None:
        return
    from flowc.distributed import check_stored

    check_stored(job.planned, stored.read_text(encoding="utf-8"), str(stored))
