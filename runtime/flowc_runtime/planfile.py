"""The plan as a file: versioned JSON, one instruction a line, with a hash of its content.

The same plan always gives the same bytes. Reading trusts nothing: what is not exactly a plan of
this version raises PlanError and says where.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from flowc_runtime.plan import (
    PLAN_VERSION,
    Buffer,
    Constant,
    Instruction,
    Plan,
    Port,
    Program,
    Variable,
)
from flowc_runtime.plancheck import PlanError, check_plan
from flowc_runtime.types import TensorType, parse_type

__all__ = ["PlanError", "plan_hash", "read_plan", "write_plan"]

MAX_PLAN_BYTES = 256 << 20
MAX_ITEMS = 1_000_000  # in one list of the file
MAX_TYPE_CHARACTERS = 200
_VERSION_KEY = "flowc_plan"
_BROKEN = ("programs", "variables", "constants", "buffers", "instructions", "body")  # over lines

Json = Any


def write_plan(plan: Plan) -> str:
    """The text of the plan's file."""
    content = _plan_json(plan)
    head = {_VERSION_KEY: plan.version, "hash": _digest(content)}
    body = {k: v for k, v in content.items() if k != _VERSION_KEY}
    return "".join(_lines({**head, **body}, "")) + "\n"


def plan_hash(plan: Plan) -> str:
    """The sha256 of the plan's content, as its file states it."""
    return _digest(_plan_json(plan))


def read_plan(text: str) -> Plan:
    """The plan that a file's text holds, checked throughout; raises PlanError."""
    if len(text) > MAX_PLAN_BYTES:
        raise PlanError(f"the file is larger than {MAX_PLAN_BYTES >> 20} MiB")
    content = _parse(text)
    version = content.pop(_VERSION_KEY, None)
    if type(version) is not int or version < 1:
        raise PlanError(f"this is no plan: it has no version under `{_VERSION_KEY}`")
    if version > PLAN_VERSION:
        raise PlanError(
            f"the plan has version {version}, and this flowc reads up to version {PLAN_VERSION}: "
            "use the flowc that made it, or compile the model again"
        )
    stated = content.pop("hash", None)
    if stated != _digest({_VERSION_KEY: version, **content}):
        raise PlanError("the content does not match its hash: the file was damaged or edited")
    plan = _read_content(content)
    check_plan(plan)
    return plan


def _parse(text: str) -> dict[str, Json]:
    try:
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError as reason:
        raise PlanError("this is no plan: it is nested too deeply") from reason
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


def _digest(content: Json) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


# Writing


def _plan_json(plan: Plan) -> dict[str, Json]:
    return {
        _VERSION_KEY: plan.version,
        "model": plan.model,
        "source": plan.source_hash,
        "device": plan.device,
        "settings": _plain(plan.settings),
        "variable_bytes": plan.variable_bytes,
        "variables": [
            {"path": v.path, "kind": v.kind, "type": str(v.type), "offset": v.offset}
            for v in plan.variables
        ],
        "constant_bytes": plan.constant_bytes,
        "constants": [
            {"type": str(c.type), "offset": c.offset, "value": _plain(c.value)}
            for c in plan.constants
        ],
        "programs": {name: _program_json(p) for name, p in sorted(plan.programs.items())},
    }


def _program_json(program: Program) -> dict[str, Json]:
    return {
        "name": program.name,
        "sizes": dict(sorted(program.sizes.items())),
        "arena_bytes": program.arena_bytes,
        "commit": program.commit,
        "inputs": [[p.name, p.buffer] for p in program.inputs],
        "outputs": [[p.name, p.buffer] for p in program.outputs],
        "buffers": [[b.space, b.offset, str(b.type)] for b in program.buffers],
        "instructions": [_instruction_json(i) for i in program.instructions],
    }


def _instruction_json(i: Instruction) -> dict[str, Json]:
    written = {
        "op": i.op,
        "in": list(i.operands),
        "out": list(i.results),
        "attrs": {name: _plain(value) for name, value in sorted(i.attrs.items())},
        "scratch": [i.scratch_offset, i.scratch_bytes],
        "flops": i.flops,
        "bytes": i.bytes,
        "at": i.at,
        "path": i.path,
    }
    return written if i.body is None else {**written, "body": _program_json(i.body)}


def _plain(value: Any) -> Json:
    """Attributes as JSON. What JSON has no number for is an object: `{"float": "inf"}`."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in sorted(value.items())}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"{value!r} has no place in a plan")


def _lines(value: Json, indent: str, key: str = "") -> Iterator[str]:
    """JSON text that breaks lines between the items that a reader looks for."""
    inner = indent + " "
    if isinstance(value, dict) and value and (key == "programs" or not value.keys().isdisjoint(_BROKEN)):
        items = [(f"{json.dumps(k)}: ", v, k) for k, v in value.items()]
        brackets = "{}"
    elif isinstance(value, list) and value and key in _BROKEN:
        items = [("", v, "") for v in value]
        brackets = "[]"
    else:
        yield json.dumps(value, allow_nan=False)
        return
    yield brackets[0]
    for number, (label, item, item_key) in enumerate(items):
        yield ("," if number else "") + "\n" + inner + label
        yield from _lines(item, inner, item_key)
    yield "\n" + indent + brackets[1]


# Reading


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
        {k: _value(v, "settings") for k, v in _object(fields["settings"], None, "settings").items()},
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
