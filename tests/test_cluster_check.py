"""`flowc cluster check`: what it says of hosts that cannot be used, and what it measures."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from flowc.cluster import Link, Ssh, TaskSpec, read_cluster
from flowc.cluster.certificates import make
from flowc.cluster.probe import (
    Finding,
    by_network,
    by_ssh,
    examine,
    here,
    is_here,
    latency,
    links_by_host,
    reason,
    with_bandwidth,
)
from flowc.diagnostic import Sink
from flowc.source import Source
from flowc_runtime.cluster.control.credentials import load_credentials
from flowc_runtime.cluster.control.server import ControlService, start_server
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.measure import measure_handler
from flowc_runtime.cluster.messages import Welcome

FILE = """\
# mine
hosts:
  alpha: {address: 127.0.0.1:PORT, start: none}
"""


@contextmanager
def listening(backlog: int = 16) -> Iterator[str]:
    """An address at which something takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(backlog)
        yield f"127.0.0.1:{server.getsockname()[1]}"


def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{server.getsockname()[1]}"


def task(address: str = "127.0.0.1:2222", ssh: Ssh | None = None) -> TaskSpec:
    text = "hosts: {alpha: {address: 127.0.0.1:2222, start: none}}"
    spec = read_cluster(Source("hosts.yaml", text), Sink()).tasks[0]
    return replace(spec, address=address, ssh=ssh)


class Talker:
    """A task's end that answers at once, with a clock that is ahead by some seconds."""

    def __init__(self, ahead: float = 0.0, why: ClusterError | None = None):
        self.ahead, self.why = ahead, why

    def greet(self, address: str, seconds: float) -> Welcome:
        if self.why is not None:
            raise self.why
        return Welcome(1, "0.1.0", "alpha", 7, 4, 8 << 30, time.time() + self.ahead, "")

    def bandwidth(self, address: str, seconds: float) -> float | None:
        return 2e9


# --- the network ------------------------------------------------------------------------------


def test_where_nothing_listens_the_host_refuses_and_the_help_says_how_to_start_a_task() -> None:
    address = nobody()
    with pytest.raises(ClusterError) as refused:
        latency(address, 1.0)
    assert refused.value.code == "host-refused"
    assert refused.value.help == f"start it there: flowc worker --listen {address}"


def test_a_name_that_nobody_knows_does_not_resolve() -> None:
    with pytest.raises(ClusterError) as refused:
        latency("no-such-host.invalid:2222", 1.0)
    assert refused.value.code == "host-unknown"


def test_a_host_that_takes_no_connection_in_time_is_unreachable() -> None:
    with listening(backlog=0) as address, socket.socket() as first, socket.socket() as second:
        host, _, port = address.partition(":")
        for full in (first, second):  # the queue of the listener is full now
            full.setblocking(False)
            full.connect_ex((host, int(port)))
        with pytest.raises(ClusterError) as refused:
            latency(address, 0.2)
    assert refused.value.code == "host-unreachable"
    assert "no answer in 0.2 s" in refused.value.message


def test_connecting_measures_the_latency() -> None:
    with listening() as address:
        assert 0 < latency(address, 1.0) < 0.5


def test_a_task_that_answers_is_measured() -> None:
    with listening() as address:
        [found] = examine([task(address)], by_network(Talker(ahead=30)), 1.0)
    assert found.problem is None and found.answer is not None
    assert found.skew_s == pytest.approx(30, abs=1)


def test_one_task_of_each_host_tells_the_bandwidth() -> None:
    answer = Talker().greet("", 1.0)
    found = [Finding(task(), None, answer), Finding(task(), None, answer)]
    assert [f.bandwidth for f in with_bandwidth(found, Talker(), 1.0)] == [2e9, None]


@pytest.mark.parametrize("code", ["host-unauthenticated", "host-not-flowc", "host-other-version"])
def test_what_the_conversation_finds_wrong_is_kept_apart(code: str) -> None:
    with listening() as address:
        [found] = examine([task(address)], by_network(Talker(why=ClusterError(code, "no"))), 1.0)
    assert found.problem is not None and found.problem.code == code


def test_tasks_are_asked_at_the_same_time_and_told_in_their_order() -> None:
    with listening() as there:
        found = examine([task(nobody()), task(there)], by_network(Talker()), 1.0)
    assert [f.problem and f.problem.code for f in found] == ["host-refused", None]


