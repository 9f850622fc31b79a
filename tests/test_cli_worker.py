"""`flowc worker`: where it listens, and when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

from flowc_runtime.cluster.control.client import probe

WORKER = (sys.executable, "-m", "flowc.cli", "worker", "--listen", "127.0.0.1:0")
SECONDS = 10.0


def started(*options: str) -> tuple[subprocess.Popen[str], str]:
    """A worker, and the address that it says."""
    process = subprocess.Popen(
        [*WORKER, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)  # fmt: skip
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[:4] == ["flowc", "worker", "listens", "at"]
    return process, words[4]


def test_a_worker_beyond_loopback_wants_certificates() -> None:
    result = run("worker", "--listen", "0.0.0.0:0")
    assert result.exit_code == 78
    assert "error[listen-insecure]: 0.0.0.0:0 can be reached from other machines" in result.stderr


def test_a_worker_without_the_files_of_its_certificates_names_them(tmp_path: Path) -> None:
    result = run("worker", "--listen", "127.0.0.1:0", "--tls", tmp_path)
    assert result.exit_code == 66
    assert "key.pem: no such file" in result.stderr


def test_a_worker_answers_at_the_address_that_it_says() -> None:
    process, address = started()
    with process:
        assert probe(address, None, SECONDS).pid == process.pid
        process.kill()


def test_a_worker_of_a_program_ends_when_that_does() -> None:
    process, _ = started("--until-eof")
    _, errors = process.communicate(timeout=SECONDS)  # closes its input
    assert process.returncode == 69
    assert errors == "flowc worker ends: whoever started it is gone\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_worker(number: int) -> None:
    process, _ = started()
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    assert process.returncode in (130, -signal.SIGTERM)
