"""Reading JSON strictly: every field is what it must be, or PlanError says where it is not."""

from __future__ import annotations

import json
from typing import Any

from flowc_runtime.plan import PlanError
from flowc_runtime.types import TensorType, parse_type

MAX_ITEMS = 1_000_000  # in one list of a file
MAX_TYPE_CHARACTERS = 200

Json = Any


def parse_json(text: str) -> dict[str, Json]:
    try:
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except ValueError as reason:
        raise PlanError(f"this is no plan: {reason}") from reason
    if not isinstance(content, dict):
        raise PlanError("this is no plan: it is not a JSON object")
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return dict(pairs)


def read_object(value: Json, keys: tuple[str, ...] | None, where: str) -> dict[str, Json]:
    """A JSON object with exactly these keys; None allows any."""
    if not isinstance(value, dict):
        raise PlanError(f"{where}: is not an object")
    if keys is not None:
        for key in keys:
            if key not in value:
                raise PlanError(f"{where}: `{key}` is missing")
        for key in value:
            if key not in keys:
                raise PlanError(f"{where}: `{key[:80]}` is unknown")
    return value


def read_list(value: Json, where: str, length: int | None = None) -> list[Json]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise PlanError(f"{where}: is not a list of at most {MAX_ITEMS:,} items")
    if length is not None and len(value) != length:
        raise PlanError(f"{where}: a list of {length} items has {len(value)}")
    return value


def read_integer(value: Json, where: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise PlanError(f"{where}: {str(value)[:80]} is no count")
    return value


def read_integers(value: Json, where: str) -> tuple[int, ...]:
    return tuple(read_integer(v, where) for v in read_list(value, where))


def read_text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{where}: {str(value)[:80]} is no text")
    return value


def read_type(value: Json, where: str) -> TensorType:
    text = read_text(value, where)
    if len(text) > MAX_TYPE_CHARACTERS:
        raise PlanError(f"{where}: the type `{text[:80]}` is too long")
    try:
        type = parse_type(text)
        if all(size >= 0 for size in type.sizes) and str(type) == text:
            return type
    except ValueError:
        pass
    raise PlanError(f"{where}: `{text[:80]}` is no type of known size")


def read_value(value: Json, where: str) -> Any:
    """An attribute, with tuples for lists; the inverse of `_plain`."""
    if isinstance(value, list):
        return tuple(read_value(v, where) for v in value)
    if isinstance(value, dict):
        if value.keys() == {"float"} and value["float"] in ("inf", "-inf", "nan"):
            return float(value["float"])
        return {k: read_value(v, where) for k, v in value.items()}
    return value
