"""The wording of every mistake in a cluster file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flowc.diagnostic import Diagnostic, Label, nearest
from flowc.source import Source, Span

if TYPE_CHECKING:
    from flowc.cluster.tree import Node, Scalar

LONGEST_SHOWN = 40  # characters of what the author wrote

# --- the text ---------------------------------------------------------------------------------

FEATURES = {
    "alias": "an alias (`*name`) repeats another part of the file",
    "anchor": "an anchor (`&name`) names a part of the file for repetition",
    "tag": "a tag (`!name`) says how a value is to be made",
    "document": "a second document begins here",
}
# What the YAML library says, and what it means.
SYNTAX = (
    ("found character '\\t'", "a tab, where YAML wants spaces", "indent with spaces"),
    ("mapping values are not allowed", "a `:` cannot begin a value here",
     "begin a new line for the key, or put a text that holds `: ` into quotes"),
    ("expected <block end>", "this does not fit to the lines before",
     "keys of one mapping begin in the same column"),
    ("could not find expected ':'", "a `:` is missing behind this key", None),
    ("found unexpected end of stream", "the file ends within quotes", None),
    ("expected ',' or", "a `,` or the closing bracket is missing here", None),
    ("expected '<document start>'", "nothing can follow here",
     "is there a bracket too many, or a missing key?"),
    ("that cannot start any token", "a text cannot begin with this character",
     "put the text into quotes"),
    ("did not find expected", "the brackets do not fit together", None),
)  # fmt: skip


def syntax(at: Span, problem: str, begun: Span | None) -> Diagnostic:
    known = next((row for row in SYNTAX if row[0] in problem), (problem, problem, None))
    elsewhere = begun is not None and begun.line != at.line
    others = (Label(begun, "begun here"),) if begun is not None and elsewhere else ()
    return Diagnostic(
        "cluster-syntax", f"this is no YAML: {known[1]}", Label(at), others=others, help=known[2])


def bad_character(at: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-syntax", f"this is no YAML: it holds the control character {ord(at.text):#04x}",
        Label(at), help="remove it",
    )


def not_text(at: Span, byte: int) -> Diagnostic:
    return Diagnostic(
        "not-utf8", f"a cluster file is a text in UTF-8, and this byte ({byte:#04x}) is none",
        Label(at),
    )


def too_large(source: Source, limit: int) -> Diagnostic:
    return Diagnostic(
        "too-large", f"a cluster file has at most {limit >> 10} KiB", Label(Span(source, 0, 1)))


def too_many(at: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        "too-large", f"a cluster file has at most {limit:,} keys and values",
        Label(at, "this is one more"),
    )


def too_deep(at: Span, limit: int) -> Diagnostic:
    return Diagnostic("too-deep", f"nested deeper than {limit}", Label(at))


def empty(source: Source) -> Diagnostic:
    return Diagnostic(
        "cluster-missing-key", "there is nothing in this file", Label(Span(source, 0, 1)),
        help="hosts: {alpha: {address: 127.0.0.1:2222}}",
    )


def feature(at: Span, kind: str) -> Diagnostic:
    return Diagnostic(
        "cluster-feature", f"{FEATURES[kind]}, which a cluster file does not do", Label(at),
        help=None if kind == "document" else "write out what is meant; a text that begins with "
        f"`{at.text[:1]}` needs quotes",
    )


# --- keys -------------------------------------------------------------------------------------


def key_is_no_text(at: Span) -> Diagnostic:
    return Diagnostic("cluster-syntax", "a key is a name, not a list or a mapping", Label(at))


def duplicate_key(key: str, at: Span, before: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-duplicate-key", f"`{shown(key)}` is given twice", Label(at),
        others=(Label(before, "first here"),),
    )


def unknown_key(key: Scalar, known: Sequence[str], where: str) -> Diagnostic:
    near = nearest(key.text, known)
    return Diagnostic(
        "cluster-unknown-key", f"{where} has no key `{shown(key.text)}`", Label(key.span),
        notes=(f"it has {', '.join(known)}",), help=f"did you mean `{near}`?" if near else None,
    )


def missing_key(key: Scalar | None, node: Node, name: str, where: str) -> Diagnostic:
    at = key.span if key is not None else Span(node.span.source, node.span.start, node.span.end)
    first = Span(at.source, at.start, min(at.end, at.start + len(at.text.partition("\n")[0])))
    return Diagnostic(
        "cluster-missing-key", f"{where} needs the key `{name}`, which is missing here",
        Label(first))


# --- values -----------------------------------------------------------------------------------


def shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 1]}…"


def described(node: Node) -> str:
    """What stands there, for “…, not X”."""
    kind = type(node).__name__
    if kind == "Scalar":
        if node.empty:  # type: ignore[union-attr]
            return "nothing"
        return f"`{shown(node.span.text)}`"
    return "a list" if kind == "Sequence" else "a mapping"


def _at(key: Scalar, node: Node) -> Label:
    return Label(node.span if type(node).__name__ == "Scalar" else key.span)


def wrong_kind(key: Scalar, node: Node, wanted: str) -> Diagnostic:
    return Diagnostic(
        "cluster-wrong-kind", f"`{shown(key.text)}` wants {wanted}, not {described(node)}",
        _at(key, node), help=_kind_help(node, wanted),
    )


def _kind_help(node: Node, wanted: str) -> str | None:
    text = getattr(node, "text", "")
    if "`true`" in wanted and text.lower() in ("yes", "on", "true"):
        return "write true"
    if "`true`" in wanted and text.lower() in ("no", "off", "false"):
        return "write false"
    if "whole number" in wanted and text.isdecimal() and not getattr(node, "plain", True):
        return "write it without quotes"
    if "host:port" in wanted and type(node).__name__ == "Sequence":
        return "an IPv6 address stands in quotes"
    return None


def rejected(code: str, key: Scalar, node: Scalar, message: str, help: str | None) -> Diagnostic:
    return Diagnostic(code, f"`{shown(node.text)}` {message}", Label(node.span), help=help)


def out_of_range(key: Scalar, node: Scalar, least: int, most: int) -> Diagnostic:
    return Diagnostic(
        "cluster-range", f"`{key.text}` is {shown(node.text)}, but goes from {least} to {most}",
        Label(node.span),
    )


def no_such_choice(key: Scalar, node: Scalar, words: Sequence[str]) -> Diagnostic:
    near = nearest(node.text, words)
    listed = " or ".join(f"`{word}`" for word in words)
    return Diagnostic(
        "cluster-choice", f"`{shown(node.text)}` is none of what `{key.text}` can be: {listed}",
        Label(node.span), help=f"did you mean `{near}`?" if near else None,
    )


def empty_list(key: Scalar, wanted: str) -> Diagnostic:
    return Diagnostic(
        "cluster-wrong-kind", f"`{shown(key.text)}` wants {wanted}, and has none", Label(key.span))


def duplicate_item(key: Scalar, at: Span, before: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-duplicate-key", f"`{shown(at.text)}` stands twice in `{key.text}`", Label(at),
        others=(Label(before, "first here"),),
    )


# --- what does not go together ----------------------------------------------------------------


def no_worker(at: Span, hosts: Iterable[str]) -> Diagnostic:
    only_ps = bool(list(hosts))
    return Diagnostic(
        "cluster-no-worker",
        "there are only ps tasks, and no worker that would compute gradients for them"
        if only_ps else "there is no worker", Label(at),
        help="give a host `roles: [worker]`, or both: `roles: [worker, ps]`",
    )


def count_without_role(at: Span, key: str, role: str) -> Diagnostic:
    return Diagnostic(
        "cluster-role", f"`{key}` counts tasks of the role {role}, which this host does not have",
        Label(at), help=f"add {role} to its `roles`, or remove `{key}`",
    )


def local_elsewhere(at: Span, address: str, start: Span) -> Diagnostic:
    others = (Label(start, "started as a child of flowc itself"),) if start != at else ()
    return Diagnostic(
        "cluster-start", f"a task on {address} cannot be started on this machine",
        Label(at), others=others,
        help="start: ssh, or start: none where somebody else starts it",
    )


def ssh_without_start(at: Span, start: str) -> Diagnostic:
    return Diagnostic(
        "cluster-start", f"`ssh` says how tasks are started, but this host has start: {start}",
        Label(at), help="start: ssh",
    )


def any_port(at: Span, start: str) -> Diagnostic:
    return Diagnostic(
        "cluster-address", f"port 0 lets the task choose its port, and with start: {start} "
        "nobody would learn which", Label(at), help="name the port, as 2222, or use start: local",
    )


def ports_end(at: Span, tasks: int, last: int) -> Diagnostic:
    return Diagnostic(
        "cluster-range", f"{tasks} tasks count up from this port to {last}, but ports end at 65535",
        Label(at),
    )


def too_many_tasks(at: Span, tasks: int, most: int) -> Diagnostic:
    return Diagnostic(
        "cluster-range", f"the hosts have {tasks:,} tasks together, but {most:,} are the most",
        Label(at),
    )


def same_address(at: Span, address: str, host: str, before: Span, first: str) -> Diagnostic:
    of = f"another task of `{host}`" if host == first else f"a task of `{first}`"
    return Diagnostic(
        "cluster-duplicate-address", f"{address} is the address of {of} already", Label(at),
        others=(Label(before, "first here"),) if before != at else (),
        notes=("the tasks of a host count up from the port of its address",),
    )


def exposed(at: Span, address: str, others: Sequence[Span], ways_out: str) -> Diagnostic:
    return Diagnostic(
        "cluster-insecure", f"other machines can reach {address}, and nothing says who may",
        Label(at), others=tuple(Label(other, "nor this one") for other in others), help=ways_out,
    )


TLS_OR_INSECURE = (
    "security: {tls: certs/} with certificates of `flowc cluster cert certs/`,\n"
    "or security: {insecure: true} on a network that you trust"
)
IN_A_CLUSTER_FILE = (
    "TF_CONFIG cannot say so: write a cluster file for these hosts, with\n"
    "security: {tls: certs/}, or use --insecure on a network that you trust"
)


def loopback_among_others(at: Span, address: str, other: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-unreachable", f"no other machine can reach {address}", Label(at),
        others=(Label(other, "this host is another machine"),),
        help="give the address that the other hosts connect to",
    )


def tls_and_insecure(tls: Span, insecure: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-security", "`insecure: true` would switch off what `tls` asks for",
        Label(insecure), others=(Label(tls, "asked for here"),), help="keep one of them",
    )


def on_hosts_without_tls(at: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-security", "`on_hosts` is where certificates lie, but there is no `tls`",
        Label(at), help="add tls: certs/",
    )


def no_certificates(at: Span, folder: str, missing: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        "cluster-security", f"the folder {folder} lacks {', '.join(missing)}", Label(at),
        help=f"make them: flowc cluster cert {shown(at.text)} --cluster {at.source.name}",
    )


def link_name(at: Span, text: str, hosts: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        "cluster-unknown-host", f"`{shown(text)}` is no pair of hosts", Label(at),
        notes=(f"the hosts are {', '.join(hosts[:12])}{' ...' * (len(hosts) > 12)}",),
        help=_pair_meant(text, hosts) or "a link is called by two hosts, as alpha-beta, or default",
    )


def _pair_meant(text: str, hosts: Sequence[str]) -> str | None:
    if nearest(text, ["default"]):
        return "did you mean `default`?"
    first, dash, second = text.partition("-")
    names = [name if name in hosts else nearest(name, hosts) for name in (first, second)]
    return f"did you mean `{names[0]}-{names[1]}`?" if dash and all(names) else None


def link_in_two_ways(at: Span, text: str, pairs: Sequence[tuple[str, str]]) -> Diagnostic:
    readings = " or ".join(f"`{a}` and `{b}`" for a, b in pairs)
    return Diagnostic(
        "cluster-unknown-host", f"`{shown(text)}` can mean {readings}", Label(at),
        help="give one of the hosts a name without `-`",
    )


def same_link(at: Span, a: str, b: str, before: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-duplicate-key", f"the link between `{a}` and `{b}` is given twice", Label(at),
        others=(Label(before, "first here"),), notes=("links are the same in both directions",),
    )


def sync_needs_no_ps(at: Span, ps: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-sync", "with all_reduce the workers update by themselves, and a ps has no work",
        Label(at), others=(Label(ps, "a ps"),), help="remove the role ps, or write sync: sync",
    )


def sync_needs_ps(at: Span, mode: str) -> Diagnostic:
    return Diagnostic(
        "cluster-sync", f"`{mode}` updates on a ps, and no host has that role", Label(at),
        help="give a host `roles: [worker, ps]`, or write sync: all_reduce",
    )


def too_many_backups(at: Span, backups: int, workers: int) -> Diagnostic:
    return Diagnostic(
        "cluster-sync", f"with {backups} of {workers} workers as backups nobody's gradients count",
        Label(at), help=f"backup({workers - 1}) at most" if workers > 1 else "sync: sync",
    )


# --- TF_CONFIG --------------------------------------------------------------------------------


def no_such_task(at: Span, kind: str, index: int, count: int) -> Diagnostic:
    return Diagnostic(
        "cluster-task", f"this process is to be {kind} {index}, but `cluster` has {count} of them",
        Label(at), help="they are numbered from 0" if count else None,
    )


def more_than_one_chief(at: Span) -> Diagnostic:
    return Diagnostic("cluster-task", "there can be only one chief", Label(at))


def task_missing(at: Span) -> Diagnostic:
    return Diagnostic(
        "cluster-missing-key", "`task` needs `type` and `index`", Label(at),
        help='"task": {"type": "worker", "index": 0}',
    )
