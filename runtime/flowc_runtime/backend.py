"""The devices of this process by name."""

from __future__ import annotations

from collections.abc import Mapping

from flowc_runtime.device import Device
from flowc_runtime.numpy_device import NumpyDevice

BACKENDS = ("numpy", "native")
CODES: Mapping[str, str] = {
    "backend-unknown": "A task was asked for a backend that its version of flowc does not have.",
    "native-missing": "The native backend needs a package that is not installed: "
    "`pip install 'flowc[native]'`.",
}


class BackendError(Exception):
    """A backend is not to be had here. `code` is one of CODES."""

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


def device_of(backend: str, threads: int | None = None) -> Device:
    """With so many threads; None leaves that alone. Raises BackendError."""
    device = _device(backend)
    if threads is not None:
        device.use_threads(threads)
    return device


def _device(backend: str) -> Device:
    if backend == "numpy":
        return NumpyDevice()
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise BackendError("backend-unknown", f"there is no backend `{backend}` here, only {known}")
    try:
        from flowc_runtime.native import NativeDevice
    except ImportError as error:
        raise BackendError(
            "native-missing", "the native backend needs the package `llvmlite`",
            "pip install 'flowc[native]'") from error
    return NativeDevice()
