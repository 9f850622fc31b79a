"""Evaluation: loss and metrics over all examples of a stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flowc_runtime.data.stream import Stream
from flowc_runtime.plan import Plan
from flowc_runtime.training.inputs import bind_inputs
from flowc_runtime.training.steps import Steps, metrics_of

Array = np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Means over `examples`; `left_out` are those that no program of the plan takes."""

    loss: float
    metrics: Mapping[str, float]
    examples: int
    left_out: int = 0


@dataclass
class _Means:
    """Means of the batches' values, each weighted by its examples."""

    examples: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, values: Mapping[str, float], examples: int) -> None:
        self.examples += examples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * examples

    def mean(self, name: str) -> float:
        return self.sums[name] / self.examples


def evaluate(plan: Plan, steps: Steps, data: Stream, seed: int, step: int) -> Evaluation:
    """Loss and metrics over one epoch of `data`, with the variables as they stand.

    Each is the mean over the examples of what the model computes a batch. The last, smaller
    batch goes through the program `evaluate@REST` where the plan has it, else it is left out.
    """
    means = _Means()
    left_out = 0
    targets: dict[str, list[Array]] = {}
    for index in range(data.batches_per_epoch):
        size = data.size(index)
        program = evaluation_program(plan, size)
        if program is None:
            left_out += size
            continue
        if program not in targets:
            targets[program] = bind_inputs(data, steps.inputs(program), size)
        data.read(0, index, targets[program])
        outputs = steps.run(program, seed=seed, step=step)
        means.add({"": float(outputs["loss"])} | metrics_of(outputs), size)
    if not means.examples:
        return Evaluation(math.nan, {}, 0, left_out)
    metrics = {name: means.mean(name) for name in means.sums if name}
    return Evaluation(means.mean(""), metrics, means.examples, left_out)


def evaluation_program(plan: Plan, batch: int) -> str | None:
    """The program of `plan` that evaluates `batch` examples at once, if it has one."""
    bound = plan.programs["evaluate"].sizes.get("batch", batch)
    if bound == batch:
        return "evaluate"
    name = f"evaluate@{batch}"
    return name if name in plan.programs else None
