"""A plan's memory on the GPU: one allocation with the plan's offsets, and what crosses over."""

from __future__ import annotations

from collections.abc import Sequence

from flowc_runtime.cuda.driver import Gpu
from flowc_runtime.cuda.indexing import REFUSED
from flowc_runtime.memory import HostMemory
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import SPACES, Buffer

ALIGNMENT_BYTES = 256  # of what the driver allocates, and so of the spaces in one allocation
LANES = 2  # streams that work side by side
NON_BLOCKING = 1  # what other libraries do on the default stream is none of their business


class GpuMemory:
    """The same spaces as the host's. Variables are newer on one of the two sides.

    All work is put on `streams`; the first is that which the others are forked from, and on which
    everything that crosses over is in order.
    """

    def __init__(self, gpu: Gpu, host: HostMemory):
        self.gpu, self.host = gpu, host
        sizes = {name: host.space(name).size for name in SPACES} | {"refused": REFUSED.type.bytes}
        self._starts: dict[str, int] = {}
        end = 0
        for name, size in sizes.items():
            self._starts[name] = end
            end += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        driver = gpu.driver
        self.streams = [driver.Stream(NON_BLOCKING) for _ in range(LANES)]
        self._held = driver.mem_alloc(end)
        self._variables_here = False
        self._write(host.space("constants"), self._at("constants", 0))

    def address(self, buffer: Buffer) -> int:
        return self._at(buffer.space, buffer.offset)

    def take_variables(self) -> None:
        """Before a run: from the host, where they may have been written since the last one."""
        if not self._variables_here:
            self._write(self.host.space("variables"), self._at("variables", 0))
            self._variables_here = True

    def give_variables(self) -> None:
        """To the host, which may write them."""
        if self._variables_here:
            self._read(self.host.space("variables"), self._at("variables", 0))
            self._variables_here = False

    def fetch(self, buffers: Sequence[Buffer]) -> None:
        """Some tensors into the host's memory."""
        for buffer in buffers:
            self._read(self.host.view(buffer), self.address(buffer))

    def store(self, buffers: Sequence[Buffer]) -> None:
        """Some tensors out of the host's memory."""
        for buffer in buffers:
            self._write(self.host.view(buffer), self.address(buffer))

    def _at(self, space: str, offset: int) -> int:
        return int(self._held) + self._starts[space] + offset

    def _write(self, source: Array, address: int) -> None:
        if source.size:
            self.gpu.driver.memcpy_htod_async(address, source, self.streams[0])
            self.streams[0].synchronize()

    def _read(self, target: Array, address: int) -> None:
        if target.size:
            self.gpu.driver.memcpy_dtoh_async(target, address, self.streams[0])
            self.streams[0].synchronize()
