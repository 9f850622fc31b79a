"""Reading a plan's file: what is not exactly a plan of this version raises PlanError."""

from __future__ import annotations

import json
from typing import Any

from flowc_runtime.plan import (
    PLAN_VERSION,
    Buffer,
    Constant,
    Instruction,
    Plan,
    PlanError,
    Port,
    Program,
    Variable,
)
from flowc_runtime.planfile.check import check_plan
from flowc_runtime.planfile.write import VERSION_KEY, digest
from flowc_runtime.types import TensorType, parse_type

MAX_PLAN_BYTES = 256 << 20
MAX_ITEMS = 1_000_000  # in one list of the file
MAX_TYPE_CHARACTERS = 200

Json = Any


def read_plan(text: str) -> Plan:
    """The plan that a file's text holds, checked throughout; raises PlanError."""
    try:
        return _read(text)
    except RecursionError as reason:
        raise PlanError("this is no plan: it is nested too deeply") from reason


def _read(text: str) -> Plan:
    if len(text) > MAX_PLAN_BYTES:
        raise PlanError(f"the file is larger than {MAX_PLAN_BYTES >> 20} MiB")
    content = _parse(text)
    version = content.pop(VERSION_KEY, None)
    if type(version) is not int or version < 1:
        raise PlanError(f"this is no plan: it has no version under `{VERSION_KEY}`")
    if version > PLAN_VERSION:
        raise PlanError(
            f"the plan has version {version}, and this flowc reads up to version {PLAN_VERSION}: "
            "use the flowc that made it, or compile the model again"
        )
    stated = content.pop("hash", None)
    if stated != digest({VERSION_KEY: version, **content}):
        raise PlanError("the content does not match its hash: the file was damaged or edited")
    plan = _read_content(content)
    check_plan(plan)
    return plan


def _parse(text: str) -> dict[str, Json]:
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


def _read_content(content: dict[str, Json]) -> Plan:
    keys = ("model", "source", "device", "settings", "variable_bytes", "variables",
            "constant_bytes", "constants", "programs")  # fmt: skip
    fields = _object(content, keys, "the plan")
    programs = _object(fields["programs"], None, "programs")
    return Plan(
        _text(fields["model"], "model"),
        _text(fields["source"], "source"),
        tuple(_variable(v) for v in _list(fields["variables"], "variables")),
        _integer(fields["variable_bytes"], "variable_bytes"),
        tuple(_constant(c) for c in _list(fields["constants"], "constants")),
        _integer(fields["constant_bytes"], "constant_bytes"),
        {name: _program(p, f"program {name}") for name, p in programs.items()},
        _text(fields["device"], "device"),
        _value(_object(fields["settings"], None, "settings"), "settings"),
    )


def _variable(value: Json) -> Variable:
    fields = _object(value, ("path", "kind", "type", "offset"), "a variable")
    path = _text(fields["path"], "a variable's path")
    where = f"variable {path}"
    kind, type = _text(fields["kind"], where), _type(fields["type"], where)
    return Variable(path, kind, type, _integer(fields["offset"], where))


def _constant(value: Json) -> Constant:
    fields = _object(value, ("type", "offset", "value"), "a constant")
    type = _type(fields["type"], "a constant")
    offset = _integer(fields["offset"], "a constant")
    return Constant(type, offset, _value(fields["value"], "a constant"))


def _program(value: Json, where: str) -> Program:
    keys = ("name", "sizes", "arena_bytes", "commit", "inputs", "outputs", "buffers",
            "instructions")  # fmt: skip
    fields = _object(value, keys, where)
    sizes = _object(fields["sizes"], None, f"{where}: sizes")
    instructions = _list(fields["instructions"], where)
    return Program(
        _text(fields["name"], where),
        {name: _integer(size, f"{where}: size {name}") for name, size in sizes.items()},
        tuple(_buffer(b, where) for b in _list(fields["buffers"], where)),
        tuple(_port(p, where) for p in _list(fields["inputs"], where)),
        tuple(_port(p, where) for p in _list(fields["outputs"], where)),
        tuple(_instruction(i, f"{where}, instruction {k}") for k, i in enumerate(instructions)),
        _integer(fields["arena_bytes"], where),
        _integer(fields["commit"], where),
    )


def _buffer(value: Json, where: str) -> Buffer:
    space, offset, type = _list(value, where, length=3)
    return Buffer(_text(space, where), _integer(offset, where), _type(type, where))


def _port(value: Json, where: str) -> Port:
    name, buffer = _list(value, where, length=2)
    return Port(_text(name, where), _integer(buffer, where))


def _instruction(value: Json, where: str) -> Instruction:
    keys = ("op", "in", "out", "attrs", "scratch", "flops", "bytes", "at", "path")
    has_body = isinstance(value, dict) and "body" in value
    fields = _object(value, (*keys, "body") if has_body else keys, where)
    scratch = _integers(fields["scratch"], where)
    if len(scratch) != 2:
        raise PlanError(f"{where}: `scratch` is not an offset and a size")
    attrs = _object(fields["attrs"], None, where)
    return Instruction(
        _text(fields["op"], where),
        _integers(fields["in"], where),
        _integers(fields["out"], where),
        {name: _value(attr, where) for name, attr in attrs.items()},
        *scratch,
        _integer(fields["flops"], where),
        _integer(fields["bytes"], where),
        _text(fields["at"], where),
        _text(fields["path"], where),
        _program(fields["body"], f"{where}, body") if has_body else None,
    )


def _object(value: Json, keys: tuple[str, ...] | None, where: str) -> dict[str, Json]:
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


def _list(value: Json, where: str, length: int | None = None) -> list[Json]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise PlanError(f"{where}: is not a list of at most {MAX_ITEMS:,} items")
    if length is not None and len(value) != length:
        raise PlanError(f"{where}: a list of {length} items has {len(value)}")
    return value


def _integer(value: Json, where: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise PlanError(f"{where}: {str(value)[:80]} is no count")
    return value


def _integers(value: Json, where: str) -> tuple[int, ...]:
    return tuple(_integer(v, where) for v in _list(value, where))


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{where}: {str(value)[:80]} is no text")
    return value


def _type(value: Json, where: str) -> TensorType:
    text = _text(value, where)
    if len(text) > MAX_TYPE_CHARACTERS:
        raise PlanError(f"{where}: the type `{text[:80]}` is too long")
    try:
        type = parse_type(text)
        if all(size >= 0 for size in type.sizes) and str(type) == text:
            return type
    except ValueError:
        pass
    raise PlanError(f"{where}: `{text[:80]}` is no type of known size")


def _value(value: Json, where: str) -> Any:
    """An attribute, with tuples for lists; the inverse of `_plain`."""
    if isinstance(value, list):
        return tuple(_value(v, where) for v in value)
    if isinstance(value, dict):
        if value.keys() == {"float"} and value["float"] in ("inf", "-inf", "nan"):
            return float(value["float"])
        return {k: _value(v, where) for k, v in value.items()}
    return value
