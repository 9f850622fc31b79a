"""Waiting for what another process brings: nothing that came is slept through."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from flowc_runtime.cluster.transport.bell import Bell, sleep
from flowc_runtime.cluster.transport.segment import attach, create
from flowc_runtime.cluster.transport.waiting import wait_until

LONG_SECONDS = 60.0  # a sleep that nobody ends runs into the suite's timeout


def test_who_sleeps_is_woken() -> None:
    word = np.zeros(1, np.int64)
    bell, asleep = Bell(word.ctypes.data), threading.Event()

    def change() -> None:
        asleep.wait()
        word[0] = 1
        bell.ring()

    other = threading.Thread(target=change)
    other.start()
    began = time.monotonic()
    while word[0] == 0:
        asleep.set()
        sleep([bell], [0], LONG_SECONDS)
    assert time.monotonic() - began < LONG_SECONDS / 2
    other.join()


def test_whichever_of_several_rings_wakes() -> None:
    words = np.zeros(3, np.int64)
    bells, asleep = [Bell(words.ctypes.data + 8 * k) for k in range(3)], threading.Event()

    def change() -> None:
        asleep.wait()
        words[1] = 1
        bells[1].ring()

    other = threading.Thread(target=change)
    other.start()
    began = time.monotonic()
    while not words.any():
        asleep.set()
        sleep(bells, [0, 0, 0], LONG_SECONDS)
    assert time.monotonic() - began < LONG_SECONDS / 2
    other.join()


def test_nobody_falls_asleep_on_a_word_that_has_changed() -> None:
    word = np.full(1, 2**32 + 7, np.int64)  # its low half is what counts
    bell = Bell(word.ctypes.data)
    assert bell.seen() == 7
    sleep([bell], [6], LONG_SECONDS)
    sleep([bell, bell], [7, 6], LONG_SECONDS)


@pytest.mark.parametrize("what", ["published", "released"])
def test_a_segment_rings_in_every_mapping_of_it(tmp_path: Path, what: str) -> None:
    mine = create(tmp_path / "channel", 64, 2)
    theirs = attach(tmp_path / "channel", 64, 2)
    assert theirs is not None
    bell = theirs.filled[1] if what == "published" else theirs.given_back[1]
    before, woken = bell.seen(), threading.Event()

    def doze() -> None:
        while bell.seen() == before:
            sleep([bell], [before], LONG_SECONDS)
        woken.set()

    sleeper = threading.Thread(target=doze, daemon=True)
    sleeper.start()
    if what == "published":
        mine.publish(1, 7, 64)
    else:
        mine.release(1, 7)
    assert woken.wait(LONG_SECONDS / 2)


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("rings", [False, True])
def test_what_comes_is_seen_however_late(crowded: bool, rings: bool) -> None:
    word = np.zeros(1, np.int64)
    bell, comes = Bell(word.ctypes.data), time.monotonic() + 0.01
    assert wait_until(
        lambda: time.monotonic() > comes, comes + LONG_SECONDS,
        lambda: [bell, bell] if rings else [], crowded)


def test_what_does_not_come_is_not_waited_for_for_ever() -> None:
    word = np.zeros(1, np.int64)
    bell = Bell(word.ctypes.data)
    assert not wait_until(lambda: False, time.monotonic() + 0.02, lambda: [bell], True)
    assert not wait_until(lambda: False, time.monotonic() + 0.02, list, False)
