"""Words of shared memory that a thread of another process sleeps on until one of them changes.

Linux's futex: whoever changes the word wakes all who sleep on it, and the system looks at the word
itself before it lets anybody sleep, so that no change is missed (Drepper 2011, "Futexes are
tricky"). Elsewhere, and for several words on a Linux before 5.16, `sleep` is a short pause, after
which its caller looks again.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}  # the number of the call
_FUTEX_WAITV = 449  # everywhere
_WAIT, _WAKE, _ALL = 0, 1, 2**31 - 1
_32_BITS = 2  # of a word, for futex_waitv
_NO_FAILURES = (errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT)  # changed, interrupted, in vain
PAUSE_SECONDS = 200e-6


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class _Waiter(ctypes.Structure):
    _fields_ = (("seen", ctypes.c_uint64), ("address", ctypes.c_uint64),
                ("flags", ctypes.c_uint32), ("reserved", ctypes.c_uint32))  # fmt: skip


def _found() -> tuple[Callable[..., int], Callable[..., int]] | None:
    """Both system calls, where they are known to be there with pointers and times of 64 bits."""
    number = _FUTEX.get(platform.machine())
    if sys.platform != "linux" or number is None or sys.maxsize < 2**32:
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    return partial(call, ctypes.c_long(number)), partial(call, ctypes.c_long(_FUTEX_WAITV))


_futexes = _found()


class Bell:
    """The low half of a little-endian int64 at an address; keep the memory mapped meanwhile."""

    def __init__(self, address: int):
        self.address = ctypes.c_void_p(address)
        self._word = ctypes.c_uint32.from_address(address)

    def seen(self) -> int:
        return self._word.value

    def ring(self) -> None:
        """Wakes all who sleep; the word has been changed."""
        if _futexes is not None:
            _futexes[0](self.address, _WAKE, _ALL, None)


def sleep(bells: Sequence[Bell], seen: Sequence[int], seconds: float) -> None:
    """Until one is rung, or one does not say what was seen any more, or so long at most."""
    if _futexes is None:
        time.sleep(min(seconds, PAUSE_SECONDS))
    elif len(bells) == 1:
        limit = ctypes.byref(_timespec(seconds))
        _checked(_futexes[0](bells[0].address, _WAIT, ctypes.c_uint32(seen[0]), limit), seconds)
    else:
        _checked(_sleep_on_several(_futexes[1], bells, seen, seconds), seconds)


def _checked(result: int, seconds: float) -> None:
    """A short pause where there is no such call, or a sandbox forbids it: nobody looks at 100 %."""
    if result < 0 and ctypes.get_errno() not in _NO_FAILURES:
        time.sleep(min(seconds, PAUSE_SECONDS))


def _sleep_on_several(
    futex_waitv: Callable[..., int], bells: Sequence[Bell], seen: Sequence[int], seconds: float
) -> int:
    waiters = (_Waiter * len(bells))(
        *(_Waiter(s, b.address.value, _32_BITS, 0) for b, s in zip(bells, seen, strict=True)))
    end = ctypes.byref(_timespec(time.monotonic() + seconds))
    return futex_waitv(waiters, len(bells), 0, end, time.CLOCK_MONOTONIC)


def _timespec(seconds: float) -> _Timespec:
    whole, part = divmod(round(seconds * 1e9), 10**9)
    return _Timespec(whole, part)
