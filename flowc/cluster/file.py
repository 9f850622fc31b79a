"""A cluster file → Cluster: read whole, judged whole, every mistake told at its place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowc.cluster import checks, errors
from flowc.cluster.address import is_loopback, split
from flowc.cluster.cluster import (
    BETWEEN_HOSTS,
    UNKNOWN_CORES,
    UNKNOWN_MEMORY_BYTES,
    WITHIN_HOST,
    Cluster,
    Device,
    Host,
    Link,
    Security,
    Ssh,
    this_cpu,
)
from flowc.cluster.draft import Draft
from flowc.cluster.kinds import Filled, Given
from flowc.cluster.sections import FILE
from flowc.cluster.tree import Mapping as MappingNode
from flowc.cluster.tree import Scalar, parse_tree, read_text
from flowc.cluster.wrong import WrongCluster
from flowc.diagnostic import MAX_REPORTED, Sink
from flowc.source import Source

Checks = Sequence[checks.Check]


def read_cluster_file(path: Path, sink: Sink, against: Checks = checks.ALL) -> Cluster:
    """Raises OSError if there is no file, WrongCluster if it has mistakes."""
    source = read_text(path, sink)
    if source is None:
        raise WrongCluster
    return read_cluster(source, sink, against)


def read_cluster(source: Source, sink: Sink, against: Checks = checks.ALL) -> Cluster:
    """The cluster of a text. Paths in it start from the source's folder. Raises WrongCluster."""
    found = Sink()
    try:
        return _read(source, found, against)
    finally:
        in_order = sorted(found.diagnostics, key=lambda d: d.label.span.start if d.label else 0)
        for diagnostic in in_order[:MAX_REPORTED]:
            sink.report(diagnostic)


def _read(source: Source, sink: Sink, against: Checks) -> Cluster:
    tree = parse_tree(source, sink)
    if tree is None:
        raise WrongCluster
    if not isinstance(tree, MappingNode):
        sink.report(errors.wrong_kind(Scalar(tree.span, "the file"), tree, "keys and values"))
        raise WrongCluster
    file = FILE.fill(None, tree, sink)
    drafts = _drafts(file)
    case = checks.Case(file, drafts, source.folder)
    for check in against:
        check(case, sink)
    if sink.errors:
        raise WrongCluster
    return _cluster(file, drafts, source.folder or Path())


def _drafts(file: Filled) -> list[Draft]:
    hosts: Mapping[str, Given[Filled]] = file.get("hosts", {})
    general = file.given("start")
    return [Draft.of(name, given, general) for name, given in hosts.items()]


def _cluster(file: Filled, drafts: Iterable[Draft], folder: Path) -> Cluster:
    links, default = _links(file, {draft.name for draft in drafts})
    return Cluster(
        tuple(_host(draft) for draft in drafts), links, default,
        _security(file.get("security"), folder), file.get("sync"),
    )  # fmt: skip


def _host(draft: Draft) -> Host:
    addresses = draft.addresses()
    count = draft.workers
    return Host(
        draft.name, addresses[:count], addresses[count:], _devices(draft), draft.start,
        _ssh(draft) if draft.start == "ssh" else None,
    )  # fmt: skip


def _devices(draft: Draft) -> tuple[Device, ...]:
    """Those given, with the stated defaults where they say nothing; always a CPU."""
    unknown = Device("cpu:0", UNKNOWN_CORES, UNKNOWN_MEMORY_BYTES)
    otherwise = this_cpu() if is_loopback(draft.address) else unknown
    found = []
    for name, given in draft.devices.items():
        cores = given.value.get("cores", otherwise.cores) if name.startswith("cpu:") else 0
        found.append(Device(name, cores, given.value.get("memory", otherwise.memory_bytes)))
    if not any(device.name.startswith("cpu:") for device in found):
        found.append(otherwise)
    return tuple(sorted(found, key=lambda device: device.name))


def _ssh(draft: Draft) -> Ssh:
    given = draft.ssh
    to = split(draft.address)[0]
    if given is None:
        return Ssh(to)
    return Ssh(given.value.get("to", to), given.value.get("command", "flowc"))


def _links(file: Filled, hosts: Collection[str]) -> tuple[dict[tuple[str, str], Link], Link]:
    given: Mapping[str, Given[Filled]] = file.get("links", {})
    default = _link(given["default"].value, BETWEEN_HOSTS) if "default" in given else BETWEEN_HOSTS
    links = {}
    for name, link in given.items():
        if name != "default":
            a, b = checks.pairs(name, hosts)[0]
            links[a, b] = _link(link.value, WITHIN_HOST if a == b else default)
    return links, default


def _link(given: Filled, otherwise: Link) -> Link:
    return Link(
        given.get("bandwidth", otherwise.bandwidth_bytes_per_s),
        given.get("latency", otherwise.latency_s),
    )


def _security(given: Any, folder: Path) -> Security:
    if given is None:
        return Security()
    tls = given.get("tls")
    on_hosts = given.get("on_hosts") or (tls and str(tls))
    return Security(tls and folder / tls, on_hosts, given.get("insecure", False))
