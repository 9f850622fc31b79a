"""Training on a Ray cluster: what is asked of Ray, and what becomes of a training when it fails."""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import ROOT, Training, finished, listeners_of, small_model, training
from command_line import run

from flowc.cluster import on_ray
from flowc_runtime.cluster.control.client import probe
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.launch.ray import how_it_died

MODELS = ROOT / "models"
STEPS = 1000
SHARDS = ("-D", "train.shards=2")
END_SECONDS = 10.0

on_a_cluster = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make ray"),
    pytest.mark.filterwarnings("default"),  # of Ray's own code
    pytest.mark.timeout(600),
]


# --- without Ray --------------------------------------------------------------------------------


def test_workers_come_before_ps_tasks_and_each_has_a_host_of_its_own() -> None:
    tasks = on_ray(2, 1, "auto").tasks
    assert [str(task.name) for task in tasks] == ["worker:0", "worker:1", "ps:0"]
    assert len({task.host for task in tasks}) == 3


def test_a_plan_for_ray_needs_no_ray(tmp_path: Path) -> None:
    told = run("plan", small_model(tmp_path), "--cluster", "ray", "--workers", "3")
    assert (told.exit_code, "worker:2" in told.stdout) == (0, True)


@pytest.mark.parametrize("option", [("--workers", "2"), ("--insecure",)])
def test_options_of_ray_without_ray_are_refused(tmp_path: Path, option: tuple[str, ...]) -> None:
    told = run("train", small_model(tmp_path), "--local", "2", *option)
    assert (told.exit_code, "goes with --cluster ray" in told.stderr) == (2, True)


def test_who_has_not_installed_ray_is_told_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    told = run("train", small_model(tmp_path), "--cluster", "ray")
    assert told.exit_code == 69
    assert "error[ray-missing]" in told.stderr and 'pip install "flowc[ray]"' in told.stderr


@pytest.mark.parametrize(("told", "read"), [
    ("x\nThe actor died because its node has died. Node Id: 3f", "its node is gone"),
    ("Worker unexpectedly exits with a connection error code 2. End of file.", "was killed"),
    ("ModuleNotFoundError: No module named 'flowc'\n", "No module named 'flowc'"),
])  # fmt: skip
def test_what_ray_says_of_a_death_is_made_short(told: str, read: str) -> None:
    assert read in how_it_died(told) and "\n" not in how_it_died(told)


# --- a head and two nodes on this machine -------------------------------------------------------


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Any, list[Any]]]:
    """The cluster, and its two nodes, of which one alone has room for a training's tasks."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        began = time.monotonic()
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        patch.setenv("RAY_ADDRESS", cluster.address)
        try:
            found = [cluster.add_node(num_cpus=3) for _ in range(2)]
            print(f"\nhead and two nodes: {time.monotonic() - began:.1f} s")
            yield cluster, found
        finally:
            cluster.shutdown()


def lenet(folder: Path) -> Path:
    """The model with its data, in a folder that may be written to."""
    shutil.copytree(MODELS / "data" / "fashion", folder / "data" / "fashion")
    return Path(shutil.copy(MODELS / "lenet.flow", folder))


def actors() -> list[int]:
    """Processes of tasks on any node."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::TaskActor"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return sorted(found)


def ends(pid: int) -> bool:
    """Whether a process that is no child of ours ends within the time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], END_SECONDS)[0])
    finally:
        os.close(handle)


def tell_recovery(run: Training, what: str) -> None:
    """Reads on until a task that is just now lost is back: a worker may be left out meanwhile."""
    since = time.monotonic()
    told = run.until(lambda event: event.get("code") in ("task-restarted", "task-left-out"))
    print(f"{what}: {told['message']}")
    if told["code"] == "task-left-out":
        run.until(lambda event: event.get("code") == "task-back")
    print(f"{what}: {time.monotonic() - since:.1f} s until all tasks take part")


def refusal(host: str, port: int) -> str:
    """The code with which a stranger is sent away, who would like to know what listens there."""
    try:
        probe(f"{host}:{port}", None, END_SECONDS)
    except ClusterError as error:
        return error.code
    return ""


class TestOnACluster:
    pytestmark = on_a_cluster

    def test_the_weights_are_those_of_one_process_and_nothing_is_left(
        self, nodes: Any, tmp_path: Path
    ) -> None:
        alone = finished(small_model(tmp_path / "alone"))
        with training(small_model(tmp_path), "--cluster", "ray") as run:
            run.until_step(1)
            mine = actors()
            end = run.end()
        assert len(mine) == 3 and all(map(ends, mine))
        assert end["weights_sha256"] == alone["weights_sha256"]

    def test_a_killed_actor_and_a_killed_node_do_not_change_the_weights(
        self, nodes: Any, tmp_path: Path
    ) -> None:
        cluster, others = nodes
        model = lenet(tmp_path)
        steps = ("--steps", str(STEPS))
        alone = finished(model, *SHARDS, *steps, out=tmp_path / "alone")
        began = time.monotonic()
        with training(model, "--cluster", "ray", *SHARDS, *steps, out=tmp_path / "run") as run:
            at = run.until_step(1)["step"]
            print(f"\nup and at step {at}: {time.monotonic() - began:.1f} s")

            os.kill(actors()[0], 9)
            tell_recovery(run, "a killed actor")
            cluster.remove_node(others.pop(), allow_graceful=False)
            tell_recovery(run, "a killed node")
            end = run.end()
        assert end["weights_sha256"] == alone["weights_sha256"]

    def test_a_coordinator_that_is_killed_leaves_no_task(self, nodes: Any, tmp_path: Path) -> None:
        with training(small_model(tmp_path, steps=20_000), "--cluster", "ray") as run:
            run.until_step(1)
            mine = actors()
            run.process.kill()
            assert len(mine) == 3 and all(map(ends, mine))

    def test_a_task_lets_in_nobody_without_a_certificate(self, nodes: Any, tmp_path: Path) -> None:
        with training(small_model(tmp_path, steps=20_000), "--cluster", "ray") as run:
            run.until_step(1)
            refused = [refusal(host, port) for pid in actors() for host, port in listeners_of(pid)]
            run.process.kill()
        assert "" not in refused and refused.count("host-unauthenticated") == 3

    def test_more_tasks_than_the_cluster_has_cpus_are_refused(
        self, nodes: Any, tmp_path: Path
    ) -> None:
        with training(small_model(tmp_path), "--cluster", "ray", "--workers", "8",
                      "-D", "train.batch=48", "-D", "train.shards=8") as run:  # fmt: skip
            assert run.status() == 69
        assert "ray-no-room" in run.errors + str(run.events)
