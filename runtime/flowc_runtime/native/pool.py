"""The threads of this process that share steps of machine code.

They are threads of Python's that enter one native function and stay in it. Pools are kept for as
long as the process: a thread that sleeps costs nothing, and sessions come and go.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Callable
from functools import cache
from threading import Lock, Thread

import numpy as np

from flowc_runtime.memory import aligned_zeros
from flowc_runtime.native.build import addresses_of
from flowc_runtime.native.sequences import Table
from flowc_runtime.native.sharing import CONDITION, MUTEX, THREADS, Sharing, pool_bytes
from flowc_runtime.native.unit import Unit

FOLLOW, END = "follow", "end"

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Pool:
    """`threads` of them, with the one that comes from Python; the others start when it does."""

    def __init__(self, threads: int):
        self._memory = aligned_zeros(pool_bytes(threads))
        self._threads = threads
        self._starting = Lock()
        self._others: list[Thread] = []
        self._clear()

    @property
    def address(self) -> int:
        return self._memory.ctypes.data

    def run(self, function: Callable[[Table], None], table: Table) -> None:
        """The steps of a table that refers to this pool."""
        if not self._others:
            self._start()
        function(table)

    def end(self) -> None:
        """The others leave; steps go on without them."""
        with self._starting:
            if self._others:
                _FUNCTION(_code()[END])(self.address, 0, 0)
            for thread in self._others:
                thread.join()

    def forget(self) -> None:
        """In the child of a fork, which has none of the others."""
        self._starting, self._others = Lock(), []
        self._clear()

    def _start(self) -> None:
        follow = _FUNCTION(_code()[FOLLOW])
        with self._starting:
            if not self._others:
                others = [
                    Thread(target=follow, args=(self.address, k, 0), name="native", daemon=True)
                    for k in range(1, self._threads)
                ]
                for thread in others:
                    thread.start()
                self._others = others

    def _clear(self) -> None:
        self._memory[:] = 0
        self._memory[THREADS : THREADS + 8].view(np.int64)[0] = self._threads
        library = ctypes.CDLL(None)
        library.pthread_mutex_init(ctypes.c_void_p(self.address + MUTEX), None)
        library.pthread_cond_init(ctypes.c_void_p(self.address + CONDITION), None)


@cache
def pool_of(threads: int) -> Pool:
    pool = Pool(threads)
    os.register_at_fork(after_in_child=pool.forget)
    atexit.register(pool.end)  # machine code may go before threads do
    return pool


@cache
def _code() -> dict[str, int]:
    """Of functions of a pool, and the number of a thread."""
    unit = Unit(1)
    for name in (FOLLOW, END):
        b = unit.function(name)
        pool, thread, _ = b.function.args
        sharing = Sharing(b, pool)
        sharing.follow(thread) if name == FOLLOW else sharing.end()
        b.ret_void()
    return addresses_of(str(unit.module), [FOLLOW, END])
