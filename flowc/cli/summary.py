"""What a plan comes to: the facts as plain data, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from flowc_runtime.plan import Plan


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The numbers that a plan comes to, as plain data; bytes and flops are of one device."""
    from flowc_runtime.planfile import plan_hash

    return {
        "model": plan.model,
        "device": plan.device,
        "source_sha256": plan.source_hash,
        "plan_sha256": plan_hash(plan),
        "parameters": sum(_elements(v.type.sizes) for v in plan.variables if v.kind == "param"),
        "bytes_held": plan.bytes_held,
        "variable_bytes": plan.variable_bytes,
        "constant_bytes": plan.constant_bytes,
        "arena_bytes": plan.arena_bytes,
        "programs": {
            name: {
                "sizes": dict(program.sizes),
                "instructions": len(program.instructions),
                "arena_bytes": program.arena_bytes,
                "flops": program.flops,
                "bytes_moved": program.bytes_moved,
            }
            for name, program in plan.programs.items()
        },
    }


def _elements(sizes: Sequence[int]) -> int:
    return prod(sizes)


def plan_summary(facts: Mapping[str, Any]) -> Iterator[str]:
    """The facts as lines for people."""
    yield (
        f"{facts['model']} on {facts['device']}: {facts['parameters']:,} parameters, "
        f"{_size(facts['bytes_held'])} held ({_size(facts['arena_bytes'])} of them arena)"
    )
    for name, program in facts["programs"].items():
        yield (
            f"  {name:12} {program['instructions']:5} ops, peak arena "
            f"{_size(program['arena_bytes'])}, {program['flops']:,} flops a step"
        )


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
