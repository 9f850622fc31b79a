"""Cluster files: wrong ones with what is said about them, and what sound ones come to.

In `tests/hosts/*.yaml` comments announce the messages, as in the error tour:

    # error: [code] "part of the message"     on the line of the main label
    # label: "part of the text"               on the line of another label
    # help: "part of the help"                anywhere below the error that it belongs to
"""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from mutate import mutated

from flowc.cluster import (
    Cluster,
    Link,
    Security,
    Ssh,
    WrongCluster,
    local,
    read_cluster,
    read_cluster_file,
    read_tf_config,
)
from flowc.cluster.cluster import BETWEEN_HOSTS, WITHIN_HOST
from flowc.cluster.measured import links_from, with_links
from flowc.cluster.schema import published, schema, schema_text
from flowc.cluster.tree import MAX_BYTES
from flowc.diagnostic import MAX_REPORTED, Diagnostic, Sink
from flowc.explain import explanations
from flowc.lower import place
from flowc.render import render_text
from flowc.source import Source
from flowc_runtime.cluster.plan import Sync, TaskName

HOSTS = Path(__file__).parent / "hosts"
FILES = sorted(HOSTS.glob("*.yaml"))
ERROR = re.compile(r'# error: \[([\w-]+)\] "([^"]*)"')
LABEL = re.compile(r'# label: "([^"]*)"')
HELP = re.compile(r'# help: "([^"]*)"')
MUTATIONS = 500
MOST_LINES = 16  # of one rendered message
MOST_SECONDS = 5.0  # to judge a hostile file, on a slow machine


def diagnostics(
    text: str, folder: Path | None = None, name: str = "hosts.yaml"
) -> list[Diagnostic]:
    sink = Sink()
    with pytest.raises(WrongCluster):
        read_cluster(Source(name, text, folder), sink)
    return sink.diagnostics


def read(text: str) -> Cluster:
    sink = Sink()
    try:
        return read_cluster(Source("hosts.yaml", text), sink)
    except WrongCluster:
        raise AssertionError(render_text(sink.diagnostics)) from None


def found_in(path: Path) -> list[Diagnostic]:
    return diagnostics(path.read_text(), HOSTS, path.name)


def code_of(text: str) -> list[str]:
    return [d.code for d in diagnostics(text)]


# --- wrong files ------------------------------------------------------------------------------


