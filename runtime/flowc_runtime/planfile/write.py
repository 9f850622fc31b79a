"""Writing a plan's file: the same plan always gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from flowc_runtime.plan import Instruction, Plan, Program

VERSION_KEY = "flowc_plan"
# The keys of lists and objects that are written over several lines.
_BROKEN = ("programs", "variables", "constants", "buffers", "instructions", "body", "parts",
           "channels", "plan", "stops")  # fmt: skip

Json = Any


def write_plan(plan: Plan) -> str:
    """The text of the plan's file."""
    content = plan_json(plan)
    head = {VERSION_KEY: plan.version, "hash": digest(content)}
    body = {k: v for k, v in content.items() if k != VERSION_KEY}
    return "".join(json_lines({**head, **body}, "")) + "\n"


def plan_hash(plan: Plan) -> str:
    """The sha256 of the plan's content, as its file states it."""
    return digest(plan_json(plan))


def digest(content: Json) -> str:
    """The sha256 of JSON in its canonical form."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def plan_json(plan: Plan) -> dict[str, Json]:
    return {
        VERSION_KEY: plan.version,
        "model": plan.model,
        "source": plan.source_hash,
        "device": plan.device,
        "settings": plain(plan.settings),
        "variable_bytes": plan.variable_bytes,
        "variables": [
            {"path": v.path, "kind": v.kind, "type": str(v.type), "offset": v.offset}
            for v in plan.variables
        ],
        "constant_bytes": plan.constant_bytes,
        "constants": [
            {"type": str(c.type), "offset": c.offset, "value": plain(c.value)}
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
        "attrs": {name: plain(value) for name, value in sorted(i.attrs.items())},
        "scratch": [i.scratch_offset, i.scratch_bytes],
        "flops": i.flops,
        "bytes": i.bytes,
        "at": i.at,
        "path": i.path,
    }
    return written if i.body is None else {**written, "body": _program_json(i.body)}


def plain(value: Any) -> Json:
    """Attributes as JSON. What JSON has no number for is an object: `{"float": "inf"}`."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in sorted(value.items())}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"{value!r} has no place in a plan")


def json_lines(value: Json, indent: str, key: str = "") -> Iterator[str]:
    """JSON text that breaks lines between the items that a reader looks for."""
    inner = indent + " "
    if isinstance(value, dict) and (key == "programs" or not value.keys().isdisjoint(_BROKEN)):
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
        yield from json_lines(item, inner, item_key)
    yield "\n" + indent + brackets[1]