def test_children_of_this_machine_need_no_asking() -> None:
    assert here(task(), 1.0).problem is None


def test_an_address_of_this_machine_is_known_as_such() -> None:
    assert is_here("127.0.0.1:2222") and not is_here("192.0.2.1:2222")


def test_the_better_figures_of_a_hosts_tasks_count() -> None:
    one, two = Finding(task(), None, None, 2e-4, 1e9), Finding(task(), None, None, 1e-4, 5e8)
    assert links_by_host([one, two, Finding(task())]) == {"alpha": Link(1e9, 1e-4)}


def test_several_different_reasons_come_to_unreachable() -> None:
    refused = Finding(task(), ClusterError("host-refused", ""))
    unknown = Finding(task(), ClusterError("host-unknown", ""))
    assert (reason([]), reason([refused, refused])) == (None, "host-refused")
    assert reason([refused, unknown]) == "host-unreachable"


# --- ssh --------------------------------------------------------------------------------------


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[object]:
    """Makes a script that stands in for ssh: writes its arguments, then does as told."""

    def make(script: str) -> tuple[str, ...]:
        path = tmp_path / "ssh"
        path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return (str(path), "-o", "BatchMode=yes")

    yield make


@pytest.mark.parametrize("script, code", [
    ("echo flowc 0.1.0", None),
    ("echo flowc 0.0.9", "host-other-version"),
    ("echo sh: flowc: not found >&2; exit 127", "host-not-flowc"),
    ("echo Permission denied '(publickey)' >&2; exit 255", "host-unauthenticated"),
    ("echo Host key verification failed. >&2; exit 255", "host-unauthenticated"),
    ("echo ssh: Could not resolve hostname x >&2; exit 255", "host-unknown"),
    ("echo ssh: connect to host x port 22: Connection refused >&2; exit 255", "host-refused"),
    ("echo ssh: connect to host x port 22: Connection timed out >&2; exit 255",
     "host-unreachable"),
])  # fmt: skip
def test_ssh_tells_the_same_reasons(stand_in: object, script: str, code: str | None) -> None:
    reach = by_ssh("0.1.0", stand_in(script))  # type: ignore[operator]
    found = reach(task(ssh=Ssh("me@alpha", "flowc")), 5.0)
    assert (found.problem and found.problem.code) == code


def test_ssh_goes_where_the_file_says_and_never_asks(stand_in: object, tmp_path: Path) -> None:
    by_ssh("0.1.0", stand_in("echo flowc 0.1.0"))(  # type: ignore[operator]
        task(ssh=Ssh("me@alpha", "~/bin/flowc")), 5.0)
    assert (tmp_path / "arguments").read_text() == (
        "-o BatchMode=yes -o ConnectTimeout=5 -- me@alpha ~/bin/flowc --version\n")  # fmt: skip


def test_an_ssh_that_hangs_is_given_up(stand_in: object) -> None:
    found = by_ssh("0.1.0", stand_in("exec sleep 60"))(task(), 0.1)  # type: ignore[operator]
    assert found.problem is not None and found.problem.code == "host-unreachable"


# --- real tasks' servers --------------------------------------------------------------------


@contextmanager
def serving(folder: Path | None = None) -> Iterator[str]:
    """A task's server, with the certificates of a folder, and its address."""
    credentials = load_credentials(folder) if folder else None
    handlers = (ControlService().handler(), measure_handler())
    server, port = start_server("127.0.0.1:0", credentials, handlers)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def checked(folder: Path, address: str, more: str = "", *options: str) -> dict[str, Any]:
    """What `flowc cluster check --json` says of the one task at an address, with the exit code."""
    text = FILE.replace("127.0.0.1:PORT", address) + more
    result = run("cluster", "check", written(folder, text), "--json", "--timeout", "5", *options)
    [facts] = json.loads(result.stdout)["tasks"]
    return {**facts, "exit": result.exit_code}


def test_a_task_that_listens_is_ok_and_measured(tmp_path: Path) -> None:
    with serving() as address:
        facts = checked(tmp_path, address)
    assert (facts["ok"], facts["exit"]) == (True, 0)
    assert facts["bandwidth_bytes_per_s"] > 1e6 and facts["latency_s"] < 0.5
    assert abs(facts["skew_s"]) < 1 and facts["cores"] >= 1


