"""The page of the ops, from the runtime's catalog."""

from __future__ import annotations

from flowc_runtime.ops import FAMILIES
from flowc_runtime.ops.op import Op, Sample
from flowc_runtime.types import parse_type
from pages.markdown import Lines, literal, page, sentence


def ops() -> str:
    intro = [
        "The primitives that a plan may name, with the fused kernels, loops and copies that the",
        "planner makes of them. The language has [functions](functions.md) for them; a graph in",
        "`flowc compile --emit graph` is made of nothing else.",
        "",
    ]
    return page("Ops", intro, *(_op_family(name, family) for name, family in FAMILIES.items()))


def _op_family(name: str, family: tuple[Op, ...]) -> Lines:
    yield f"## {name.capitalize()}"
    yield ""
    for op in family:
        yield f"### {op.name}"
        yield ""
        operands = ", ".join(op.operands) + (", ..." if op.variadic else "")
        yield f"`{op.name}({operands})` — {sentence(op.doc)}"
        yield ""
        yield from _op_facts(op)
        yield ""


def _op_facts(op: Op) -> Lines:
    for attr in op.attrs:
        default = "" if attr.required else f" (`{literal(attr.default)}`)"
        yield f"- `{attr.name}`: {attr.doc}{default}"
    if op.kernel is not None:
        kinds = ["elementwise"] if op.elementwise else []
        kinds.append("differentiable" if op.gradient else "no derivative")
        yield f"- {', '.join(kinds)}"
    if op.samples:
        yield f"- for example {_sample(op, op.samples[0])}"


def _sample(op: Op, sample: Sample) -> str:
    results = op.infer(tuple(map(parse_type, sample.types)), sample.attrs)
    attrs = [f"{key}={literal(value)}" for key, value in sample.attrs.items()]
    inner = ", ".join([*sample.types, *attrs])
    return f"`{op.name}({inner})` gives `{', '.join(map(str, results))}`"
