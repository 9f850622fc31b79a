"""What a plan comes to, in a line or two."""

from __future__ import annotations

from math import prod

from flowc_runtime.plan import Plan


def plan_summary(plan: Plan) -> str:
    """Parameters, and for each program its instructions, arena and work."""
    parameters = sum(prod(v.type.sizes) for v in plan.variables if v.kind == "param")
    lines = [
        f"{plan.model}: {parameters:,} parameters, {size(plan.variable_bytes)} of variables "
        f"on {plan.device}"
    ]
    for name in ("train", "evaluate", "predict"):
        program = plan.programs.get(name)
        if program is not None:
            flops = sum(i.flops for i in program.instructions)
            lines.append(
                f"  {name}: {len(program.instructions)} instructions, "
                f"{size(program.arena_bytes)} arena, {flops / 1e6:,.1f} MFLOP"
            )
    return "\n".join(lines)


def size(count: int) -> str:
    """Bytes in the unit that a person reads."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
