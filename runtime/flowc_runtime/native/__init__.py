"""The native device: instructions as machine code of this host, the others as NumPy does them."""

from flowc_runtime.native.device import NativeDevice

__all__ = ["NativeDevice"]
