"""Work that is captured once and launched as a whole: six calls of the driver that PyCUDA has
no names for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

THREAD_LOCAL = 1  # the mode of capture: other threads may go on as they like


class Graph:
    """What `issue` puts on a stream, and on others that it forks from it and joins to it."""

    def __init__(self, stream: Any, issue: Callable[[], None]):
        self._library = ctypes.CDLL("libcuda.so.1")
        self._stream = ctypes.c_void_p(stream.handle)
        self._ready = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, THREAD_LOCAL)
        try:
            issue()
        finally:
            self._call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._ready), graph,
                   ctypes.c_ulonglong(0))  # fmt: skip
        self._call("cuGraphDestroy", graph)

    def launch(self) -> None:
        self._call("cuGraphLaunch", self._ready, self._stream)

    def __del__(self) -> None:
        self._library.cuGraphExecDestroy(self._ready)  # if it is too late, the driver is gone too

    def _call(self, name: str, *args: object) -> None:
        if code := getattr(self._library, name)(*args):
            raise RuntimeError(f"{name} answers {code}")
