"""What a plan comes to on each device and link, as plain data: `flowc.plan/1`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from flowc.cluster import TaskSpec
from flowc.costs import SOURCES, Cost, CostModel
from flowc.planning.compiled import Compiled
from flowc.predict import Prediction, predict, predict_alone, ranges_of
from flowc_runtime.cluster.memory import Held, bytes_held
from flowc_runtime.cluster.plan import GRADIENT, UPDATE, ClusterPlan, TaskName
from flowc_runtime.cluster.planfile import cluster_plan_hash
from flowc_runtime.plan import Plan
from flowc_runtime.planfile import plan_hash

CostsOf = Callable[[str], CostModel]  # of a host
ALONE_HOST = "this machine"
STEP_PROGRAMS = ("train", GRADIENT, UPDATE)


def facts_of(compiled: Compiled, costs: CostsOf) -> dict[str, Any]:
    """All that `flowc plan` tells. Only the figures under `seconds` depend on a calibration."""
    if compiled.parts is None:
        return _alone(compiled, costs(ALONE_HOST))
    assert compiled.tasks is not None and compiled.cluster is not None
    parts, tasks, cluster = compiled.parts, compiled.tasks, compiled.cluster
    first = costs(min(spec.host for spec in tasks.values()))
    alone = predict_alone(compiled.alone, first, compiled.shards).step_seconds
    prediction = predict(parts, tasks, cluster.link, costs, alone)
    return {
        "model": parts.model,
        "plan_sha256": cluster_plan_hash(parts),
        "sync": str(parts.sync),
        "batch": parts.batch,
        "shards": parts.shards,
        "devices": [
            _device(parts, name, spec, tasks, prediction, costs(spec.host))
            for name, spec in tasks.items()
        ],
        "links": [_link(prediction, k) for k in range(len(prediction.links))],
        "prediction": _prediction(prediction),
        "costs": _sources(_step_cost(parts, tasks, costs)),
    }


# --- one process ------------------------------------------------------------------------------


def _alone(compiled: Compiled, costs: CostModel) -> dict[str, Any]:
    plan = compiled.alone
    prediction = predict_alone(plan, costs, compiled.shards)
    device = {
        "task": "alone",
        "role": "alone",
        "host": ALONE_HOST,
        **_program_facts(plan),
        "bytes": {
            "variables": plan.variable_bytes, "constants": plan.constant_bytes,
            "arena": plan.arena_bytes, "channels": 0, "sums": 0, "total": plan.bytes_held,
        },
        "seconds": {"compute": prediction.step_seconds, "wait": 0.0},
    }  # fmt: skip
    total = Cost.none()
    for name in STEP_PROGRAMS:
        if name in plan.programs:
            total += costs.program(plan.programs[name])
    assert compiled.checked.settings is not None
    return {
        "model": plan.model,
        "plan_sha256": plan_hash(plan),
        "sync": None,
        "batch": compiled.checked.settings.batch,
        "shards": compiled.shards,
        "devices": [device],
        "links": [],
        "prediction": _prediction(prediction),
        "costs": _sources(total),
    }


# --- a cluster --------------------------------------------------------------------------------


def _device(
    parts: ClusterPlan, name: TaskName, spec: TaskSpec, tasks: Mapping[TaskName, TaskSpec],
    prediction: Prediction, costs: CostModel,
) -> dict[str, Any]:
    time = prediction.tasks[name]
    return {
        "task": str(name),
        "role": name.role,
        "host": spec.host,
        **_program_facts(parts.part(name.role).plan),
        "bytes": _bytes(held_by(parts, name, tasks)),
        "seconds": {"compute": time.compute, "wait": time.wait},
    }


def held_by(parts: ClusterPlan, name: TaskName, tasks: Mapping[TaskName, TaskSpec]) -> Held:
    """What a task allocates, given where the others are."""
    elsewhere = [str(t) for t, spec in tasks.items() if spec.host != tasks[name].host]
    return bytes_held(parts, name, ranges_of(parts), elsewhere)


def _bytes(held: Held) -> dict[str, int]:
    return {
        "variables": held.variables, "constants": held.constants, "arena": held.arena,
        "channels": held.channels, "sums": held.sums, "total": held.total,
    }  # fmt: skip


def _program_facts(plan: Plan) -> dict[str, Any]:
    return {
        "parameters": sum(prod(v.type.sizes) for v in plan.variables if v.kind == "param"),
        "programs": {
            name: {"ops": len(program.instructions), "flops": program.flops,
                   "arena_bytes": program.arena_bytes}
            for name, program in plan.programs.items() if name in STEP_PROGRAMS
        },
    }  # fmt: skip


def _link(prediction: Prediction, number: int) -> dict[str, Any]:
    link = prediction.links[number]
    return {"from": link.producer, "to": link.consumer, "bytes": link.bytes,
            "seconds": link.seconds}  # fmt: skip


# --- time -------------------------------------------------------------------------------------


def _prediction(prediction: Prediction) -> dict[str, Any]:
    limiting = prediction.limiting_link
    slower = prediction.speed_up is not None and prediction.speed_up < 1
    return {
        "step_seconds": prediction.step_seconds,
        "path": [{"task": s.task, "what": s.what, "seconds": s.seconds} for s in prediction.path],
        "alone_seconds": prediction.alone_seconds,
        "speed_up": prediction.speed_up,
        "limiting_link": [limiting.producer, limiting.consumer] if slower and limiting else None,
    }


def _step_cost(
    parts: ClusterPlan, tasks: Mapping[TaskName, TaskSpec], costs: CostsOf
) -> Cost:
    """The instructions of all tasks, once each."""
    total = Cost.none()
    for name, spec in tasks.items():
        for program in parts.part(name.role).plan.programs.values():
            total += costs(spec.host).program(program)
    return total


def _sources(cost: Cost) -> dict[str, float]:
    """Which part of the instructions' seconds is known how well."""
    total = sum(cost.shares) or 1.0
    return {source: share / total for source, share in zip(SOURCES, cost.shares, strict=True)}
