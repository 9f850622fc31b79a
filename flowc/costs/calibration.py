"""A calibration: what was measured on a host, as versioned plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from flowc.costs.errors import CalibrationError
from flowc.costs.fit import Rates
from flowc.costs.work import QUANTITIES

SCHEMA = "flowc.calibration/3"


@dataclass(frozen=True, slots=True)
class Seconds:
    """What something takes where the host has nothing else to do, and where all cores work."""

    alone: float
    crowded: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.alone + other.alone, self.crowded + other.crowded)

    def times(self, count: float) -> Seconds:
        return Seconds(count * self.alone, count * self.crowded)


NOTHING = Seconds(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Meeting:
    """What it costs tasks of one host to meet.

    `switch_seconds` pass until a core that one task has given up is at work for another, with
    waking and cold caches; `bytes_per_s` are read that another core has written. The work of a
    task varies from step to step: its standard deviation is `spread` of what it takes by itself.
    """

    switch_seconds: float
    bytes_per_s: float
    spread: float


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Where something was measured; `threads` are those of the BLAS."""

    name: str
    cpu: str
    cores: int
    numpy: str
    blas: str
    threads: int
    backend: str = "numpy"


@dataclass(frozen=True)
class Calibration:
    """What a host was measured to need.

    `rates` hold for kinds of work in general (see `work.py`), with calls `mixing` times as long
    as in a row of the same ones, and all of it `crowding` times as long where every core works.
    `instructions` are medians of a model's own instructions in their place, by signature, and
    `readings` those of filling its inputs. `loop_seconds` is what the training loop adds to a
    step, `operation_seconds` what each operation of a task's step table does.
    """

    host: HostFacts
    rates: Mapping[str, Rates]
    mixing: float
    crowding: float
    loop_seconds: float
    operation_seconds: float
    reading: Rates
    meeting: Meeting
    instructions: Mapping[str, Seconds] = field(default_factory=dict)
    readings: Mapping[str, Seconds] = field(default_factory=dict)

    def with_model(
        self, instructions: Mapping[str, Seconds], readings: Mapping[str, Seconds]
    ) -> Calibration:
        """The same, and what was measured of one more model."""
        return replace(
            self, instructions={**self.instructions, **instructions},
            readings={**self.readings, **readings})


def write_calibration(calibration: Calibration) -> str:
    """JSON, the same for the same content."""
    content = {
        "schema": SCHEMA,
        "host": asdict(calibration.host),
        "mixing": _short(calibration.mixing),
        "crowding": _short(calibration.crowding),
        "loop_seconds": _short(calibration.loop_seconds),
        "operation_seconds": _short(calibration.operation_seconds),
        "reading": _rates_json(calibration.reading),
        "meeting": {k: _short(v) for k, v in asdict(calibration.meeting).items()},
        "rates": {key: _rates_json(r) for key, r in sorted(calibration.rates.items())},
        "instructions": _seconds_json(calibration.instructions),
        "readings": _seconds_json(calibration.readings),
    }
    return json.dumps(content, indent=1) + "\n"


def read_calibration(text: str, name: str) -> Calibration:
    """The inverse of `write_calibration`; raises CalibrationError, which names the file."""
    try:
        content = json.loads(text)
        if content.get("schema") != SCHEMA:
            raise CalibrationError(name, f"its schema is not {SCHEMA}")
        return Calibration(
            HostFacts(**content["host"]), {k: _rates(r) for k, r in content["rates"].items()},
            _number(content["mixing"]), _number(content["crowding"]),
            _number(content["loop_seconds"]), _number(content["operation_seconds"]),
            _rates(content["reading"]),
            _meeting(content["meeting"]),
            {k: _seconds(pair) for k, pair in content["instructions"].items()},
            {k: _seconds(pair) for k, pair in content["readings"].items()},
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CalibrationError(name, f"{type(error).__name__}: {error}") from error


@cache
def default_calibration() -> Calibration:
    """What is assumed where nothing was measured: one core of a server's CPU of 2023."""
    text = files("flowc.costs").joinpath("defaults.json").read_text(encoding="utf-8")
    return read_calibration(text, "defaults.json")


def _rates_json(rates: Rates) -> dict[str, float]:
    return {q: _short(s) for q, s in zip(QUANTITIES, rates.seconds, strict=True) if s}


def _seconds_json(measured: Mapping[str, Seconds]) -> dict[str, list[float]]:
    return {k: [_short(s.alone), _short(s.crowded)] for k, s in sorted(measured.items())}


def _short(value: float) -> float:
    """Four digits: no more are ever true of a measured time."""
    return float(f"{value:.4g}")


def _rates(content: Mapping[str, Any]) -> Rates:
    if unknown := set(content) - set(QUANTITIES):
        raise ValueError(f"there is no quantity {', '.join(sorted(unknown))}")
    return Rates(tuple(_number(content.get(q, 0.0)) for q in QUANTITIES))


def _meeting(content: Mapping[str, Any]) -> Meeting:
    found = Meeting(**{name: _number(value) for name, value in content.items()})
    if not found.bytes_per_s:
        raise ValueError("no bytes are read in a second")
    return found


def _seconds(pair: Any) -> Seconds:
    alone, crowded = pair
    return Seconds(_number(alone), _number(crowded))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{value}` is no number")
    if not 0 <= value < math.inf:
        raise ValueError(f"{value} is no number of seconds")
    return float(value)
