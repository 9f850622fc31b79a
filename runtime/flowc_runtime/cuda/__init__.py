"""The CUDA device: instructions as kernels on a GPU of NVIDIA's, by PyCUDA."""

from flowc_runtime.cuda.device import CudaDevice

__all__ = ["CudaDevice"]
