"""Channels of a pixel as registers: whole vectors, and shorter ones for what is left."""

from __future__ import annotations

from dataclasses import dataclass

MOST_PARTS = 4  # registers of one pixel at a time


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring channels in one register: where they begin in their block, and how many."""

    offset: int
    lanes: int


@dataclass(frozen=True, slots=True)
class ChannelBlock:
    """Channels that are done together; `count` such blocks follow each other from `start` on."""

    start: int
    count: int
    parts: tuple[Part, ...]

    @property
    def width(self) -> int:
        return sum(part.lanes for part in self.parts)


def channel_blocks(channels: int, lanes: int) -> tuple[ChannelBlock, ...]:
    """Blocks of some whole vectors, and one of what is left: shorter vectors, powers of two."""
    vectors, rest = divmod(channels, lanes)
    whole, left = divmod(vectors, MOST_PARTS)
    found = []
    width = MOST_PARTS * lanes
    if whole:
        parts = tuple(Part(k * lanes, lanes) for k in range(MOST_PARTS))
        found.append(ChannelBlock(0, whole, parts))
    parts = tuple(Part(k * lanes, lanes) for k in range(left))
    at, count = left * lanes, lanes // 2
    while rest:
        if rest >= count:
            parts = (*parts, Part(at, count))
            at, rest = at + count, rest - count
        count //= 2
    if parts:
        found.append(ChannelBlock(whole * width, 1, parts))
    return tuple(found)
