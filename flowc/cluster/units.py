"""Quantities with units: sizes, rates and durations, read and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from flowc.diagnostic import nearest

BYTES: Mapping[str, float] = {
    "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
BYTES_PER_SECOND: Mapping[str, float] = {
    **{f"{unit}/s": size for unit, size in BYTES.items()},
    "kbit/s": 125, "Mbit/s": 125e3, "Gbit/s": 125e6,
}  # fmt: skip
SECONDS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1}

# What people write, and what is meant.
_MEANT = {
    "K": "KiB", "M": "MiB", "G": "GiB", "T": "TiB", "gb/s": "GB/s", "mb/s": "MB/s",
    "Gb/s": "Gbit/s", "Mb/s": "Mbit/s", "kb/s": "kbit/s",
    "Gbps": "Gbit/s", "Mbps": "Mbit/s", "kbps": "kbit/s", "GBps": "GB/s", "MBps": "MB/s",
    "usec": "us", "msec": "ms", "sec": "s", "microseconds": "us", "milliseconds": "ms",
    "seconds": "s", "gb": "GB", "mb": "MB", "Gi": "GiB", "Mi": "MiB",
}  # fmt: skip
_NUMBER = r"\d{1,18}(?:\.\d{1,18})?(?:e[+-]?\d{1,2})?"
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER}) ?(?P<unit>[^\s\d].*)?")
SHOWN_UNITS = ("GB", "MB", "kB", "B")


class BadQuantity(ValueError):
    """The text is no quantity; the message is the end of a sentence that begins with it."""

    def __init__(self, message: str, help: str | None = None):
        super().__init__(message)
        self.message = message
        self.help = help


def parse_quantity(text: str, units: Mapping[str, float], example: str) -> float:
    """The number in the base unit; raises BadQuantity. `example` shows how it is written."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise BadQuantity("is no number with a unit", f"write it as {example}")
    number, unit = found["number"], found["unit"]
    if unit is None:
        raise BadQuantity("has no unit", f"write it as {example}; units are {_list(units)}")
    if unit not in units:
        meant = _MEANT.get(unit)
        near = meant if meant in units else nearest(unit, units)
        raise BadQuantity(
            f"has a unit that is unknown here, `{unit[:20]}`",
            f"did you mean `{number} {near}`?" if near else f"units are {_list(units)}",
        )
    return float(Decimal(number) * Decimal(repr(units[unit])))  # 100 us are 1e-4 s, exactly


def _list(units: Mapping[str, float]) -> str:
    return ", ".join(units)


def rate_text(bytes_per_s: float) -> str:
    """`1.17 GB/s`, to three digits."""
    unit = next((u for u in SHOWN_UNITS if bytes_per_s >= BYTES[u]), "B")
    return f"{bytes_per_s / BYTES[unit]:.3g} {unit}/s"


def duration_text(seconds: float) -> str:
    """`143 us`, to three digits."""
    unit = next((u for u in ("s", "ms", "us") if seconds >= SECONDS[u]), "us")
    value = seconds / SECONDS[unit]
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def size_text(count: int) -> str:
    """`8 GiB`, `512 MiB`: to three digits."""
    unit = next((u for u in ("TiB", "GiB", "MiB", "KiB") if count >= BYTES[u]), "B")
    return f"{count / BYTES[unit]:.3g} {unit}"
