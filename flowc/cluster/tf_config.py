"""TF_CONFIG → Cluster: the environment variable by which other systems tell processes their task.

    {"cluster": {"chief": [...], "worker": ["a:2222", ...], "ps": [...]},
     "task": {"type": "worker", "index": 0}}

Here the chief coordinates and computes nothing. Whoever sets the variable starts the processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowc.cluster import errors
from flowc.cluster.address import is_loopback, split
from flowc.cluster.cluster import (
    UNKNOWN_CORES,
    UNKNOWN_MEMORY_BYTES,
    Cluster,
    Device,
    Host,
    Security,
    this_cpu,
)
from flowc.cluster.kinds import Choice, Field, Filled, Given, Section, Several, Whole
from flowc.cluster.sections import ADDRESS
from flowc.cluster.tree import Mapping as MappingNode
from flowc.cluster.tree import Scalar, parse_tree
from flowc.cluster.wrong import WrongCluster
from flowc.diagnostic import Sink
from flowc.source import Source
from flowc_runtime.cluster.plan import TaskName

NAME = "TF_CONFIG"
LOOPBACK_ONLY = Security()
KINDS = ("chief", "worker", "ps", "evaluator")

CLUSTER = Section("`cluster`", (
    Field("chief", Several(ADDRESS), "the process that coordinates", "none"),
    Field("worker", Several(ADDRESS), "the workers", "needed"),
    Field("ps", Several(ADDRESS), "the ps tasks", "none"),
    Field("evaluator", Several(ADDRESS), "ignored", "none"),
))  # fmt: skip
TASK = Section("`task`", (
    Field("type", Choice(KINDS), "what this process is", "needed"),
    Field("index", Whole(0, 4095), "which of them", "needed"),
))  # fmt: skip
CONFIG = Section("TF_CONFIG", (
    Field("cluster", CLUSTER, "all processes", "needed"),
    Field("task", TASK, "this process", "this process coordinates"),
    Field("environment", Choice(("cloud", "local", "google")), "ignored", "none"),
))  # fmt: skip


@dataclass(frozen=True)
class TfConfig:
    """`task` is what this process is to be; None: it coordinates."""

    cluster: Cluster
    task: TaskName | None


def read_tf_config(text: str, sink: Sink, security: Security = LOOPBACK_ONLY) -> TfConfig:
    """The cluster, and this process's place in it.

    TF_CONFIG cannot say what protects the wire, so `security` comes from elsewhere. Raises
    WrongCluster.
    """
    before = len(sink.errors)
    source = Source(NAME, text.replace("\t", " "))  # JSON is YAML except for tabs
    tree = parse_tree(source, sink)
    if tree is None:
        raise WrongCluster
    if not isinstance(tree, MappingNode):
        sink.report(errors.wrong_kind(Scalar(tree.span, NAME), tree, "a JSON object"))
        raise WrongCluster
    config = CONFIG.fill(None, tree, sink)
    task = _task(config, sink)
    _check(config, security, sink)
    if len(sink.errors) > before:
        raise WrongCluster
    return TfConfig(_cluster(config.get("cluster"), security), task)


def _task(config: Filled, sink: Sink) -> TaskName | None:
    cluster, task = config.get("cluster"), config.get("task")
    if cluster is None or task is None or task.damaged or cluster.damaged:
        return None
    kind, index = task.get("type"), task.get("index")
    count = len(cluster.get(kind, ()))
    if index >= count and kind != "evaluator":
        sink.report(errors.no_such_task(task.given("index").span, kind, index, count))
    match kind:
        case "worker":
            return TaskName("worker", index)
        case "ps":
            return TaskName(f"ps:{index}")
    return None


def _check(config: Filled, security: Security, sink: Sink) -> None:
    cluster: Filled = config.get("cluster", Filled({}, True))
    chief: Given[Any] | None = cluster.given("chief")
    if chief is not None and len(chief.value) > 1:
        sink.report(errors.more_than_one_chief(chief.key.span))
    seen: dict[str, Given[Any]] = {}
    for kind in ("worker", "ps"):
        given = cluster.given(kind)
        for address in given.value if given is not None else ():
            assert given is not None
            before = seen.setdefault(address, given)
            if before is not given:
                sink.report(errors.same_address(
                    given.key.span, address, kind, before.key.span, before.key.text))
    exposed = [(a, g) for a, g in seen.items() if not is_loopback(a)]
    if exposed and security.tls is None and not security.insecure:
        address, given = exposed[0]
        sink.report(errors.exposed(
            given.key.span, address, (), errors.IN_A_CLUSTER_FILE))


def _cluster(given: Filled, security: Security) -> Cluster:
    """Tasks with the same host in their address are on one host."""
    hosts: dict[str, dict[str, list[str]]] = {}
    for kind in ("worker", "ps"):
        for address in given.get(kind, ()):
            here = hosts.setdefault(split(address)[0], {"worker": [], "ps": []})
            here[kind].append(address)
    return Cluster(tuple(_host(*item) for item in hosts.items()), security=security)


def _host(name: str, tasks: Mapping[str, list[str]]) -> Host:
    here = is_loopback([*tasks["worker"], *tasks["ps"]][0])
    device = this_cpu() if here else Device("cpu:0", UNKNOWN_CORES, UNKNOWN_MEMORY_BYTES)
    return Host(name, tuple(tasks["worker"]), tuple(tasks["ps"]), (device,), "none")
