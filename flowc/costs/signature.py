"""Signatures: by what one knows an instruction again whose seconds were measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from flowc_runtime.plan import Buffer, Instruction, Program

DIGITS = 20  # of a sha256


def signature(instruction: Instruction, buffers: Sequence[Buffer]) -> str:
    """`matmul-4f0c…`: the same for the same op, attributes and types, wherever they lie."""
    text = json.dumps(_facts(instruction, buffers), sort_keys=True)
    return f"{instruction.op}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"


def signatures(program: Program) -> tuple[str, ...]:
    """Those of its instructions, in order."""
    return tuple(signature(i, program.buffers) for i in program.instructions)


def reading_signature(model: str, program: Program) -> str:
    """That of filling the inputs of a model's program with examples."""
    types = sorted(
        f"{p.name}: {program.buffers[p.buffer].type}" for p in program.inputs
        if p.name not in ("seed", "step")
    )
    return f"read {model} {', '.join(types)}"


def _facts(instruction: Instruction, buffers: Sequence[Buffer]) -> list[Any]:
    facts: list[Any] = [
        instruction.op,
        [str(buffers[k].type) for k in instruction.operands],
        [str(buffers[k].type) for k in instruction.results],
        [[name, repr(value)] for name, value in sorted(instruction.attrs.items())
         if name != "stream"],  # which random numbers they are does not matter
    ]
    if instruction.body is not None:
        facts.append([_facts(i, instruction.body.buffers) for i in instruction.body.instructions])
    return facts
