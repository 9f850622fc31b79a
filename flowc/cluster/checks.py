"""What must hold between the values of a cluster file: each check tells what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowc.cluster import errors
from flowc.cluster.address import PORTS, split
from flowc.cluster.draft import Draft
from flowc.cluster.kinds import Filled, Given
from flowc.diagnostic import MAX_REPORTED, Sink
from flowc.source import Span
from flowc_runtime.cluster.plan import Sync

MAX_TASKS = 4096
SHOWN = 3  # further places of one mistake
CERTIFICATE_FILES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True)
class Case:
    """A file that was read: its sections, its hosts, and the folder that paths start from."""

    file: Filled
    drafts: Sequence[Draft]
    folder: Path | None


Check = Callable[[Case, Sink], None]


def hosts(case: Case, sink: Sink) -> None:
    """Each by itself."""
    for draft in case.drafts:
        _roles(draft, sink)
        _devices(draft, sink)
        _start(draft, sink)


def _roles(draft: Draft, sink: Sink) -> None:
    if draft.given.damaged and "roles" not in draft.given.values:
        return
    for key, role in (("workers", "worker"), ("ps", "ps")):
        given = draft.given.given(key)
        if given is not None and role not in draft.roles:
            sink.report(errors.count_without_role(given.key.span, key, role))


def _devices(draft: Draft, sink: Sink) -> None:
    for name, given in draft.devices.items():
        cores = given.value.given("cores")
        if cores is not None and name.startswith("gpu:"):
            sink.report(errors.unknown_key(cores.key, ("memory",), f"`{name}`"))


def _start(draft: Draft, sink: Sink) -> None:
    given = draft.start_given
    if draft.start == "local" and draft.elsewhere:
        at = draft.address_span
        sink.report(errors.local_elsewhere(at, draft.address, given.span if given else at))
    if draft.ssh is not None and draft.start != "ssh":
        sink.report(errors.ssh_without_start(draft.ssh.key.span, draft.start))
    if draft.address and split(draft.address)[1] == 0 and draft.start != "local":
        sink.report(errors.any_port(draft.address_span, draft.start))


def addresses(case: Case, sink: Sink) -> None:
    """No two tasks listen at the same place, and there are not too many of them."""
    tasks = sum(draft.workers + draft.ps for draft in case.drafts)
    if tasks > MAX_TASKS:
        sink.report(errors.too_many_tasks(case.drafts[0].at, tasks, MAX_TASKS))
        return
    seen: dict[str, Draft] = {}
    for draft in case.drafts:
        if not draft.address:
            continue
        port = split(draft.address)[1]
        last = port + draft.workers + draft.ps - 1
        if port and last > PORTS[-1]:
            tasks = draft.workers + draft.ps
            sink.report(errors.ports_end(draft.address_span, tasks, last))
            continue
        for address in draft.addresses() if port else ():
            before = seen.setdefault(address, draft)
            if before is not draft:
                sink.report(errors.same_address(
                    draft.address_span, address, draft.name, before.address_span, before.name))
                break


def reachable(case: Case, sink: Sink) -> None:
    """Tasks talk to each other: one that only its own machine can reach is of no use to others."""
    others = [draft for draft in case.drafts if draft.elsewhere]
    for draft in case.drafts:
        if others and draft.loopback:
            sink.report(errors.loopback_among_others(
                draft.address_span, draft.address, others[0].address_span))


def security(case: Case, sink: Sink) -> None:
    """What other machines can reach is protected, or said not to be."""
    section = case.file.get("security", Filled({}, case.file.damaged))
    tls, insecure = section.given("tls"), section.given("insecure")
    on_hosts = section.given("on_hosts")
    asks_for_none = insecure is not None and insecure.value
    if tls is not None and insecure is not None and asks_for_none:
        sink.report(errors.tls_and_insecure(tls.span, insecure.span))
    if on_hosts is not None and tls is None and not section.damaged:
        sink.report(errors.on_hosts_without_tls(on_hosts.key.span))
    if tls is None and not asks_for_none and not section.damaged:
        _exposed(case.drafts, sink)


def _exposed(drafts: Sequence[Draft], sink: Sink) -> None:
    exposed = [draft for draft in drafts if draft.elsewhere]
    if exposed:
        first, *others = exposed
        spans = [draft.address_span for draft in others[:SHOWN]]
        sink.report(errors.exposed(
            first.address_span, first.address, spans, errors.TLS_OR_INSECURE))


def certificates(case: Case, sink: Sink) -> None:
    """The folder in `tls` holds what is needed; other folders than the file's are not known."""
    section: Filled = case.file.get("security", Filled({}, False))
    tls: Given[str] | None = section.given("tls")
    if tls is None or case.folder is None:
        return
    here = case.folder / Path(tls.value).expanduser()
    missing = [name for name in CERTIFICATE_FILES if not (here / name).is_file()]
    if missing:
        sink.report(errors.no_certificates(tls.span, tls.value, missing))


def pairs(name: str, hosts: Collection[str]) -> list[tuple[str, str]]:
    """The hosts, in alphabetical order, that a link of this name can be between."""
    cuts = [(name[:n], name[n + 1 :]) for n, letter in enumerate(name) if letter == "-"]
    return [(min(a, b), max(a, b)) for a, b in cuts if a in hosts and b in hosts]


def links(case: Case, sink: Sink) -> None:
    """Each is between two hosts of the file, and between no two of them twice."""
    given: Mapping[str, Given[Filled]] = case.file.get("links", {})
    names = {draft.name: draft for draft in case.drafts}
    seen: dict[tuple[str, str], Span] = {}
    for name, link in given.items():
        found = pairs(name, names)
        at = link.key.span
        if name == "default" or not names:
            continue
        if len(sink.errors) >= MAX_REPORTED:
            return  # suggesting a name takes time
        if not found:
            sink.report(errors.link_name(at, name, list(names)))
        elif len(set(found)) > 1:
            sink.report(errors.link_in_two_ways(at, name, found))
        elif seen.setdefault(found[0], at) is not at:
            sink.report(errors.same_link(at, *found[0], seen[found[0]]))


def work(case: Case, sink: Sink) -> None:
    """Somebody must compute, and the way to meet must fit to who is there."""
    given = case.file.given("hosts")
    if given is None or not case.drafts or any(draft.given.damaged for draft in case.drafts):
        return
    workers = sum(draft.workers for draft in case.drafts)
    if workers == 0:
        sink.report(errors.no_worker(given.key.span, [draft.name for draft in case.drafts]))
        return
    _sync(case.file.given("sync"), case.drafts, workers, sink)


def _sync(
    given: Given[Sync] | None, drafts: Sequence[Draft], workers: int, sink: Sink
) -> None:
    if given is None:
        return
    ps = next((draft for draft in drafts if draft.ps), None)
    if given.value.mode == "all_reduce" and ps is not None:
        role = ps.given.given("roles")
        sink.report(errors.sync_needs_no_ps(given.span, role.key.span if role else ps.at))
    if given.value.mode != "all_reduce" and ps is None:
        sink.report(errors.sync_needs_ps(given.span, given.value.mode))
    if given.value.mode == "backup" and given.value.backups >= workers:
        sink.report(errors.too_many_backups(given.span, given.value.backups, workers))


WITHOUT_CERTIFICATES: tuple[Check, ...] = (hosts, addresses, reachable, security, links, work)
ALL: tuple[Check, ...] = (*WITHOUT_CERTIFICATES, certificates)
