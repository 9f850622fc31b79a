"""Every key of a cluster file: what it takes, what holds without it, and what it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from flowc.cluster import units
from flowc.cluster.address import BadAddress, parse_address
from flowc.cluster.cluster import BETWEEN_HOSTS, UNKNOWN_CORES, UNKNOWN_MEMORY_BYTES, WITHIN_HOST
from flowc.cluster.kinds import (
    Choice,
    Field,
    Flag,
    Kind,
    Named,
    Rejected,
    Section,
    Several,
    Text,
    Whole,
)
from flowc.diagnostic import nearest
from flowc_runtime.cluster.plan import Sync

MAX_TASKS = 1024  # of a host and a role
HOST_NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$"
DEVICE_NAME = r"^(cpu|gpu):[0-9]{1,3}$"
SYNCS = ("sync", "all_reduce", "backup", "async")
# What a mode may be told in brackets, and what holds without.
SYNC_NUMBERS = {"backup": ("backups", 1), "async": ("max_staleness", 4)}
_SYNC = re.compile(r"(?P<mode>\w+)(?:\(\s*(?:(?P<key>\w+)\s*=\s*)?(?P<number>\d{1,6})\s*\))?")

# --- scalars ----------------------------------------------------------------------------------


def _address(text: str) -> str:
    try:
        return parse_address(text)
    except BadAddress as error:
        raise Rejected(error.message, error.help, "cluster-address") from None


def _quantity(
    scale: Mapping[str, float], example: str, least: float, most: float
) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = units.parse_quantity(text, scale, example)
        except units.BadQuantity as error:
            raise Rejected(error.message, error.help, "cluster-unit") from None
        if not least <= value <= most:
            raise Rejected("is out of all proportion", f"write it as {example}", "cluster-range")
        return value

    return parse


def _pattern(scale: Mapping[str, float]) -> str:
    return rf"^[0-9].* ?({'|'.join(scale)})$"


def _size(text: str) -> int:
    return round(_quantity(units.BYTES, "8 GiB", 1 << 20, 1 << 50)(text))


def _matching(pattern: str, rule: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if re.fullmatch(pattern.strip("^$"), text) is None:
            raise Rejected(f"is no name here: {rule}", code="cluster-name")
        return text

    return parse


def _device_name(text: str) -> str:
    if re.fullmatch(DEVICE_NAME.strip("^$"), text) is None:
        kind, _, number = text.partition(":")
        near = nearest(kind, ("cpu", "gpu"))
        meant = f"did you mean `{near}:{number if number.isdecimal() else 0}`?" if near else None
        raise Rejected("is no device: they are called cpu:0 or gpu:0", meant, "cluster-name")
    return text


def _words(text: str) -> str:
    """A text that a command line takes as one word, and never as an option."""
    if text.startswith("-") or not text.isprintable() or text != text.strip() or len(text) > 200:
        raise Rejected("cannot stand on a command line", "it begins with a letter, `/` or `~`")
    return text


def parse_sync(text: str) -> Sync:
    """A mode as in `place`: `backup(1)`, `async(max_staleness = 4)`; raises Rejected."""
    found = _SYNC.fullmatch(text)
    mode = found["mode"] if found else text.partition("(")[0].strip()
    if mode not in SYNCS:
        near = nearest(mode, SYNCS)
        raise Rejected(
            f"is no way for replicas to meet: {', '.join(SYNCS)}",
            f"did you mean `{near}`?" if near else None, "cluster-choice")  # fmt: skip
    key, otherwise = SYNC_NUMBERS.get(mode, ("", 0))
    wrong_key = found is not None and found["key"] not in (None, key)
    if found is None or wrong_key or (found["number"] and not key):
        wanted = f"`{mode}({key} = {otherwise})`" if key else f"`{mode}` alone"
        raise Rejected(f"is not understood: it is {wanted}")
    number = int(found["number"] or otherwise)
    if mode == "backup":
        return Sync("backup", backups=number)
    return Sync("async", max_staleness=number) if mode == "async" else Sync(mode)  # type: ignore[arg-type]  # one of SYNCS


ADDRESS = Text("an address, as host:port", _address, r"^\S+:[0-9]{1,5}$")
SIZE = Text("a size with its unit, as 8 GiB", _size, _pattern(units.BYTES))
RATE = Text("a rate with its unit, as 1 GB/s",
            _quantity(units.BYTES_PER_SECOND, "1 GB/s", 1e3, 1e13),
            _pattern(units.BYTES_PER_SECOND))  # fmt: skip
DURATION = Text("a duration with its unit, as 200 us",
                _quantity(units.SECONDS, "200 us", 0, 10), _pattern(units.SECONDS))  # fmt: skip
HOST = Text("a host's name", _matching(
    HOST_NAME, "a host is called by a letter, then letters, digits, `_`, `-` or `.`"), HOST_NAME)
PATH = Text("a folder", _words)
ROLE: Kind[str] = Choice(("worker", "ps"))

# --- sections ---------------------------------------------------------------------------------

_CPU = (
    f"this machine's where the address is a loopback one, else {UNKNOWN_CORES} cores and "
    f"{UNKNOWN_MEMORY_BYTES >> 30} GiB"
)

DEVICE = Section("a device", (
    Field("cores", Whole(1, 4096), "how many cores of a CPU the tasks of this host may use",
          f"this machine's, or {UNKNOWN_CORES}, as under `devices`"),
    Field("memory", SIZE, "what all tasks of this host may hold",
          f"this machine's, or {UNKNOWN_MEMORY_BYTES >> 30} GiB, as under `devices`"),
))  # fmt: skip

SSH = Section("`ssh`", (
    Field("to", Text("a destination for ssh, as user@host", _words),
          "where ssh goes: a host of its own configuration, or user@host",
          "the host in `address`"),
    Field("command", Text("a command", _words), "how flowc is called there", "`flowc`"),
))  # fmt: skip

HOST_KEYS = Section("a host", (
    Field("address", ADDRESS,
          "where the others reach its first task; further tasks count up from the port", "needed"),
    Field("roles", Several(ROLE),
          "what its tasks do: `worker` computes gradients, `ps` holds parameters and updates them",
          "`[worker]`"),
    Field("workers", Whole(1, MAX_TASKS), "how many worker tasks run there",
          "1 with the role worker"),
    Field("ps", Whole(1, MAX_TASKS), "how many ps tasks run there; their ports follow the workers'",
          "1 with the role ps"),
    Field("devices", Named("devices by name, as cpu:0",
                           Text("a device's name", _device_name, DEVICE_NAME), DEVICE),
          "what it computes with: `cpu:0` with cores and memory, `gpu:0` with memory", _CPU),
    Field("start", Choice(("local", "ssh", "none")),
          "how its tasks are started: `local` as child processes of flowc, `ssh` by OpenSSH, "
          "`none` by somebody else", "the file's `start`"),
    Field("ssh", SSH, "how to get there with start: ssh", "by the address alone"),
))  # fmt: skip

LINK = Section("a link", (
    Field("bandwidth", RATE, "what one stream moves in a second", "that of `default`"),
    Field("latency", DURATION, "how long a small message takes, one way", "that of `default`"),
))  # fmt: skip

_LINKS = (
    f"{units.rate_text(BETWEEN_HOSTS.bandwidth_bytes_per_s)} and "
    f"{units.duration_text(BETWEEN_HOSTS.latency_s)} between hosts, "
    f"{units.rate_text(WITHIN_HOST.bandwidth_bytes_per_s)} and "
    f"{units.duration_text(WITHIN_HOST.latency_s)} within one"
)

SECURITY = Section("`security`", (
    Field("tls", PATH, "a folder with certificates, made by `flowc cluster cert`; a path from the "
          "folder of this file on", "none"),
    Field("on_hosts", PATH, "with `tls`, where the folder of a host lies on that host; needed only "
          "with start: ssh", "the path in `tls`, from the home folder on"),
    Field("insecure", Flag(), "`true`: whoever reaches an address may take part; for networks that "
          "you trust", "`false`"),
))  # fmt: skip

FILE = Section("a cluster file", (
    Field("hosts", Named("hosts by name", HOST, HOST_KEYS), "the machines, by names of "
          "your choice", "needed"),
    Field("links", Named("links by name, as alpha-beta", Text("a link's name", str), LINK),
          "what is between two hosts, called alpha-beta, or between any two, called `default`; "
          "alpha-alpha is within a host", _LINKS),
    Field("start", Choice(("local", "ssh", "none")), "how tasks are started on hosts that do not "
          "say it themselves", "`local` for loopback addresses, else `none`"),
    Field("security", SECURITY, "what protects the wire", "none, and then all addresses must be "
          "loopback ones"),
    Field("sync", Text("a way for replicas to meet, as all_reduce", parse_sync,
                       rf"^({'|'.join(SYNCS)})(\(.*\))?$"),
          "how replicas meet, as in the model's `place`, which goes first: `sync`, `all_reduce`, "
          "`backup(1)` or `async(max_staleness = 4)`", "what the model says"),
))  # fmt: skip

# In the order of the reference page.
SECTIONS: Mapping[str, Section] = {
    "": FILE, "hosts.NAME": HOST_KEYS, "hosts.NAME.devices.DEVICE": DEVICE, "hosts.NAME.ssh": SSH,
    "links.NAME": LINK, "security": SECURITY,
}  # fmt: skip