def test_there_are_more_than_twenty_five_wrong_files() -> None:
    assert len(FILES) >= 50


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_wrong_file_gets_just_the_messages_that_its_comments_announce(path: Path) -> None:
    lines = enumerate(path.read_text().split("\n"), 1)
    wanted = [(n, code, part) for n, line in lines for code, part in ERROR.findall(line)]
    assert wanted
    for found in found_in(path):
        assert found.label is not None
        here = (found.label.span.line, found.code)
        fitting = [w for w in wanted if w[:2] == here and w[2] in found.message]
        assert fitting, f"{here}: {found.message}"
        wanted.remove(fitting[0])
    assert wanted == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_other_place_is_where_the_comments_say(path: Path) -> None:
    shown = {(o.span.line, o.text) for d in found_in(path) for o in d.others}
    lines = enumerate(path.read_text().split("\n"), 1)
    assert shown == {(n, text) for n, line in lines for text in LABEL.findall(line)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_help_is_what_the_comments_say(path: Path) -> None:
    helps = "\n".join(d.help or "" for d in found_in(path))
    for part in HELP.findall(path.read_text()):
        assert part in helps


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_message_is_short_and_shows_a_line_of_the_file(path: Path) -> None:
    for found in found_in(path):
        text = render_text([found])
        assert len(text.splitlines()) <= MOST_LINES
        assert f"--> {path.name}:" in text


def test_every_code_is_explained() -> None:
    codes = {d.code for path in FILES for d in found_in(path)}
    assert codes <= explanations().keys()


def test_a_message_looks_like_those_about_models() -> None:
    [found] = diagnostics("hosts:\n  alpha: {address: 127.0.0.1:2222, wokers: 2}\n")
    assert render_text([found]) == (
        "error[cluster-unknown-key]: a host has no key `wokers`\n"
        " --> hosts.yaml:2:36\n"
        "  |\n"
        "2 |   alpha: {address: 127.0.0.1:2222, wokers: 2}\n"
        "  |                                    ^^^^^^\n"
        "  = note: it has address, roles, workers, ps, devices, start, ssh\n"
        "  = help: did you mean `workers`?\n"
        "    (flowc explain cluster-unknown-key)"
    )


def test_messages_come_in_the_order_of_the_file_and_not_without_end() -> None:
    hosts = "\n".join(f"  h{n}: {{address: 127.0.0.1:x}}" for n in range(100))
    found = diagnostics(f"hosts:\n{hosts}\n")
    lines = [d.label.span.line for d in found if d.label]
    assert lines == sorted(lines) and len(lines) == MAX_REPORTED


HOSTILE = {
    "too many keys": ("hosts: {" + ", ".join(f"h{n}: 1" for n in range(6000)) + "}", "too-large"),
    "too long": ("#" * (MAX_BYTES + 1), "too-large"),
    "brackets": ("[" * 100_000, "too-deep"),
    "dashes": ("- " * 100_000, "too-deep"),
    "braces": ("{" * 100_000, "too-deep"),
    "a bomb of aliases": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "cluster-feature"),
    "an unknown alias": ("hosts: *x\n", "cluster-feature"),
    "a zero byte": ("hosts:\x00", "cluster-syntax"),
    "a control character": ("hosts: \x07", "cluster-syntax"),
    "an unknown directive": ("%TAG ! tag:x,2000:\n---\nhosts: !y 1\n", "cluster-feature"),
    "many hosts and bad links": (
        "hosts:\n" + "".join(f"  h{n}: {{address: 127.0.0.1:{n + 1}}}\n" for n in range(800))
        + "links:\n" + "".join(f"  h{n}-x{n}: {{latency: 1 ms}}\n" for n in range(800)),
        "cluster-unknown-host"),
    "many hosts that others reach": (
        "hosts:\n" + "".join(f"  h{n}: {{address: 10.1.1.1:{n + 1}}}\n" for n in range(2000)),
        "cluster-insecure"),
    "many unknown keys": ("".join(f"hosst{n}: 1\n" for n in range(4900)), "cluster-unknown-key"),
    "a long number": ("hosts: {a: {address: 127.0.0.1:1, workers: " + "9" * 5000 + "}}",
                      "cluster-wrong-kind"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_texts_end_soon_in_a_message(what: str) -> None:
    text, code = HOSTILE[what]
    begun = time.process_time()
    assert set(code_of(text)) == {code}
    assert time.process_time() - begun < MOST_SECONDS


def test_broken_files_end_in_located_messages() -> None:
    rng = random.Random(3)
    texts = [TWO, COMMENTED, *(path.read_text() for path in FILES)]
    for _ in range(MUTATIONS):
        text = mutated(rng, rng.choice(texts), texts)
        sink = Sink()
        try:
            assert read_cluster(Source("hosts.yaml", text), sink).tasks
        except WrongCluster:
            assert sink.errors and all(d.label is not None for d in sink.errors), text
            render_text(sink.diagnostics)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yaml"
    path.write_bytes(b"hosts:\n  b\xe4ta: 1\n")
    sink = Sink()
    with pytest.raises(WrongCluster):
        read_cluster_file(path, sink)
    [found] = sink.diagnostics
    assert (found.code, found.label and found.label.span.line) == ("not-utf8", 2)


# --- sound files ------------------------------------------------------------------------------

TWO = """
hosts:
  alpha:
    address: 10.0.0.1:2222
    workers: 2
    devices: {cpu:0: {cores: 4, memory: 8 GiB}, gpu:0: {memory: 24 GB}}
  beta: {address: 10.0.0.2:2222, roles: [worker, ps], start: ssh, ssh: {to: me@beta}}
links:
  default: {latency: 100 us}
  beta-alpha: {bandwidth: 1 Gbit/s}
security: {insecure: true}
"""


def test_tasks_are_the_workers_and_then_the_ps_and_ports_count_up() -> None:
    tasks = read(TWO).tasks
    assert [(str(t.name), t.host, t.address) for t in tasks] == [
        ("worker:0", "alpha", "10.0.0.1:2222"),
        ("worker:1", "alpha", "10.0.0.1:2223"),
        ("worker:2", "beta", "10.0.0.2:2222"),
        ("ps:0", "beta", "10.0.0.2:2223"),
    ]


def test_a_task_knows_what_its_host_has_and_how_it_is_started() -> None:
    first, *_, last = read(TWO).tasks
    assert (first.cores, first.memory_bytes, first.start, first.ssh) == (4, 8 << 30, "none", None)
    assert (last.start, last.ssh) == ("ssh", Ssh("me@beta", "flowc"))


def test_devices_keep_their_own_memory() -> None:
    gpu = next(d for d in read(TWO).host("alpha").devices if d.name == "gpu:0")
    assert (gpu.cores, gpu.memory_bytes) == (0, 24_000_000_000)


def test_a_link_is_the_same_in_both_directions_and_takes_the_rest_from_default() -> None:
    cluster = read(TWO)
    assert cluster.link("alpha", "beta") == cluster.link("beta", "alpha") == Link(125e6, 100e-6)
    assert cluster.link("alpha", "alpha") == WITHIN_HOST


def test_links_have_stated_defaults() -> None:
    cluster = read("hosts: {a: {address: 127.0.0.1:1}, b: {address: 127.0.0.1:2}}")
    assert cluster.link("a", "b") == BETWEEN_HOSTS == Link(1e9, 200e-6)
    assert cluster.link("a", "a") == Link(8e9, 20e-6)


def test_loopback_hosts_are_started_here_and_others_by_somebody() -> None:
    assert read("hosts: {a: {address: 'localhost:1'}}").tasks[0].start == "local"
    assert read(TWO).tasks[0].start == "none"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.8.8.8:1", "localhost:1", "'[::1]:1'"])
def test_loopback_addresses_need_no_security(address: str) -> None:
    assert read(f"hosts: {{a: {{address: {address}}}}}").loopback_only


def test_a_cluster_that_others_can_reach_says_so() -> None:
    cluster = read(TWO)
    assert not cluster.loopback_only and cluster.security == Security(insecure=True)


def test_tls_is_a_folder_next_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / "certs" / name).touch()
    path = tmp_path / "hosts.yaml"
    path.write_text("hosts: {a: {address: 10.0.0.1:2}}\nsecurity: {tls: certs, on_hosts: keys}\n")
    security = read_cluster_file(path, Sink()).security
    assert security == Security(tmp_path / "certs", "keys")


@pytest.mark.parametrize("text, sync", [
    ("sync", Sync("sync")), ("backup", Sync("backup", backups=1)),
    ("backup(backups = 2)", Sync("backup", backups=2)),
    ("async", Sync("async", max_staleness=4)), ("async(0)", Sync("async", max_staleness=0)),
])  # fmt: skip
def test_sync_is_written_as_in_the_model(text: str, sync: Sync) -> None:
    roles = "roles: [worker, ps], workers: 3"
    assert read(f"hosts: {{a: {{address: 127.0.0.1:1, {roles}}}}}\nsync: {text}\n").sync == sync


def test_sync_means_the_same_as_in_the_model() -> None:
    from flowc.cluster import sections

    assert sections.SYNC_NUMBERS == place.SYNC_NUMBERS and sections.SYNCS == place.SYNCS


def test_local_workers_choose_their_ports() -> None:
    cluster = local(2, 1)
    assert [(str(t.name), t.address, t.start) for t in cluster.tasks] == [
        ("worker:0", "127.0.0.1:0", "local"), ("worker:1", "127.0.0.1:0", "local"),
        ("ps:0", "127.0.0.1:0", "local"),
    ]  # fmt: skip
    assert cluster.loopback_only and cluster.tasks[0].cores >= 1


# --- TF_CONFIG --------------------------------------------------------------------------------


def tf_codes(text: str) -> list[tuple[str, int]]:
    sink = Sink()
    with pytest.raises(WrongCluster):
        read_tf_config(text, sink, Security(insecure=True))
    return [(d.code, d.label.span.column) for d in sink.diagnostics if d.label]


def test_tf_config_gives_the_same_cluster() -> None:
    text = json.dumps({
        "cluster": {"chief": ["c:1"], "worker": ["a:2222", "a:2223", "b:2222"], "ps": ["b:2223"]},
        "task": {"type": "worker", "index": 2},
    }, indent="\t")  # fmt: skip
    config = read_tf_config(text, Sink(), Security(insecure=True))
    assert config.task == TaskName("worker", 2)
    assert [(str(t.name), t.host, t.address, t.start) for t in config.cluster.tasks] == [
        ("worker:0", "a", "a:2222", "none"), ("worker:1", "a", "a:2223", "none"),
        ("worker:2", "b", "b:2222", "none"), ("ps:0", "b", "b:2223", "none"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["chief", "evaluator"])
def test_chief_and_evaluator_compute_nothing(kind: str) -> None:
    task = {"type": kind, "index": 0}
    text = json.dumps({"cluster": {"chief": ["c:1"], "worker": ["a:2"]}, "task": task})
    assert read_tf_config(text, Sink(), Security(insecure=True)).task is None


def test_tf_config_can_leave_out_the_task() -> None:
    config = read_tf_config('{"cluster": {"worker": ["127.0.0.1:2"]}}', Sink())
    assert config.task is None and config.cluster.loopback_only


@pytest.mark.parametrize("text, code, column", [
    ('{"cluster": {"worker": ["a:2"]', "cluster-syntax", 31),
    ('["a:2"]', "cluster-wrong-kind", 1),
    ('{"cluster": {"worker": ["a"]}}', "cluster-address", 25),
    ('{"cluster": {"wroker": ["a:1"], "worker": ["a:2"]}}', "cluster-unknown-key", 14),
    ('{"cluster": {"ps": ["a:2"]}}', "cluster-missing-key", 2),
    ('{"cluster": {"worker": ["a:2", "a:2"]}}', "cluster-duplicate-key", 32),
    ('{"cluster": {"worker": ["a:2"], "ps": ["a:2"]}}', "cluster-duplicate-address", 33),
    ('{"cluster": {"worker": ["a:2"], "chief": ["a:3", "a:4"]}}', "cluster-task", 33),
    ('{"cluster": {"worker": ["a:2"]}, "task": {"type": "worker", "index": 1}}',
     "cluster-task", 70),
    ('{"cluster": {"worker": ["a:2"]}, "task": {"type": "master", "index": 0}}',
     "cluster-choice", 51),
    ('{"cluster": {"worker": ["a:2"]}, "task": {"type": "worker", "index": "0"}}',
     "cluster-wrong-kind", 70),
    ('{"cluster": {"worker": ["a:2"]}, "task": {"type": "worker"}}', "cluster-missing-key", 34),
    ("", "cluster-missing-key", 1),
])  # fmt: skip
def test_a_wrong_tf_config_is_told_at_its_place(text: str, code: str, column: int) -> None:
    assert tf_codes(text) == [(code, column)]


def test_tf_config_says_nothing_of_security_so_something_else_must() -> None:
    sink = Sink()
    with pytest.raises(WrongCluster):
        read_tf_config('{"cluster": {"worker": ["10.0.0.1:2"]}}', sink)
    [found] = sink.diagnostics
    assert found.code == "cluster-insecure"
    assert all(way in (found.help or "") for way in ("a cluster file", "--insecure"))


# --- the schema for editors -------------------------------------------------------------------


def loaded(text: str) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def test_the_published_schema_is_that_of_the_reader() -> None:
    assert published() == schema_text(), "flowc.cluster.schema.schema_text() has another text"
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", [TWO, "hosts: {a: {address: 127.0.0.1:1, roles: ps}}"])
def test_the_schema_takes_what_the_reader_takes(text: str) -> None:
    Draft202012Validator(schema()).validate(loaded(text))


STRUCTURAL = ("cluster-unknown-key", "cluster-missing-key", "cluster-wrong-kind", "cluster-unit",
              "cluster-name", "cluster-range")  # fmt: skip
BEYOND_SCHEMA = (  # what only the reader sees: ranges of quantities, and values that do not fit
    "empty", "device_gpu_with_cores", "memory_too_little", "ports_beyond_the_end", "ssh_option",
    "sync_number", "feature_merge", "too_many_tasks",
)  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_schema_refuses_wrong_structure_and_an_editor_shows_it(path: Path) -> None:
    if path.stem in BEYOND_SCHEMA or not {d.code for d in found_in(path)} & set(STRUCTURAL):
        return
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate(loaded(path.read_text()))


# --- measured links ---------------------------------------------------------------------------

COMMENTED = """\
# our two machines
hosts:
    alpha: {address: 10.0.0.1:2222}   # under the desk
    beta:
        address: 10.0.0.2:2222
        roles:
          - worker   # the faster one
security: {insecure: true}
"""


def test_measured_links_are_stored_and_nothing_else_changes() -> None:
    text = with_links(COMMENTED, {("alpha", "beta"): Link(1.17e9, 143e-6)})
    kept, links = text[: len(COMMENTED)], text[len(COMMENTED) :]
    assert kept == COMMENTED
    assert links == "links:\n    alpha-beta: {bandwidth: 1.17 GB/s, latency: 143 us}\n"
    assert read(text).link("beta", "alpha") == Link(1.17e9, 143e-6)


def test_a_link_that_is_there_is_put_right_under_its_own_name() -> None:
    text = COMMENTED + "links:\n    beta-alpha: {latency: 1 ms}  # a guess\n"
    changed = with_links(text, {("alpha", "beta"): Link(2e9, 50e-6)})
    assert "beta-alpha: {latency: 50 us, bandwidth: 2 GB/s} # a guess" in changed
    assert read(changed).link("alpha", "beta") == Link(2e9, 50e-6)


def test_a_machine_outside_of_the_cluster_measures_the_default() -> None:
    measured = {"alpha": Link(1e9, 1e-4), "beta": Link(3e9, 3e-4), "gamma": Link(2e9, 2e-4)}
    assert links_from(None, measured) == {("default", ""): Link(2e9, 2e-4)}
    assert set(links_from("beta", measured)) == {("beta", "alpha"), ("beta", "gamma")}


# --- the reference ----------------------------------------------------------------------------

REFERENCE = Path(__file__).parent.parent / "docs" / "reference" / "cluster-file.md"


def test_the_example_of_the_reference_is_sound() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```", REFERENCE.read_text(), re.M | re.S)
    cluster = read(example)
    Draft202012Validator(schema()).validate(loaded(example))
    assert [t.address for t in cluster.tasks] == [
        "10.0.0.1:2222", "10.0.0.1:2223", "beta.lan:2222", "beta.lan:2223"]  # fmt: skip


def test_the_tf_config_of_the_reference_is_sound() -> None:
    [example] = re.findall(r"^```json\n(.*?)^```", REFERENCE.read_text(), re.M | re.S)
    config = read_tf_config(example, Sink(), Security(insecure=True))
    assert config.task == TaskName("worker", 1)
