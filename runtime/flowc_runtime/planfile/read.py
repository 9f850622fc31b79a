"""Reading a plan's file: what is not exactly a plan of this version raises PlanError."""

from __future__ import annotations

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
from flowc_runtime.planfile.fields import (
    Json,
    parse_json,
    read_integer,
    read_integers,
    read_list,
    read_object,
    read_text,
    read_type,
    read_value,
)
from flowc_runtime.planfile.write import VERSION_KEY, digest

MAX_PLAN_BYTES = 256 << 20


def read_plan(text: str) -> Plan:
    """The plan that a file's text holds, checked throughout; raises PlanError."""
    try:
        return _read(text)
    except RecursionError as reason:
        raise PlanError("this is no plan: it is nested too deeply") from reason


def _read(text: str) -> Plan:
    if len(text) > MAX_PLAN_BYTES:
        raise PlanError(f"the file is larger than {MAX_PLAN_BYTES >> 20} MiB")
    content = parse_json(text)
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
    plan = read_content(content)
    check_plan(plan)
    return plan


def read_content(content: dict[str, Json]) -> Plan:
    """The plan from its JSON without version and hash, not checked yet."""
    keys = ("model", "source", "device", "settings", "variable_bytes", "variables",
            "constant_bytes", "constants", "programs")  # fmt: skip
    fields = read_object(content, keys, "the plan")
    programs = read_object(fields["programs"], None, "programs")
    return Plan(
        read_text(fields["model"], "model"),
        read_text(fields["source"], "source"),
        tuple(_variable(v) for v in read_list(fields["variables"], "variables")),
        read_integer(fields["variable_bytes"], "variable_bytes"),
        tuple(_constant(c) for c in read_list(fields["constants"], "constants")),
        read_integer(fields["constant_bytes"], "constant_bytes"),
        {name: _program(p, f"program {name}") for name, p in programs.items()},
        read_text(fields["device"], "device"),
        read_value(read_object(fields["settings"], None, "settings"), "settings"),
    )


def _variable(value: Json) -> Variable:
    fields = read_object(value, ("path", "kind", "type", "offset"), "a variable")
    path = read_text(fields["path"], "a variable's path")
    where = f"variable {path}"
    kind, type = read_text(fields["kind"], where), read_type(fields["type"], where)
    return Variable(path, kind, type, read_integer(fields["offset"], where))


def _constant(value: Json) -> Constant:
    fields = read_object(value, ("type", "offset", "value"), "a constant")
    type = read_type(fields["type"], "a constant")
    offset = read_integer(fields["offset"], "a constant")
    return Constant(type, offset, read_value(fields["value"], "a constant"))


def _program(value: Json, where: str) -> Program:
    keys = ("name", "sizes", "arena_bytes", "commit", "inputs", "outputs", "buffers",
            "instructions")  # fmt: skip
    fields = read_object(value, keys, where)
    sizes = read_object(fields["sizes"], None, f"{where}: sizes")
    instructions = read_list(fields["instructions"], where)
    return Program(
        read_text(fields["name"], where),
        {name: read_integer(size, f"{where}: size {name}") for name, size in sizes.items()},
        tuple(_buffer(b, where) for b in read_list(fields["buffers"], where)),
        tuple(_port(p, where) for p in read_list(fields["inputs"], where)),
        tuple(_port(p, where) for p in read_list(fields["outputs"], where)),
        tuple(_instruction(i, f"{where}, instruction {k}") for k, i in enumerate(instructions)),
        read_integer(fields["arena_bytes"], where),
        read_integer(fields["commit"], where),
    )


def _buffer(value: Json, where: str) -> Buffer:
    space, offset, type = read_list(value, where, length=3)
    return Buffer(read_text(space, where), read_integer(offset, where), read_type(type, where))


def _port(value: Json, where: str) -> Port:
    name, buffer = read_list(value, where, length=2)
    return Port(read_text(name, where), read_integer(buffer, where))


def _instruction(value: Json, where: str) -> Instruction:
    keys = ("op", "in", "out", "attrs", "scratch", "flops", "bytes", "at", "path")
    has_body = isinstance(value, dict) and "body" in value
    fields = read_object(value, (*keys, "body") if has_body else keys, where)
    scratch = read_integers(fields["scratch"], where)
    if len(scratch) != 2:
        raise PlanError(f"{where}: `scratch` is not an offset and a size")
    attrs = read_object(fields["attrs"], None, where)
    return Instruction(
        read_text(fields["op"], where),
        read_integers(fields["in"], where),
        read_integers(fields["out"], where),
        {name: read_value(attr, where) for name, attr in attrs.items()},
        *scratch,
        read_integer(fields["flops"], where),
        read_integer(fields["bytes"], where),
        read_text(fields["at"], where),
        read_text(fields["path"], where),
        _program(fields["body"], f"{where}, body") if has_body else None,
    )
