"""Plans: what a device holds and executes, as plain data and as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from flowc.views.errors import bad_plan
from flowc_runtime.plan import Plan, Program

Facts = dict[str, Any]


def plan_facts(plan: Plan) -> Facts:
    """The plan in numbers; its instructions stand in the plan's file."""
    from flowc_runtime.planfile import plan_hash

    return {
        "model": plan.model,
        "device": plan.device,
        "version": plan.version,
        "hash": plan_hash(plan),
        "source_sha256": plan.source_hash,
        "settings": dict(plan.settings),
        "bytes_held": plan.bytes_held,
        "variable_bytes": plan.variable_bytes,
        "constant_bytes": plan.constant_bytes,
        "arena_bytes": plan.arena_bytes,
        "variables": [
            {"path": v.path, "kind": v.kind, "type": str(v.type), "bytes": v.type.bytes,
             "offset": v.offset}
            for v in plan.variables
        ],  # fmt: skip
        "programs": {name: program_facts(p) for name, p in plan.programs.items()},
    }


def program_facts(program: Program) -> Facts:
    """A program in numbers, for one run of it."""
    types = {p.name: str(program.buffers[p.buffer].type) for p in program.inputs}
    results = {p.name: str(program.buffers[p.buffer].type) for p in program.outputs}
    return {
        "sizes": dict(program.sizes),
        "inputs": types,
        "outputs": results,
        "instructions": len(program.instructions),
        "commit": program.commit,
        "arena_bytes": program.arena_bytes,
        "flops": program.flops,
        "bytes_moved": program.bytes_moved,
    }


def only(plan: Plan, program: str) -> Plan:
    """The plan with one of its programs, for a view of that one; KeyError where it has no such."""
    return replace(plan, programs={program: plan.programs[program]})


def read_plan_file(path: Path) -> Plan:
    """The plan in a file; raises NotShown `plan-damaged` where it holds none."""
    from flowc_runtime.planfile import PlanError, read_plan

    try:
        return read_plan(path.read_bytes().decode())
    except (PlanError, UnicodeDecodeError) as reason:
        raise bad_plan(path, reason) from None
