"""`flowc cluster`: the cluster file checked, hosts asked, certificates made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowc.cli import exits
from flowc.cli.command import Command, Group
from flowc.cli.models import diagnosing
from flowc.cli.options import json_option

if TYPE_CHECKING:
    from flowc.cluster import Cluster, Host, TaskSpec
    from flowc.cluster.certificates import Subject
    from flowc.cluster.probe import Finding

CLUSTER_FILE = "hosts.yaml"
EXAMPLES = (
    ("flowc cluster check hosts.yaml", "is the file right, and is every host there?"),
    ("flowc cluster cert certs --cluster hosts.yaml", "make certificates for its hosts"),
    ("flowc cluster schema > hosts.schema.json", "for editors that complete YAML"),
)
# What the codes of unusable hosts mean for those who call flowc.
EXITS = {
    "host-unauthenticated": exits.NOT_ALLOWED,
    "host-not-flowc": exits.PROTOCOL,
    "host-other-version": exits.PROTOCOL,
}
WAIT_SECONDS = 5.0
Row = tuple[str, ...]


@click.group(cls=Group, examples=EXAMPLES)
def cluster() -> None:
    """Check a cluster file and its hosts, and make certificates."""


# --- check ------------------------------------------------------------------------------------


@cluster.command("check", cls=Command, examples=(
    EXAMPLES[0],
    ("flowc cluster check hosts.yaml --write", "and keep in the file how fast the links are"),
    ("flowc cluster check --offline", "only read the file hosts.yaml"),
))  # fmt: skip
@click.argument("file", type=click.Path(path_type=Path), default=CLUSTER_FILE, metavar="[FILE]")
@click.option("--offline", is_flag=True, help="Connect to nothing; only read the file.")
@click.option("--write", is_flag=True, help="Store measured links in the file.")
@click.option("--timeout", "seconds", type=click.FloatRange(0.1, 600), default=WAIT_SECONDS,
              show_default=True, help="Seconds to wait for a host.")  # fmt: skip
@json_option
@click.pass_context
def check(
    ctx: click.Context, file: Path, offline: bool, write: bool, seconds: float, as_json: bool
) -> None:
    """Check a cluster file, and whether its hosts can be used.

    Every host is asked: one whose tasks are started by hand must answer as flowc, one that is
    reached by ssh must let us in without a prompt and have the same version of flowc. Bandwidth,
    latency and the skew of the clock are measured from here. With `--write` the links are stored:
    those of this machine to the other hosts if it is one of the file's, else their median as
    `default`. The exit code is 78 if the file is wrong, 69 if a host cannot be reached, 77 if it
    refuses us, 76 if it is another version or no flowc.
    """
    from flowc.cluster import read_cluster_file
    from flowc.cluster.probe import reason

    if offline and write:
        raise click.UsageError("--write stores what is measured, and --offline measures nothing")
    with diagnosing() as sink:
        found = read_cluster_file(file, sink)
    findings = [] if offline else _ask(found, seconds)
    if as_json:
        _print_json(found, findings)
    else:
        _print_table(found, findings)
    if write:
        _store(file, found, findings)
    code = reason(findings)
    ctx.exit(exits.OK if code is None else EXITS.get(code, exits.UNAVAILABLE))


def _ask(found: Cluster, seconds: float) -> list[Finding]:
    from flowc import __version__
    from flowc.cluster import probe
    from flowc.cluster.greet import task_probe

    listener = task_probe(found.security)
    network, ssh = probe.by_network(listener), probe.by_ssh(__version__)
    ways = {"none": network, "ssh": ssh, "local": probe.here}

    def reach(task: TaskSpec, seconds: float) -> Finding:
        return ways[task.start](task, seconds)

    return probe.with_bandwidth(probe.examine(found.tasks, reach, seconds), listener, seconds)


def _print_json(found: Cluster, findings: list[Finding]) -> None:
    from flowc.cli.printing import print_json

    print_json("cluster-check", {
        "ok": all(f.problem is None for f in findings),
        "hosts": [_host_facts(host) for host in found.hosts],
        "tasks": [_task_facts(finding) for finding in findings],
    })  # fmt: skip


def _host_facts(host: Host) -> dict[str, Any]:
    devices = [{"name": d.name, "cores": d.cores, "memory_bytes": d.memory_bytes}
               for d in host.devices]  # fmt: skip
    return {"name": host.name, "address": host.address, "roles": list(host.roles),
            "workers": len(host.workers), "ps": len(host.ps), "start": host.start,
            "devices": devices}  # fmt: skip


def _task_facts(finding: Finding) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "task": str(finding.task.name), "host": finding.task.host, "address": finding.task.address,
        "ok": finding.problem is None, "note": finding.note,
    }  # fmt: skip
    if finding.problem is not None:
        problem = finding.problem
        return facts | {"code": problem.code, "message": problem.message, "help": problem.help}
    if finding.answer is not None:
        answer = finding.answer
        facts |= {"flowc": answer.flowc, "cores": answer.cores, "memory_bytes": answer.memory_bytes,
                  "skew_s": finding.skew_s, "latency_s": finding.latency_s}  # fmt: skip
    if finding.bandwidth is not None:
        facts["bandwidth_bytes_per_s"] = finding.bandwidth
    return facts


def _print_table(found: Cluster, findings: list[Finding]) -> None:
    from flowc.cli.ending import say

    rows: list[Row] = [("host", "address", "roles", "start", "memory", "cores")]
    rows += [_host_row(host) for host in found.hosts]
    click.echo("\n".join(_aligned(rows)))
    if findings:
        asked: list[Row] = [("task", "address", "what"), *map(_task_row, findings)]
        click.echo("\n" + "\n".join(_aligned(asked)))
    for finding in findings:
        if finding.problem is not None:
            problem = finding.problem
            say(f"{finding.task.name} of {finding.task.host}: {problem.message}",
                problem.code, problem.help)  # fmt: skip


def _host_row(host: Host) -> Row:
    from flowc.cluster.units import size_text

    counts = (("worker", len(host.workers)), ("ps", len(host.ps)))
    roles = ", ".join(f"{n} {role}{'s' * (n > 1 and role == 'worker')}" for role, n in counts if n)
    return (host.name, host.address, roles, host.start, size_text(host.memory_bytes),
            f"{host.cores}")  # fmt: skip


def _task_row(finding: Finding) -> Row:
    return str(finding.task.name), finding.task.address, _what(finding)


def _what(finding: Finding) -> str:
    from flowc.cluster.units import duration_text, rate_text, size_text

    if finding.problem is not None:
        return finding.problem.code
    pieces = ["ok" if finding.answer else finding.note]
    if finding.answer is not None:
        pieces += [f"{finding.answer.cores} cores", size_text(finding.answer.memory_bytes)]
    if finding.latency_s is not None:
        pieces.append(duration_text(finding.latency_s))
    if finding.bandwidth is not None:
        pieces.append(rate_text(finding.bandwidth))
    if finding.skew_s is not None:
        pieces.append(f"clock {finding.skew_s * 1e3:+.0f} ms")
    return ", ".join(pieces)


def _aligned(rows: list[Row]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows]  # fmt: skip


def _store(file: Path, found: Cluster, findings: list[Finding]) -> None:
    """Writes what was measured, once a host: of several tasks the fastest."""
    from flowc.cli.models import write_text
    from flowc.cluster.measured import links_from, with_links
    from flowc.cluster.probe import is_here, links_by_host

    here = next((host.name for host in found.hosts if is_here(host.address)), None)
    links = links_from(here, links_by_host(findings))
    if not links:
        click.echo("nothing was measured that could be stored", err=True)
        return
    write_text(file, with_links(file.read_text(encoding="utf-8"), links))
    names = ", ".join("-".join(filter(None, pair)) for pair in links)
    click.echo(f"stored in {file}: {names}", err=True)


# --- cert -------------------------------------------------------------------------------------


@cluster.command("cert", cls=Command, examples=(
    ("flowc cluster cert certs --host 10.0.0.1 --host gpu.lan", "a CA and three certificates"),
    ("flowc cluster cert certs --cluster hosts.yaml", "one for each host of the file"),
    ("flowc cluster cert certs --host 10.0.0.9", "one more, by the same CA"),
))  # fmt: skip
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--host", "hosts", multiple=True, metavar="NAME",
              help="A name or an IP address of a host; may be given again.")  # fmt: skip
@click.option("--cluster", "file", type=click.Path(path_type=Path), metavar="FILE",
              help="A cluster file, for all of its hosts.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), default=825, show_default=True,
              help="How long the certificates are valid.")  # fmt: skip
def cert(folder: Path, hosts: tuple[str, ...], file: Path | None, days: int) -> None:
    """Make a CA and certificates for the hosts of a cluster.

    DIR gets the CA and a certificate for this machine; each host gets a folder DIR/NAME, which is
    to be copied there for `flowc worker --tls`. Nothing is overwritten. The key files can be read
    by their owner alone; ca-key.pem is only needed to add hosts later, and belongs to no host.
    """
    from flowc.cluster.certificates import make

    subjects = [_subject(name) for name in dict.fromkeys(hosts)]
    if file is not None:
        subjects += _subjects_of(file)
    for path in make(folder, subjects, days):
        click.echo(path)


def _subject(name: str) -> Subject:
    from flowc.cluster.address import BadAddress, parse_host
    from flowc.cluster.certificates import Subject

    try:
        host = parse_host(f"[{name}]" if ":" in name and not name.startswith("[") else name)
    except BadAddress as error:
        raise click.BadParameter(f"`{name}` {error.message}", param_hint="--host") from None
    return Subject(host, (host,))


def _subjects_of(file: Path) -> list[Subject]:
    """Hosts that other machines reach; the file may name a folder that is still to be made."""
    from flowc.cluster import checks, read_cluster_file
    from flowc.cluster.address import is_loopback, split
    from flowc.cluster.certificates import Subject

    with diagnosing() as sink:
        found = read_cluster_file(file, sink, checks.WITHOUT_CERTIFICATES)
    return [
        Subject(host.name, tuple(dict.fromkeys((split(host.address)[0], host.name))))
        for host in found.hosts if not is_loopback(host.address)
    ]  # fmt: skip


# --- schema -----------------------------------------------------------------------------------


@cluster.command("schema", cls=Command, examples=(EXAMPLES[2],))
def schema() -> None:
    """Print the JSON Schema of cluster files.

    An editor with a YAML language server completes and checks a file that begins with
    `# yaml-language-server: $schema=hosts.schema.json`.
    """
    from flowc.cluster.schema import published

    click.echo(published(), nl=False)
