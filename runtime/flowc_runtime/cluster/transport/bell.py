"""A word of shared memory that a thread of another process sleeps on until it changes.

Linux's futex: whoever changes the word wakes all who sleep on it, and the system looks at the word
itself before it lets anybody sleep, so that no change is missed (Drepper 2011, "Futexes are
tricky"). Elsewhere `sleep` is a short pause, after which its caller looks again.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import time
from collections.abc import Callable

_CALLS = {"x86_64": 202, "aarch64": 98, "riscv64": 98}  # the number of futex(2)
_WAIT, _WAKE, _ALL = 0, 1, 2**31 - 1
PAUSE_SECONDS = 200e-6


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _found() -> Callable[..., int] | None:
    """The system call, where it is known to be there with pointers and times of 64 bits."""
    number = _CALLS.get(platform.machine())
    if sys.platform != "linux" or number is None or sys.maxsize < 2**32:
        return None
    call = ctypes.CDLL(None).syscall
    call.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32,
                     ctypes.c_void_p)  # fmt: skip
    return lambda *rest: call(number, *rest)


_futex = _found()


class Bell:
    """The low half of a little-endian int64 at an address; keep the memory mapped meanwhile."""

    def __init__(self, address: int):
        self._address = address
        self._word = ctypes.c_uint32.from_address(address)

    def seen(self) -> int:
        return self._word.value

    def ring(self) -> None:
        """Wakes all who sleep; the word has been changed."""
        if _futex is not None:
            _futex(self._address, _WAKE, _ALL, None)

    def sleep(self, seen: int, seconds: float) -> None:
        """Until it is rung, or does not say `seen` any more, or so many seconds at most."""
        if _futex is None:
            time.sleep(min(seconds, PAUSE_SECONDS))
            return
        whole, part = divmod(round(seconds * 1e9), 10**9)
        _futex(self._address, _WAIT, seen, ctypes.byref(_Timespec(whole, part)))
