"""The kinds of values that parameters of sources and transforms take."""

from __future__ import annotations

import math
from typing import Any

from flowc_runtime.data.arguments import Kind
from flowc_runtime.data.text import VOCABULARIES

_MOST = 1 << 31  # keeps sizes within what an array can have


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return _whole(value) and 1 <= value < _MOST


def _amount(value: Any) -> bool:
    return _count(value) if _whole(value) else isinstance(value, float) and 0 < value < 1


def _character(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and value not in '\r\n"\0'


def _not_available(value: Any) -> bool:
    number = _whole(value) and abs(value) < _MOST
    return value in ("error", "drop") or number or isinstance(value, float) and math.isfinite(value)


def _names(value: Any) -> bool:
    sequence = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    return sequence and 0 < len(value) == len(set(value))


def _size(value: Any) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2
    return pair and all(_whole(side) and 1 <= side <= 8192 for side in value)


def _sides(value: Any) -> bool:
    return _size(value) or _whole(value) and 1 <= value <= 8192


def _pixels(value: Any) -> bool:
    return _whole(value) and 0 <= value <= 8192


def _number(value: Any) -> bool:
    return (_whole(value) or isinstance(value, float)) and math.isfinite(value)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _bounds(value: Any) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2 and all(map(_number, value))
    return bool(pair and 0 < value[0] <= value[1])


def _shares(value: Any) -> bool:
    return _bounds(value) and bool(value[1] <= 1)


def _ratios(value: Any) -> bool:
    return _bounds(value) and bool(0.001 <= value[0] and value[1] <= 1000)


def _column(value: Any) -> bool:
    return _whole(value) or isinstance(value, str)


def _part(value: Any) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2
    return all(map(_column, value)) if pair else _column(value)


def _entry(value: Any) -> bool:
    return all(map(_part, value)) and bool(value) if isinstance(value, list) else _part(value)


def _columns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_entry, value))


TEXT = Kind("a string", lambda value: isinstance(value, str))
WHOLE = Kind("a whole number", _whole)
COUNT = Kind("a whole number from 1", _count)
AMOUNT = Kind("a whole number from 1, or a part between 0 and 1,", _amount)
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
CHARACTER = Kind("one character", _character)
NOT_AVAILABLE = Kind('"error", "drop" or a number', _not_available)
NAMES = Kind("a list of different strings", _names)
SIZE = Kind("[height, width]", _size)
SIDES = Kind("[height, width] or one number", _sides)
PIXELS = Kind("a number of pixels from 0 to 8192", _pixels)
SHARE = Kind("a number between 0 and 1", _share)
SHARES = Kind("[least, most] above 0 and up to 1", _shares)
RATIOS = Kind("[least, most] above 0", _ratios)
HEADER = Kind(
    "true, false or a list of names", lambda value: isinstance(value, bool) or _names(value)
)
WORDS = Kind(
    "a list of columns (names or indices)",
    lambda value: isinstance(value, list) and bool(value) and all(map(_column, value)),
)
DAMAGED = Kind('"error" or "replace"', lambda value: value in ("error", "replace"))
COLUMNS = Kind("a list of columns, one entry a field,", _columns)
VOCABULARY = Kind(
    " or ".join(f'"{name}"' for name in VOCABULARIES), lambda value: value in VOCABULARIES
)
