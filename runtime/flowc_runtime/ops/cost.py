"""Estimates of work: how many floating-point operations an element costs."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from flowc_runtime.ops.op import Attrs, Cost, Types, bytes_moved

# What one call costs next to one addition, on a CPU with vector units (measured with NumPy).
TRANSCENDENTAL_FLOPS = 10
DIVISION_FLOPS = 4
ERF_FLOPS = 25
POW_FLOPS = 25


def per_result_element(flops: int) -> Callable[[Types, Types, Attrs], Cost]:
    def cost(types: Types, results: Types, attrs: Attrs) -> Cost:
        return Cost(flops * sum(prod(r.sizes) for r in results), bytes_moved(types, results))

    return cost


def per_operand_element(types: Types, results: Types, attrs: Attrs) -> Cost:
    """Reductions touch each element of their operands once."""
    return Cost(sum(prod(t.sizes) for t in types), bytes_moved(types, results))


def moves_only(types: Types, results: Types, attrs: Attrs) -> Cost:
    """Data movement reads what it writes, and computes nothing."""
    return Cost(0, 2 * sum(r.bytes for r in results))
