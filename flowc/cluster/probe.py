"""Is a task there? Finds out why not, in distinct ways, and how fast the way to it is."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from flowc.cluster.address import split
from flowc.cluster.cluster import Link, Ssh, TaskSpec
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import Welcome

CONNECTIONS = 5  # whose fastest gives the latency
AT_ONCE = 16  # hosts that are asked at the same time
SSH = ("ssh", "-o", "BatchMode=yes")  # with its own configuration, and never a prompt

# Why a task is not usable: codes of ClusterError.
UNKNOWN, UNREACHABLE, REFUSED = "host-unknown", "host-unreachable", "host-refused"
UNAUTHENTICATED, NOT_FLOWC = "host-unauthenticated", "host-not-flowc"
OTHER_VERSION = "host-other-version"


class Probe(Protocol):
    """Speaks to a task that listens at an address."""

    def greet(self, address: str, seconds: float) -> Welcome:
        """Raises ClusterError, with one of the codes above, within `seconds`."""

    def bandwidth(self, address: str, seconds: float) -> float | None:
        """Bytes a second of one stream; None where the task does not measure."""


@dataclass(frozen=True)
class Finding:
    """What became of one task. What was not measured is None.

    `latency_s` is one way, `bandwidth` bytes a second of one stream, `skew_s` how far the host's
    clock is ahead of this machine's.
    """

    task: TaskSpec
    problem: ClusterError | None = None
    answer: Welcome | None = None
    latency_s: float | None = None
    bandwidth: float | None = None
    skew_s: float | None = None
    note: str = ""


Reach = Callable[[TaskSpec, float], Finding]


def examine(tasks: Sequence[TaskSpec], reach: Reach, seconds: float) -> list[Finding]:
    """All tasks at the same time, in their order."""
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, max(1, len(tasks)))) as pool:
        return list(pool.map(lambda task: reach(task, seconds), tasks))


def by_network(probe: Probe) -> Reach:
    """Of a task that should be listening: connects and greets."""

    def reach(task: TaskSpec, seconds: float) -> Finding:
        try:
            delay = latency(task.address, seconds)
            answer = probe.greet(task.address, seconds)
            skew = answer.clock + delay - time.time()
        except ClusterError as problem:
            return Finding(task, problem)
        return Finding(task, None, answer, delay, None, skew)

    return reach


def with_bandwidth(findings: Sequence[Finding], probe: Probe, seconds: float) -> list[Finding]:
    """Measures one task of each host that answered; one after the other, as all share a wire."""
    measured: set[str] = set()
    found = []
    for finding in findings:
        if finding.answer is not None and finding.task.host not in measured:
            measured.add(finding.task.host)
            rate = probe.bandwidth(finding.task.address, seconds)
            finding = replace(finding, bandwidth=rate)
        found.append(finding)
    return found


def latency(address: str, seconds: float) -> float:
    """One way, in seconds: half of what it takes to connect. Raises ClusterError."""
    from flowc_runtime.cluster.control.reach import connect

    def once() -> float:
        begun = time.perf_counter()
        connect(address, seconds).close()
        return time.perf_counter() - begun

    return min(once() for _ in range(CONNECTIONS)) / 2


# --- hosts on which flowc starts its tasks itself -----------------------------------------------


def here(task: TaskSpec, seconds: float) -> Finding:
    """Of a task that will be a child process: there is nothing to ask."""
    return Finding(task, note="will be started on this machine")


_SSH_SAYS = (
    (re.compile(r"could not resolve hostname", re.I), UNKNOWN, "ssh cannot resolve the name"),
    (re.compile(r"connection refused", re.I), REFUSED, "no ssh server listens there"),
    (re.compile(r"permission denied|host key verification failed|publickey", re.I),
     UNAUTHENTICATED, "ssh does not let us in without a prompt"),
)  # fmt: skip
_VERSION = re.compile(r"flowc (\S+)")


def by_ssh(version: str, program: Sequence[str] = SSH) -> Reach:
    """Of a task that ssh will start: goes there and asks flowc for its version."""

    def reach(task: TaskSpec, seconds: float) -> Finding:
        ssh = task.ssh or Ssh(split(task.address)[0])
        patience = ("-o", f"ConnectTimeout={max(1, round(seconds))}")
        line = [*program, *patience, "--", ssh.to, ssh.command, "--version"]
        try:
            done = subprocess.run(
                line, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=2 * seconds, errors="replace",
            )  # fmt: skip
        except FileNotFoundError:
            return Finding(task, ClusterError(UNREACHABLE, f"{program[0]} is not installed here"))
        except subprocess.TimeoutExpired:
            problem = ClusterError(UNREACHABLE, f"no answer in {2 * seconds:g} s over ssh")
            return Finding(task, problem)
        found = _ssh_problem(ssh, done, version)
        return Finding(task, found, note="" if found else "will be started over ssh")

    return reach


def _ssh_problem(
    ssh: Ssh, done: subprocess.CompletedProcess[str], version: str
) -> ClusterError | None:
    said = done.stderr.strip().splitlines()[-1:] or [""]
    if done.returncode == 255:
        for pattern, code, message in _SSH_SAYS:
            if pattern.search(done.stderr):
                return ClusterError(code, f"{message}: {said[0]}", f"try: ssh {ssh.to}")
        return ClusterError(UNREACHABLE, f"ssh does not get there: {said[0]}", f"try: ssh {ssh.to}")
    found = _VERSION.search(done.stdout)
    if done.returncode != 0 or found is None:
        return ClusterError(
            NOT_FLOWC, f"ssh gets there, but `{ssh.command}` is not flowc: {said[0]}",
            "install flowc there, or say where it is: ssh: {command: ~/.venv/bin/flowc}",
        )  # fmt: skip
    if found[1] != version:
        return ClusterError(OTHER_VERSION, f"flowc is {found[1]} there and {version} here")
    return None


# --- what the measurements come to ---------------------------------------------------------------


def reason(findings: Sequence[Finding]) -> str | None:
    """The code that all problems have; `host-unreachable` if they differ, None without any."""
    codes = {finding.problem.code for finding in findings if finding.problem is not None}
    return codes.pop() if len(codes) == 1 else UNREACHABLE if codes else None


def links_by_host(findings: Sequence[Finding]) -> dict[str, Link]:
    """Where both figures were measured; of several tasks of a host the better ones."""
    found: dict[str, Link] = {}
    for finding in findings:
        if finding.latency_s is None or finding.bandwidth is None:
            continue
        before = found.get(finding.task.host, Link(0, finding.latency_s))
        found[finding.task.host] = Link(
            max(before.bandwidth_bytes_per_s, finding.bandwidth),
            min(before.latency_s, finding.latency_s))
    return found


def is_here(address: str) -> bool:
    """Whether the address is one of this machine's own: then a socket can be bound to it."""
    try:
        places = socket.getaddrinfo(split(address)[0], 0, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return False
    for family, _, _, _, place in places:
        with socket.socket(family, socket.SOCK_STREAM) as attempt, suppress(OSError):
            attempt.bind(place)
            return True
    return False