def test_a_task_with_our_certificates_is_ok(tmp_path: Path) -> None:
    make(tmp_path / "certs", [])
    with serving(tmp_path / "certs") as address:
        facts = checked(tmp_path, address, "security: {tls: certs}\n")
    assert (facts["ok"], facts["exit"]) == (True, 0) and facts["bandwidth_bytes_per_s"] > 1e6


@pytest.mark.parametrize("there, more", [
    ("theirs", "security: {tls: ours}\n"), ("theirs", ""), (None, "security: {tls: ours}\n"),
])  # fmt: skip
def test_a_task_that_does_not_trust_us_is_told_apart_from_one_that_is_down(
    tmp_path: Path, there: str | None, more: str
) -> None:
    for name in ("ours", "theirs"):
        make(tmp_path / name, [])
    with serving(tmp_path / there if there else None) as address:
        facts = checked(tmp_path, address, more)
    assert (facts["code"], facts["exit"]) == ("host-unauthenticated", 77)


def test_a_server_that_is_no_task_is_told(tmp_path: Path) -> None:
    server, port = start_server("127.0.0.1:0", None, (measure_handler(),))
    facts = checked(tmp_path, f"127.0.0.1:{port}")
    server.stop(None).wait()
    assert (facts["code"], facts["exit"]) == ("host-not-flowc", 76)


def test_what_was_measured_is_written_between_the_comments(tmp_path: Path) -> None:
    with serving() as one, serving() as two:
        text = f"{FILE.replace('127.0.0.1:PORT', one)}  beta: {{address: {two}, start: none}}\n"
        file = written(tmp_path, text)
        result = run("cluster", "check", file, "--write")
    assert result.exit_code == 0 and "alpha-beta" in result.stderr
    assert file.read_text().startswith(text + "links:\n  alpha-beta: {bandwidth: ")


# --- the command ------------------------------------------------------------------------------


def written(folder: Path, text: str) -> Path:
    path = folder / "hosts.yaml"
    path.write_text(text)
    return path


def test_a_wrong_file_ends_with_78_and_its_messages(tmp_path: Path) -> None:
    result = run("cluster", "check", written(tmp_path, "hosts: {a: {adress: 127.0.0.1:1}}\n"))
    assert result.exit_code == 78 and result.stdout == ""
    assert "error[cluster-unknown-key]" in result.stderr


def test_a_missing_file_ends_with_66(tmp_path: Path) -> None:
    assert run("cluster", "check", tmp_path / "hosts.yaml").exit_code == 66


def test_offline_the_hosts_stand_in_a_table(tmp_path: Path) -> None:
    text = "hosts: {alpha: {address: 127.0.0.1:2222, roles: [worker, ps], workers: 2," \
           " devices: {cpu:0: {cores: 4, memory: 8 GiB}}}}\n"  # fmt: skip
    result = run("cluster", "check", written(tmp_path, text), "--offline")
    assert result.exit_code == 0 and result.stdout.splitlines() == [
        "host   address         roles            start  memory  cores",
        "alpha  127.0.0.1:2222  2 workers, 1 ps  local  8 GiB   4",
    ]


def test_a_host_where_nothing_listens_ends_with_69_and_a_way_out(tmp_path: Path) -> None:
    address = nobody()
    file = written(tmp_path, FILE.replace("127.0.0.1:PORT", address))
    result = run("cluster", "check", file, "--timeout", "1")
    assert result.exit_code == 69
    assert "error[host-refused]: worker:0 of alpha" in result.stderr
    assert f"flowc worker --listen {address}" in result.stderr


def test_json_has_a_schema_and_says_which_task_is_not_usable(tmp_path: Path) -> None:
    file = written(tmp_path, FILE.replace("127.0.0.1:PORT", nobody()))
    result = run("cluster", "check", file, "--json", "--timeout", "1")
    facts = json.loads(result.stdout)
    assert facts["schema"] == "flowc.cluster-check/1" and facts["ok"] is False
    assert [t["code"] for t in facts["tasks"]] == ["host-refused"]
    assert facts["hosts"][0]["name"] == "alpha"


def test_the_schema_command_prints_the_published_schema() -> None:
    from flowc.cluster.schema import published

    result = run("cluster", "schema")
    assert result.exit_code == 0 and result.stdout == published()
