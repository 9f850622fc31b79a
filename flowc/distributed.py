"""Jobs over a cluster: a model compiled for its tasks, and the engine that drives them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from flowc.cluster import Cluster, TaskSpec
from flowc.cluster.certificates import Subject, make
from flowc.diagnostic import Sink
from flowc.driver import Checked, Options, cluster_plan_of
from flowc.jobs import Emit, Planned, Runs, TrainingJob, data_spec, folder_of
from flowc.lower.settings import TrainSettings
from flowc.place.strategy import choose
from flowc.predict import predict
from flowc.predict.cluster import CostsOf
from flowc_runtime.cluster.control.credentials import Credentials, load_credentials
from flowc_runtime.cluster.coordinator.engine import ClusterEngine
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.launch import Launcher, Place, launcher_for
from flowc_runtime.cluster.plan import ClusterPlan, Sync, TaskName, tasks_of
from flowc_runtime.cluster.planfile import cluster_plan_hash, read_cluster_plan, write_cluster_plan
from flowc_runtime.data.spec import write_spec
from flowc_runtime.planfile import plan_hash, read_plan
from flowc_runtime.runfolder.folder import RunFolder
from flowc_runtime.training import Engine

SYNC_TEXT = re.compile(r"(\w+)(?:\s*\(\s*(?:\w+\s*=\s*)?(\d+)\s*\))?")


def parse_sync(text: str) -> Sync:
    """`all_reduce`, `backup(1)`, `async(max_staleness = 4)`, as the place section has them.

    Raises ValueError for anything else.
    """
    match = SYNC_TEXT.fullmatch(text.strip())
    number = int(match[2]) if match and match[2] else None
    match (match[1] if match else ""), number:
        case ("sync" | "all_reduce") as mode, None:
            return Sync(mode)
        case "backup", _:
            return Sync("backup", backups=1 if number is None else number)
        case "async", _:
            return Sync("async", max_staleness=4 if number is None else number)
    raise ValueError(f"`{text}` is none of sync, all_reduce, backup(1), async(4)")


def over(cluster: Cluster, sync: Sync | None = None, costs: CostsOf | None = None) -> Runs:
    """Training over the tasks of a cluster; what cannot be is told to the sink, then Stop.

    With costs, by host, a task is not taken for stuck before it has had ten times the seconds
    that a step should take.
    """

    def plan(
        checked: Checked, settings: TrainSettings, sink: Sink, options: Options
    ) -> Planned:
        workers = sum(task.name.role == "worker" for task in cluster.tasks)
        strategy = choose(
            checked.placing, workers, len(cluster.tasks) - workers, settings.batch,
            settings.shards, sink, sync or cluster.sync)
        whole, parts = cluster_plan_of(checked, sink, options, _nobody, strategy)
        foretold = cache(partial(_step_seconds, cluster, parts, costs)) if costs else None
        return Planned(
            whole, partial(_open, cluster, parts, foretold), parts, cluster, foretold)

    return plan


def _step_seconds(cluster: Cluster, plan: ClusterPlan, costs: CostsOf) -> float:
    return predict(plan, tasks_for(plan, cluster), cluster.link, costs).step_seconds


@contextmanager
def _open(
    cluster: Cluster, plan: ClusterPlan, foretold: Callable[[], float] | None, job: TrainingJob,
    run: RunFolder | None, emit: Emit,
) -> Iterator[Engine]:
    """Starts nothing before the training begins, and ends all tasks when it is over."""
    folder = folder_of(job.checked.world.tree.source)
    tasks = tasks_for(plan, cluster)
    places = [
        _place(name, spec, cluster, folder, job.setup.allow) for name, spec in tasks.items()]
    seconds = foretold() if foretold else None
    threads = job.setup.threads or 1
    spec = write_spec(data_spec(job.settings.data, job.checked.inputs, job.names))
    with _launcher(cluster, places, threads, run) as (launcher, credentials):
        engine = ClusterEngine(
            plan, write_cluster_plan(plan), spec, job.settings.seed, threads, job.setup.backend,
            places, launcher, credentials, job.session.variables, emit, seconds,
        )  # fmt: skip
        with closing(engine):
            yield engine


@contextmanager
def _launcher(
    cluster: Cluster, places: Sequence[Place], threads: int, run: RunFolder | None
) -> Iterator[tuple[Launcher, Credentials | None]]:
    """Who starts the tasks, and what the coordinator shows them. The engine closes it."""
    if cluster.ray is not None:
        with _on_ray(cluster.ray, cluster.security.insecure, places, threads) as found:
            yield found
        return
    logs = run.path / "tasks" if run else None
    if logs is not None:
        logs.mkdir(exist_ok=True)
    tls = cluster.security.tls
    yield launcher_for(places, threads, logs), load_credentials(tls) if tls else None


@contextmanager
def _on_ray(
    address: str, insecure: bool, places: Sequence[Place], threads: int
) -> Iterator[tuple[Launcher, Credentials | None]]:
    """Certificates for this one training alone, which Ray brings to the tasks."""
    from flowc_runtime.cluster.launch.ray import OnRay

    if insecure:
        yield OnRay(places, threads, address, None), None
        return

    def certify(host: str) -> Path:
        name = secrets.token_hex(8)
        make(folder, (Subject(name, (host,)),))
        return folder / name

    with TemporaryDirectory(prefix="flowc-certificates-") as made:
        folder = Path(made)
        make(folder, ())
        yield OnRay(places, threads, address, certify), load_credentials(folder)


def _place(
    name: TaskName, spec: TaskSpec, cluster: Cluster, folder: Path, allow: tuple[Path, ...]
) -> Place:
    """Where a task is to be, and how to get there.

    Local ones read the data of this folder, and those on Ray do so on their nodes.
    """
    security = cluster.security
    local, same_folder = spec.start == "local", spec.start in ("local", "ray")
    tls = security.tls if local else security.on_hosts
    return Place(
        str(name), spec.address, spec.start,
        spec.ssh.to if spec.ssh else "", spec.ssh.command if spec.ssh else "flowc",
        str(tls) if tls else None, security.insecure,
        str(folder.resolve()) if same_folder else "",
        tuple(str(a.resolve()) for a in allow) if same_folder else (),
    )  # fmt: skip


def tasks_for(plan: ClusterPlan, cluster: Cluster) -> dict[TaskName, TaskSpec]:
    """Which process plays each task of the plan: workers in order, stage by stage."""
    workers = [t for t in cluster.tasks if t.name.role == "worker"]
    owners = [t for t in cluster.tasks if t.name.role != "worker"]
    computing = sorted(
        (t for t in tasks_of(plan) if not t.role.startswith("ps:")),
        key=lambda t: (t.replica, t.role))
    owning = [t for t in tasks_of(plan) if t.role.startswith("ps:")]
    pairs = [*zip(computing, workers, strict=False), *zip(owning, owners, strict=False)]
    return {name: replace(spec, name=name) for name, spec in pairs}


def check_stored(planned: Planned, text: str, name: str) -> None:
    """Raises ClusterError `plan-drift` where a stored plan is not the one compiled now."""
    mine = planned.cluster_plan
    stored = cluster_plan_hash(read_cluster_plan(text)) if mine else plan_hash(read_plan(text))
    found = cluster_plan_hash(mine) if mine else plan_hash(planned.plan)
    if stored != found:
        raise ClusterError(
            "plan-drift",
            f"{name} is another plan than the one that the model and the cluster give now",
            f"`flowc plan --diff {name}` shows what differs",
        )  # fmt: skip


def _nobody(stage: str, value: object) -> None:
    return None
