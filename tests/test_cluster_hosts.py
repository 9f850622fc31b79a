"""Training over four hosts, which are network namespaces of this machine; links are cut and healed.

The payloads of the tasks go over the network here, although all hosts share one memory.
"""

from __future__ import annotations

import fcntl
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import namespaces
import pytest
from cluster_runs import Worker, cluster_file, finished, small_model, training, workers

WHY_NOT = namespaces.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

ROLES = ("ps", "worker", "worker", "worker")
STEPS = 400
LONG = 800  # steps: of a run whose link is cut
VARIABLE_BYTES = 4 * (784 * 64 + 64 + 64 * 10 + 10)
PORT = 2222


@dataclass
class Hosts:
    """Four machines with a task each; `file` is the cluster file that names them."""

    hosts: list[namespaces.Host]
    file: Path

    def carried_bytes(self, number: int) -> int:
        """What has come out of a host."""
        host = self.hosts[number]
        return int(Path(f"/sys/class/net/v{host.name}/statistics/rx_bytes").read_text())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Hosts]:
    """One test at a time: the names of the namespaces are the machine's."""
    lock = Path(tempfile.gettempdir()) / "flowc-namespaces.lock"
    with ExitStack() as stack:
        file = stack.enter_context(lock.open("w"))
        fcntl.flock(file, fcntl.LOCK_EX)
        found = stack.enter_context(namespaces.hosts(len(ROLES)))
        data = small_model(tmp_path / "data").parent
        started = [
            Worker(
                tmp_path / f"{host.name}.log", f"{host.address}:{PORT}", "--insecure", "--keep",
                "--no-shared-memory", "--root", data,
                command=("ip", "netns", "exec", host.name))
            for host in found
        ]  # fmt: skip
        stack.enter_context(workers(*started))
        addresses = [worker.address for worker in started]
        yield Hosts(found, cluster_file(
            tmp_path / "hosts.yaml", addresses, ROLES, "security: {insecure: true}"))


def test_four_hosts_give_the_weights_of_one_process(cluster: Hosts, tmp_path: Path) -> None:
    model = small_model(tmp_path / "data", STEPS, STEPS)
    alone = finished(model, out=tmp_path / "alone")
    before = cluster.carried_bytes(0)
    over = finished(model, "--cluster", cluster.file, out=tmp_path / "over")
    assert over["weights_sha256"] == alone["weights_sha256"]
    # The ps sends new variables to three workers in every step, and none of it by another way.
    assert cluster.carried_bytes(0) - before > STEPS * 3 * VARIABLE_BYTES


def test_a_link_that_is_cut_and_heals_changes_no_bit(cluster: Hosts, tmp_path: Path) -> None:
    model = small_model(tmp_path / "data", LONG, 200)
    alone = finished(model, out=tmp_path / "alone")
    figures = cut_and_healed(cluster, model, 1, 50, tmp_path / "over")
    assert figures["weights_sha256"] == alone["weights_sha256"]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("victim", ["worker", "ps"])
def test_links_that_are_cut_again_and_again_change_no_bit(
    cluster: Hosts, tmp_path: Path, victim: str
) -> None:
    model = small_model(tmp_path / "data", LONG, 200)
    alone = finished(model, out=tmp_path / "alone")
    rng, silent = random.Random(11), []
    for number in range(20):
        host = rng.choice([k for k, role in enumerate(ROLES) if role == victim])
        at = rng.randrange(1, LONG // 2)
        figures = cut_and_healed(cluster, model, host, at, tmp_path / f"over-{number}")
        assert figures["weights_sha256"] == alone["weights_sha256"], number
        silent.append(figures["told"])
    print(f"\nlink of a {victim} cut and healed: 20 of 20 with the undisturbed weights;", silent)


def cut_and_healed(
    cluster: Hosts, model: Path, host: int, at: int, out: Path
) -> dict[str, object]:
    """Weights of a run whose host `host` was out of reach for longer than its lease."""
    with training(model, "--cluster", cluster.file, out=out) as run:
        run.until_step(at)
        cluster.hosts[host].cut()
        try:
            if ROLES[host] == "ps":  # nothing goes on, and so nothing is told, until it is back
                time.sleep(7.0)
            else:
                run.until(lambda e: e["event"] == "warning" and e["code"] == "task-left-out")
        finally:
            cluster.hosts[host].heal()
        end = run.end()
        told = [warning["message"] for warning in run.warnings]
        assert told, "the cut came too late to be noticed"
        return {"weights_sha256": end["weights_sha256"], "told": told}
