"""The page of the cluster file, from the table that its reader goes by."""

from __future__ import annotations

from flowc.cluster.checks import MAX_TASKS
from flowc.cluster.cluster import BETWEEN_HOSTS, UNKNOWN_CORES, UNKNOWN_MEMORY_BYTES, WITHIN_HOST
from flowc.cluster.kinds import Section
from flowc.cluster.sections import SECTIONS
from flowc.cluster.tree import MAX_BYTES, MAX_DEPTH, MAX_NODES
from flowc.cluster.units import BYTES, BYTES_PER_SECOND, SECONDS, duration_text, rate_text
from pages.markdown import Lines, page, table

EXAMPLE = """\
# yaml-language-server: $schema=hosts.schema.json
hosts:
  alpha:
    address: 10.0.0.1:2222       # two workers, at the ports 2222 and 2223
    workers: 2
    devices: {cpu:0: {cores: 4, memory: 8 GiB}}
  beta:
    address: beta.lan:2222
    roles: [worker, ps]          # a worker at 2222, a ps at 2223
    start: ssh
    ssh: {to: me@beta, command: ~/flowc/.venv/bin/flowc}
links:
  default: {bandwidth: 1 Gbit/s, latency: 200 us}
start: none                      # who does not say otherwise is started by hand
security: {insecure: true}       # on a network whose every machine is trusted
"""
TF_EXAMPLE = """\
{"cluster": {"chief": ["c.lan:2222"],
             "worker": ["a.lan:2222", "b.lan:2222"],
             "ps": ["p.lan:2222"]},
 "task": {"type": "worker", "index": 1}}
"""


def cluster_file() -> str:
    intro = [
        "What a cluster file may say: the hosts, the links between them, how tasks are started,",
        "and what protects the wire. It is YAML, and strict: a key that is unknown, given twice or",
        "of the wrong kind is an error with its place in the file, and so is what does not go",
        "together. `flowc cluster check FILE` tells all of it, and whether the hosts are there.",
        "",
        "```yaml",
        *EXAMPLE.splitlines(),
        "```",
        "",
    ]
    return page("The cluster file", intro, *map(_section, SECTIONS.items()), _tasks(), _defaults(),
                _quantities(), _limits(), _editors(), _tf_config())  # fmt: skip


def _section(named: tuple[str, Section]) -> Lines:
    path, section = named
    yield f"## `{path}`" if path else "## Keys of the file"
    yield ""
    rows = [(f"`{f.name}`", f.kind.wanted, f.default, f.doc) for f in section.fields]
    yield from table(("key", "takes", "default", "what"), rows)


def _tasks() -> Lines:
    yield from (
        "## Tasks",
        "",
        "A task is a process of the training. Workers are numbered over the hosts in their order,",
        "as `worker:0`, `worker:1`; so are ps tasks, as `ps:0`. The tasks of a host count up from",
        "the port of its address, workers first. Port 0 is possible with `start: local` alone: the",
        "tasks choose their ports. `flowc train --local N` needs no file at all.",
        "",
        "Only `start: ssh` and `start: local` let flowc start a task again that has died; with",
        "`start: none` it waits until the task is there again.",
        "",
    )


def _defaults() -> Lines:
    links = [
        (name, rate_text(link.bandwidth_bytes_per_s), duration_text(link.latency_s))
        for name, link in (("between hosts", BETWEEN_HOSTS), ("within a host", WITHIN_HOST))
    ]
    yield "## Defaults"
    yield ""
    yield "The figures of links and devices go into the plan: where variables lie, and how long a"
    yield "step will take. Memory alone is a limit: a plan that needs more is refused."
    yield "`flowc cluster check --write` measures the links and stores them in the file, with all"
    yield "comments kept."
    yield ""
    yield from table(("link", "bandwidth", "latency"), links)
    yield (f"A host elsewhere whose `devices` say nothing counts as {UNKNOWN_CORES} cores with "
           f"{UNKNOWN_MEMORY_BYTES >> 30} GiB.")  # fmt: skip
    yield "One at a loopback address is this machine."
    yield ""


def _quantities() -> Lines:
    yield "## Quantities"
    yield ""
    yield "A number and a unit, with one space or none between: `8 GiB`, `1.5GB`, `200 us`."
    yield ""
    rows = [(name, ", ".join(f"`{unit}`" for unit in units)) for name, units in (
        ("sizes", BYTES), ("rates", BYTES_PER_SECOND), ("durations", SECONDS))]  # fmt: skip
    yield from table(("quantity", "units"), rows)


def _limits() -> Lines:
    yield (f"A file has at most {MAX_BYTES >> 10} KiB, {MAX_NODES:,} keys and values and "
           f"{MAX_TASKS:,} tasks, nested {MAX_DEPTH} deep.")  # fmt: skip
    yield "Anchors, aliases, tags and further documents are refused."
    yield ""


def _editors() -> Lines:
    yield from (
        "## In an editor",
        "",
        "A YAML language server completes and checks a cluster file that names its JSON Schema in",
        "the first line, as the one above does:",
        "",
        "```sh",
        "flowc cluster schema > hosts.schema.json",
        "```",
        "",
        "The schema knows keys and kinds; only flowc knows what does not go together.",
        "",
    )


def _tf_config() -> Lines:
    yield from (
        "## TF_CONFIG",
        "",
        "The environment variable by which other systems tell a process its place in a cluster is",
        "understood too. Mistakes in it are told in the same way, at their column:",
        "",
        "```json",
        *TF_EXAMPLE.splitlines(),
        "```",
        "",
        "The chief coordinates and computes nothing; without `task` a process coordinates as well.",
        "An evaluator is let through and has no work. Tasks with the same host in their address",
        "are on one host. Whoever sets the variable starts the processes. It cannot say what",
        "protects the wire: without `--insecure` it can name loopback addresses only. TLS",
        "needs the cluster file.",
        "",
    )
