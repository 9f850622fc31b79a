"""A scan in NumPy: the body's calls, once a round, between copies in and out."""

from __future__ import annotations

import numpy as np

from flowc_runtime.device import Run
from flowc_runtime.memory import HostMemory, same_place
from flowc_runtime.plan import Instruction, Program


class NumpyLoop:
    """A scan over bound buffers; see `flowc/graph/scan.py` for its operands and results.

    The carries are computed where the scan's results lie, so that nothing is left to do at the
    end. A sequence's element is copied into the body's buffer before a round, and what the body
    yields to its place after it.
    """

    def __init__(
        self, instruction: Instruction, parent: Program, memory: HostMemory, body: Run
    ):
        assert instruction.body is not None
        inside, attrs = instruction.body, instruction.attrs
        sequences, carries = attrs["sequences"], attrs["carries"]
        self.body = body
        self.rounds = range(attrs["length"])[:: -1 if attrs["reverse"] else 1]
        self._stop = len(inside.instructions)
        operands = [parent.buffers[k] for k in instruction.operands]
        results = [parent.buffers[k] for k in instruction.results]
        starts = zip(results[:carries], operands[sequences:], strict=False)
        self._starts = [
            (memory.view(to), memory.view(start))
            for to, start in starts
            if not same_place(to, start)
        ]
        ports = {p.name: inside.buffers[p.buffer] for p in inside.inputs}
        self._fed = [
            (memory.view(ports[f"x{k}"]), np.moveaxis(memory.view(operands[k]), axis, 0))
            for k, axis in enumerate(attrs["axes"])
            if f"x{k}" in ports
        ]
        self._yielded = [
            (np.moveaxis(memory.view(to), axis, 0), memory.view(inside.buffers[port.buffer]))
            for to, axis, port in zip(
                results[carries:], attrs["yield_axes"], inside.outputs, strict=True
            )
        ]

    def __call__(self) -> None:
        self.enter()
        body, stop = self.body, self._stop
        for round in self.rounds:
            self.begin(round)
            body(0, stop)
            self.end(round)

    def enter(self) -> None:
        """Puts the first carries into their places."""
        for carry, start in self._starts:
            np.copyto(carry, start)

    def begin(self, round: int) -> None:
        """Puts the round's elements of the sequences where the body reads them."""
        for x, sequence in self._fed:
            np.copyto(x, sequence[round])

    def end(self, round: int) -> None:
        """Puts what the round yielded into its place."""
        for stacked, y in self._yielded:
            np.copyto(stacked[round, ...], y)
