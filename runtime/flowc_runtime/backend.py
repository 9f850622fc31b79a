"""The devices of this process by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowc_runtime.device import BackendError, Device
from flowc_runtime.numpy_device import NumpyDevice

__all__ = ["BACKENDS", "CODES", "ON_HOST", "BackendError", "device_of", "require_on_host"]

ON_HOST = ("numpy", "native")  # these compute on the host's memory, as tasks of a cluster must
BACKENDS = (*ON_HOST, "cuda")
CODES: Mapping[str, str] = {
    "backend-unknown": "A task was asked for a backend that its version of flowc does not have.",
    "backend-alone": "The backend trains with whole batches in one process only.",
    "native-missing": "The native backend needs a package that is not installed: "
    "`pip install 'flowc[native]'`.",
    "cuda-missing": "The CUDA backend needs a package that is not installed: "
    "`pip install 'flowc[cuda]'`.",
    "cuda-driver": "The CUDA backend needs NVIDIA's driver, which is not installed, or is older "
    "than the CUDA toolkit that PyCUDA was built with.",
    "cuda-device": "The driver finds no NVIDIA GPU that this process may use.",
    "cuda-compiler": "The CUDA backend needs a compiler of kernels: NVRTC, or nvcc of the CUDA "
    "toolkit.",
}


def device_of(
    backend: str, threads: int | None = None, among: Sequence[str] = BACKENDS
) -> Device:
    """With so many threads; None leaves that alone. Raises BackendError."""
    device = _device(backend, among)
    if threads is not None:
        device.use_threads(threads)
    return device


def _device(backend: str, among: Sequence[str]) -> Device:
    if backend not in among:
        known = ", ".join(among)
        raise BackendError("backend-unknown", f"there is no backend `{backend}` here, only {known}")
    return {"numpy": NumpyDevice, "native": _native, "cuda": _cuda}[backend]()


def require_on_host(backend: str, what: str) -> None:
    """Raises BackendError for one that has a memory of its own; `what` needs the host's."""
    if backend not in ON_HOST:
        raise BackendError(
            "backend-alone", f"{what} with {' or '.join(ON_HOST)}, not yet with {backend}",
            "leave out --backend, or train with whole batches in one process")


def _native() -> Device:
    try:
        from flowc_runtime.native import NativeDevice
    except ImportError as error:
        raise BackendError(
            "native-missing", "the native backend needs the package `llvmlite`",
            "pip install 'flowc[native]'") from error
    return NativeDevice()


def _cuda() -> Device:
    from flowc_runtime.cuda import CudaDevice

    return CudaDevice()
