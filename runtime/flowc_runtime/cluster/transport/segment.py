"""A channel's memory at its producer: a file in memory that others on the machine map too.

    int64 words   0  bytes of a slot
                  1, 2  the sequence number published in each slot, -1 for none
                  3, 4  the size of the payload in it
                  8 + k  the number up to which consumer k has released, -1 for none
    slots         from the next page on, each at a multiple of 64 bytes

The word of a slot is set to -1 before the slot is filled anew, and to its number afterwards.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import threading
from pathlib import Path

import numpy as np

from flowc_runtime.cluster.exchange import SLOTS
from flowc_runtime.cluster.transport.bell import Bell

PAGE_BYTES = 4096
LINE_BYTES = 64
FIRST_RELEASED = 8
_PUBLISHED, _SIZES = 1, 3


class Segment:
    """The words and slots, mapped. Consumers are numbered in the producer's order.

    `filled` ring when something is published in a slot, `given_back` when a consumer releases.
    """

    def __init__(self, memory: mmap.mmap, consumers: int):
        words = np.frombuffer(memory, np.int64, FIRST_RELEASED + consumers)
        self.words = memoryview(memory).cast("B")[: words.nbytes].cast("q")
        self.slot_bytes = int(self.words[0])
        start = header_bytes(consumers)
        self.slots = tuple(
            np.frombuffer(memory, np.uint8, self.slot_bytes, start + k * aligned(self.slot_bytes))
            for k in range(SLOTS)
        )
        self.payloads = tuple(_read_only(slot) for slot in self.slots)
        self._lock = threading.Lock()
        first = words.ctypes.data
        self.filled = tuple(Bell(first + 8 * (_PUBLISHED + slot)) for slot in range(SLOTS))
        self.given_back = tuple(Bell(first + 8 * (FIRST_RELEASED + k)) for k in range(consumers))

    def published(self, slot: int) -> int:
        return self.words[_PUBLISHED + slot]

    def size(self, slot: int) -> int:
        return self.words[_SIZES + slot]

    def released(self, consumer: int) -> int:
        return self.words[FIRST_RELEASED + consumer]

    def publish(self, slot: int, sequence: int, size: int) -> None:
        self.words[_SIZES + slot] = size
        self.fence()
        self.words[_PUBLISHED + slot] = sequence
        self.filled[slot].ring()

    def withdraw(self, slot: int) -> None:
        self.words[_PUBLISHED + slot] = -1
        self.fence()

    def release(self, consumer: int, sequence: int) -> None:
        self.fence()
        with self._lock:
            if self.words[FIRST_RELEASED + consumer] < sequence:
                self.words[FIRST_RELEASED + consumer] = sequence
        self.given_back[consumer].ring()

    def slot_of(self, sequence: int) -> int:
        """Where a number is published now, or -1. What is read after it is no older than that."""
        slot = sequence % SLOTS
        if self.words[_PUBLISHED + slot] != sequence:
            return -1
        self.fence()
        return slot

    def fence(self) -> None:
        """What was read or written before it is so for all before anything after it.

        Processors other than x86 reorder reads and writes. They may move them into a locked
        stretch from either side, but not past giving a lock back and then taking one.
        """
        with self._lock:
            pass
        with self._lock:
            pass

    def newest(self) -> int:
        return max(self.words[_PUBLISHED + slot] for slot in range(SLOTS))


def create(path: Path, slot_bytes: int, consumers: int) -> Segment:
    """Makes the file; FileExistsError if it is there, OSError if there is no room."""
    total = header_bytes(consumers) + SLOTS * aligned(slot_bytes)
    unfinished = path.with_suffix(".new")
    handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, total)  # a full disk is an error here, not a signal later
        else:
            os.ftruncate(handle, total)
        memory = mmap.mmap(handle, total)
    finally:
        os.close(handle)
    words = np.frombuffer(memory, np.int64, FIRST_RELEASED + consumers)
    words[:] = -1
    words[0] = slot_bytes
    os.rename(unfinished, path)  # nobody finds it half made
    return Segment(memory, consumers)


def attach(path: Path, slot_bytes: int, consumers: int) -> Segment | None:
    """Maps the file of another task; None where it is not there, or not what was agreed on."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        total = header_bytes(consumers) + SLOTS * aligned(slot_bytes)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or (found.st_uid, found.st_size) != (os.getuid(), total):
            return None
        memory = mmap.mmap(handle, total)
    finally:
        os.close(handle)
    return Segment(memory, consumers)


def _read_only(slot: np.ndarray) -> np.ndarray:
    view = slot.view()
    view.flags.writeable = False
    return view


def file_name(generation: int, channel: str) -> str:
    """What the file of a channel is called in the folder of its task."""
    return f"{generation}-{hashlib.sha256(channel.encode()).hexdigest()[:24]}"


def header_bytes(consumers: int) -> int:
    size = 8 * (FIRST_RELEASED + consumers)
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def aligned(size: int) -> int:
    return -(-size // LINE_BYTES) * LINE_BYTES
