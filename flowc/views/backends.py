"""Which instructions of a plan a backend has code of its own for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from flowc.planning.text import table
from flowc_runtime.device import Device
from flowc_runtime.plan import Plan, Program


def backend_facts(plan: Plan, device: Device) -> dict[str, Any]:
    """By program and op, how many instructions each backend carries out."""
    return {
        "model": plan.model,
        "backend": device.name,
        "programs": {name: _counts(program, device) for name, program in plan.programs.items()},
    }


def _counts(program: Program, device: Device) -> dict[str, dict[str, int]]:
    pairs = zip(program.instructions, device.runs_on(program), strict=True)
    counted = Counter((i.op, place) for i, place in pairs)
    found: dict[str, dict[str, int]] = {}
    for (op, place), count in sorted(counted.items()):
        found.setdefault(op, {})[place] = count
    return found


def backend_text(facts: Mapping[str, Any]) -> str:
    """The lines of `flowc inspect --backend`; ends with a newline."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{facts['model']}, backend {facts['backend']}: instructions by whose code they run on"
    for name, ops in facts["programs"].items():
        places = sorted({place for counts in ops.values() for place in counts})
        rows = [(name, *places)]
        rows += [(op, *(str(c[p]) if p in c else "-" for p in places)) for op, c in ops.items()]
        yield ""
        yield from table(rows, "<" + ">" * len(places))
