"""The NumPy device: the readable reference that every other backend is compared with."""

from flowc_runtime.numpy_device.bind import BoundProgram, NumpyDevice

__all__ = ["BoundProgram", "NumpyDevice"]
