"""The plan as a text for people: what a device holds, and what it does step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowc_runtime.plan import Buffer, Instruction, Plan, Program
from flowc_runtime.planfile.write import plan_hash

_BYTES = ("B", "kB", "MB", "GB", "TB")
_FLOPS = ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP")
MAX_VALUE_CHARACTERS = 24  # of a constant


def plan_text(plan: Plan) -> str:
    """One text for the plan's device: a header, the variables, and a table for each program.

    A tensor is shown as `name: type @offset`, the offset in bytes of its space; `=` after a
    result's offset says that it takes over the bytes of an operand.
    """
    return "\n".join(_plan_lines(plan)) + "\n"


def _plan_lines(plan: Plan) -> Iterator[str]:
    yield f"plan of {plan.model} for {plan.device}"
    yield f"  hash       {plan_hash(plan)}"
    yield f"  source     {plan.source_hash}"
    for name, value in sorted(plan.settings.items()):
        yield f"  {name:10} {value}"
    yield (
        f"  holds      {plan.bytes_held:,} bytes: variables {plan.variable_bytes:,}, "
        f"constants {plan.constant_bytes:,}, arena {plan.arena_bytes:,}"
    )
    for name, program in plan.programs.items():
        yield (
            f"  {name:10} peak {scaled(program.arena_bytes, _BYTES)}, "
            f"{scaled(program.flops, _FLOPS)}, {scaled(program.bytes_moved, _BYTES)} moved, "
            f"{_count(len(program.instructions), 'instruction')}"
        )
    if plan.variables:
        yield ""
        yield "variables"
        yield from _table([
            [f"  {v.path}: {v.type} @{v.offset}", v.kind] for v in plan.variables
        ])  # fmt: skip
    names = _outside_names(plan)
    for name, program in plan.programs.items():
        yield ""
        yield from _program_lines(name, program, names)


def scaled(amount: int, units: tuple[str, ...]) -> str:
    """An amount in the unit that keeps it below a thousand: `12.3 MB`."""
    value, unit = float(amount), 0
    while value >= 999.5 and unit + 1 < len(units):
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {units[unit]}" if unit else f"{amount} {units[0]}"


def _program_lines(name: str, program: Program, outside: Mapping[Buffer, str]) -> Iterator[str]:
    sizes = ", ".join(f"{k} = {v}" for k, v in sorted(program.sizes.items()))
    yield f"program {name}" + (f" ({sizes})" if sizes else "")
    yield from _body_lines(program, outside, indent="  ")


def _body_lines(program: Program, outside: Mapping[Buffer, str], indent: str) -> Iterator[str]:
    names = _names(program, outside)
    for port in program.inputs:
        yield f"{indent}input {_shown(port.buffer, program, names)}"
    for port in program.outputs:
        yield f"{indent}output {port.name} = {_shown(port.buffer, program, names)}"
    rows = [_row(k, i, program, names, indent) for k, i in enumerate(program.instructions)]
    table = _table(rows)
    for number, (line, instruction) in enumerate(zip(table, program.instructions, strict=True)):
        if number == program.commit:
            yield f"{indent}-- from here on variables are written"
        yield line
        yield from (f"{indent}         {text}" for text in instruction.attrs.get("lines", ()))
        if instruction.body is not None:
            yield from _body_lines(instruction.body, outside, indent + "       ")


def _row(
    number: int, i: Instruction, program: Program, names: Mapping[int, str], indent: str
) -> list[str]:
    operands = [program.buffers[k] for k in i.operands]
    results = ", ".join(
        f"{names[k]}: {b.type} @{b.offset}" + ("=" if any(b.meets(o) for o in operands) else "")
        for k, b in ((k, program.buffers[k]) for k in i.results)
    )
    attrs = "".join(
        f" {name}={_short(value)}" for name, value in sorted(i.attrs.items()) if name != "lines"
    )
    scratch = f" scratch={i.scratch_bytes}@{i.scratch_offset}" if i.scratch_bytes else ""
    return [
        f"{indent}{number:4}  {i.op}",
        f"{results} <- {', '.join(names[k] for k in i.operands)}{attrs}{scratch}",
        scaled(i.flops, _FLOPS),
        scaled(i.bytes, _BYTES),
        i.at,
        i.path,
    ]


def _shown(number: int, program: Program, names: Mapping[int, str]) -> str:
    buffer = program.buffers[number]
    return f"{names[number]}: {buffer.type} @{buffer.offset}"


def _names(program: Program, outside: Mapping[Buffer, str]) -> dict[int, str]:
    """Variables by path, constants by value, inputs by name, the rest by number."""
    names = {k: outside.get(b, f"b{k}") for k, b in enumerate(program.buffers)}
    return names | {p.buffer: p.name for p in program.inputs}


def _outside_names(plan: Plan) -> dict[Buffer, str]:
    names = {Buffer("constants", c.offset, c.type): _short(c.value) for c in plan.constants}
    names |= {Buffer("variables", v.offset, v.type): v.path for v in plan.variables}
    for program in plan.programs.values():
        for buffer in program.buffers:
            if buffer.space == "variables" and buffer not in names:
                names[buffer] = _stretch(plan, buffer)
    return names


def _stretch(plan: Plan, buffer: Buffer) -> str:
    """The name of a buffer over several variables that lie one behind the other."""
    inside = [v.path for v in plan.variables if buffer.offset <= v.offset < buffer.end]
    return f"{inside[0]}..{inside[-1]}" if len(inside) > 1 else inside[0]


def _short(value: object) -> str:
    text = str(value).replace(" ", "")
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[:MAX_VALUE_CHARACTERS]}…"


def _table(rows: list[list[str]]) -> list[str]:
    """Rows with their columns aligned, the widest of all but a few outliers deciding."""
    widths = [min(max(map(len, column)), 110) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")
