"""A GPU for tests: the stand-in, or where FLOWC_TEST_GPU is set the one that this machine has."""

from __future__ import annotations

import os

from flowc_runtime.cuda import CudaDevice
from gpu_stand_in.build import StandInCompiler, load_driver

ON_HARDWARE = "FLOWC_TEST_GPU" in os.environ


def cuda_device() -> CudaDevice:
    if ON_HARDWARE:
        return CudaDevice()
    load_driver()
    return CudaDevice(StandInCompiler())


def set_seed(number: int) -> None:
    """What the order of streams, blocks and threads is drawn from; hardware has its own."""
    if not ON_HARDWARE:
        load_driver().stand_in_seed(number)
