"""The driver by PyCUDA, or why it is not to be had; and the first GPU's primary context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flowc_runtime.device import BackendError

INSTALL = "pip install 'flowc[cuda]'"


def open_driver() -> Any:
    """The module `pycuda.driver`, initialised; raises BackendError."""
    try:
        import pycuda.driver as driver
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise BackendError(
            "cuda-missing", f"the CUDA backend needs the package `{package}`", INSTALL) from error
    except ImportError as error:
        raise _no_driver(str(error)) from error
    try:
        driver.init()
        count = driver.Device.count()
    except driver.Error as error:
        raise _no_device(str(error)) from error
    if not count:
        raise _no_device("the driver finds none")
    return driver


def _no_driver(reason: str) -> BackendError:
    """PyCUDA's extension is linked with the driver, and does not load without it."""
    if "undefined symbol" in reason:
        return BackendError(
            "cuda-driver", f"NVIDIA's driver is older than the CUDA that PyCUDA was built with: "
            f"{reason}", "install a newer driver, or build PyCUDA with an older CUDA toolkit")
    return BackendError(
        "cuda-driver", f"NVIDIA's driver cannot be loaded: {reason}",
        "install the driver, and where this is a container, start it with access to the GPU")


def _no_device(reason: str) -> BackendError:
    return BackendError(
        "cuda-device", f"there is no GPU that can be used: {reason}",
        "see what nvidia-smi says; CUDA_VISIBLE_DEVICES may hide what is there")


class Gpu:
    """The first GPU. `arch` is what kernels are compiled for, as `sm_90`."""

    def __init__(self) -> None:
        self.driver = open_driver()
        device = self.driver.Device(0)
        self.arch = "sm_{}{}".format(*device.compute_capability())
        # The primary one, in which libraries and other frameworks of this process work as well.
        self._context = device.retain_primary_context()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Calls of the driver are about this GPU."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()
