"""Threads that share machine code: the same bits in whatever company, and an end to all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import active_count

import numpy as np
import pytest
from programs import outputs_of, plan_of

from flowc_runtime.device import ExecutionError
from flowc_runtime.executor import Session

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from native_runs import assert_same_bits, run_on, share_all, some_steps

from flowc_runtime import kept
from flowc_runtime.native import NativeDevice, device
from flowc_runtime.native.pool import Pool

TESTS = Path(__file__).parents[1]
SCRIPT = """
import os, threading
import numpy as np
from native_runs import assert_same_bits, run_on, some_steps
from programs import outputs_of, plan_of
from flowc_runtime.executor import Session
from flowc_runtime.native import NativeDevice, shares
shares.WORTH_NANOSECONDS = shares.LEAST_NANOSECONDS = 0
graph, inputs = some_steps()
alone = run_on(1, graph, inputs)
sessions = [Session(plan_of(graph, "step"), 3, NativeDevice()) for _ in range(2)]
def check(session):
    assert_same_bits(outputs_of(session, graph, inputs, {}), alone)
for session in sessions:
    check(session)
"""


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path)
    share_all(monkeypatch)


def run_script(end: str, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT + end], env=environment,
        capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_more_threads_than_cores_or_pieces() -> None:
    graph, inputs = some_steps()
    alone = run_on(1, graph, inputs)
    for threads in (5, 120):
        assert_same_bits(run_on(threads, graph, inputs), alone)


def test_sessions_come_and_go_and_threads_stay() -> None:
    graph, inputs = some_steps()
    alone = run_on(3, graph, inputs)
    before = active_count()
    for _ in range(30):
        assert_same_bits(run_on(3, graph, inputs), alone)
    assert active_count() == before


def test_who_finds_the_threads_led_by_another_goes_on_alone() -> None:
    graph, inputs = some_steps()
    alone = run_on(1, graph, inputs)
    sessions = [Session(plan_of(graph, "step"), 2, NativeDevice()) for _ in range(4)]

    def run(session: Session) -> None:
        for _ in range(50):
            assert_same_bits(outputs_of(session, graph, inputs, {}), alone)

    with ThreadPoolExecutor(len(sessions)) as pool:
        list(pool.map(run, sessions))


def test_a_step_that_is_refused_leaves_all_as_it_was() -> None:
    graph, inputs = some_steps()
    session = Session(plan_of(graph, "step"), 3, NativeDevice())
    wanted = outputs_of(session, graph, inputs, {})
    with pytest.raises(ExecutionError, match="index 96"):
        outputs_of(session, graph, {**inputs, "i": np.full(5, 96, np.int32)}, {})
    assert_same_bits(outputs_of(session, graph, inputs, {}), wanted)


def test_threads_end_when_they_are_told_and_steps_go_on_without(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, inputs = some_steps()
    alone, before = run_on(1, graph, inputs), active_count()
    pool = Pool(4)
    monkeypatch.setattr(device, "pool_of", lambda threads: pool)
    assert_same_bits(run_on(4, graph, inputs), alone)
    assert active_count() == before + 3
    pool.end()
    assert active_count() == before
    assert_same_bits(run_on(4, graph, inputs), alone)


def test_a_process_ends_with_its_threads(tmp_path: Path) -> None:
    run_script("", tmp_path)


def test_a_process_ends_while_another_thread_computes(tmp_path: Path) -> None:
    run_script("""
began = threading.Event()
def go_on():
    while True:
        check(sessions[0])
        began.set()
threading.Thread(target=go_on, daemon=True).start()
began.wait()
""", tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_has_threads_of_its_own(tmp_path: Path) -> None:
    run_script("""
child = os.fork()
if child == 0:
    before = threading.active_count()
    check(sessions[0])
    assert threading.active_count() == before + 2
    raise SystemExit
assert os.waitpid(child, 0)[1] == 0
check(sessions[0])
""", tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_another_thread_leads(tmp_path: Path) -> None:
    run_script("""
def go_on():
    while not done.is_set():
        check(sessions[0])
done = threading.Event()
other = threading.Thread(target=go_on)
other.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        check(sessions[1])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
done.set()
other.join()
""", tmp_path)
