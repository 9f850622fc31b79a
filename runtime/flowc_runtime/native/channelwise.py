"""Tiles of what does not mix channels: both factors of a product are vectors."""

from __future__ import annotations

from collections.abc import Sequence

from flowc_runtime.native.lanes import Lanes, Value
from flowc_runtime.native.parts import Part
from flowc_runtime.native.tiles import Register, Tiles

PRODUCTS_A_NANOSECOND = 30


class ChannelTiles(Tiles):
    """A vector that is loaded serves each place of a tile, and meets its own channels there."""

    def _add_products(
        self, registers: Sequence[Sequence[Register]], parts: Sequence[Part],
        numbers: Sequence[Value | None], vectors: Value,
    ) -> None:
        """To each row of registers the channels at its place times those of the vectors, rounded
        once; nothing to a row that has no place."""
        loaded = [
            Lanes(self.b, p.lanes).load(self.near(vectors, p.offset), "f32") for p in parts]
        for row, place in zip(registers, numbers, strict=True):
            if place is None:
                continue
            for (lanes, register, _), part, vector in zip(row, parts, loaded, strict=True):
                seen = lanes.load(self.near(place, part.offset), "f32")
                before = self.b.load(register, typ=lanes.type("f32"))
                self.b.store(lanes.call("llvm.fma", "f32", seen, vector, before), register)
