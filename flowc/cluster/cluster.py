"""The nouns: a cluster is hosts, the links between them, and how far one may trust the wire."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flowc.cluster.address import is_loopback
from flowc_runtime.cluster.plan import Sync, TaskName
from flowc_runtime.cores import usable_cores

Start = Literal["local", "ssh", "none", "ray"]
Role = Literal["worker", "ps"]

UNKNOWN_CORES = 4  # of a host elsewhere whose `devices` say nothing
UNKNOWN_MEMORY_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class Link:
    """What lies between two tasks: one way, for a single stream."""

    bandwidth_bytes_per_s: float
    latency_s: float


BETWEEN_HOSTS = Link(1e9, 200e-6)
WITHIN_HOST = Link(8e9, 20e-6)  # shared memory


@dataclass(frozen=True, slots=True)
class Device:
    """`cpu:0` or `gpu:1` of a host. A GPU has no cores."""

    name: str
    cores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Ssh:
    """How a task is started over OpenSSH: `to` as its command line takes it, `command` there."""

    to: str
    command: str = "flowc"


@dataclass(frozen=True, slots=True)
class Host:
    """A machine. `workers` and `ps` are the addresses of its tasks, as `10.0.0.1:2222`."""

    name: str
    workers: tuple[str, ...]
    ps: tuple[str, ...]
    devices: tuple[Device, ...]
    start: Start
    ssh: Ssh | None = None

    @property
    def address(self) -> str:
        """That of its first task."""
        return self.addresses[0]

    @property
    def addresses(self) -> tuple[str, ...]:
        return (*self.workers, *self.ps)

    @property
    def roles(self) -> tuple[Role, ...]:
        tasks: tuple[tuple[Role, tuple[str, ...]], ...] = (
            ("worker", self.workers), ("ps", self.ps))
        return tuple(role for role, addresses in tasks if addresses)

    @property
    def cores(self) -> int:
        """Of all its CPUs."""
        return sum(device.cores for device in self.devices)

    @property
    def memory_bytes(self) -> int:
        """Of all its CPUs."""
        return sum(d.memory_bytes for d in self.devices if d.name.startswith("cpu:"))


@dataclass(frozen=True, slots=True)
class Security:
    """What protects the wire. `tls` is a folder of `flowc cluster cert` on this machine.

    `on_hosts` is where the same host's own folder lies on a host that is reached by ssh. With
    neither `tls` nor `insecure` all addresses are loopback ones.
    """

    tls: Path | None = None
    on_hosts: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A process of the job and where it is to be.

    `cores` and `memory_bytes` are those of the host; all tasks with the same `host` share them.
    """

    name: TaskName
    host: str
    address: str
    start: Start
    cores: int
    memory_bytes: int
    ssh: Ssh | None = None


@dataclass(frozen=True)
class Cluster:
    """Hosts in the order of the file. `links` has pairs of host names in alphabetical order."""

    hosts: tuple[Host, ...]
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)
    default_link: Link = BETWEEN_HOSTS
    security: Security = Security()
    sync: Sync | None = None
    ray: str | None = None  # the address of the Ray cluster that finds nodes for the tasks

    @property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """Workers, then ps tasks, each numbered over the hosts in their order."""
        return (*self._tasks("worker"), *self._tasks("ps"))

    def _tasks(self, role: Role) -> Iterator[TaskSpec]:
        number = 0
        for host in self.hosts:
            for address in host.workers if role == "worker" else host.ps:
                name = TaskName("worker", number) if role == "worker" else TaskName(f"ps:{number}")
                yield TaskSpec(
                    name, host.name, address, host.start, host.cores, host.memory_bytes, host.ssh)
                number += 1

    def host(self, name: str) -> Host:
        """Raises KeyError."""
        found = next((host for host in self.hosts if host.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def link(self, a: str, b: str) -> Link:
        """Between two hosts by name, the same in both directions; within one: shared memory."""
        otherwise = WITHIN_HOST if a == b else self.default_link
        return self.links.get((min(a, b), max(a, b)), otherwise)

    @property
    def loopback_only(self) -> bool:
        """Whether no other machine can reach any of the tasks."""
        return all(is_loopback(address) for host in self.hosts for address in host.addresses)


def local(workers: int, ps: int) -> Cluster:
    """Child processes on this machine, which choose their ports themselves.

    Raises ValueError without a worker.
    """
    if workers < 1 or ps < 0:
        raise ValueError(f"{workers} workers and {ps} ps tasks are no cluster")
    anywhere = "127.0.0.1:0"
    host = Host("local", (anywhere,) * workers, (anywhere,) * ps, (this_cpu(),), "local")
    return Cluster((host,))


def on_ray(workers: int, ps: int, address: str, insecure: bool = False) -> Cluster:
    """Tasks that a Ray cluster places, each on a host that nobody knows yet.

    Raises ValueError without a worker.
    """
    if workers < 1 or ps < 0:
        raise ValueError(f"{workers} workers and {ps} ps tasks are no cluster")
    devices = (Device("cpu:0", 1, UNKNOWN_MEMORY_BYTES),)
    names = [f"ray-{number}" for number in range(workers + ps)]
    hosts = [
        *(Host(name, (f"{name}:0",), (), devices, "ray") for name in names[:workers]),
        *(Host(name, (), (f"{name}:0",), devices, "ray") for name in names[workers:]),
    ]
    return Cluster(tuple(hosts), security=Security(insecure=insecure), ray=address)


def this_cpu() -> Device:
    """What this process may use of this machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Device("cpu:0", usable_cores(), memory)
