"""Gradients that a program writes straight into the memory that others read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flowc.cluster import local
from flowc.diagnostic import Sink
from flowc.distributed import over, parse_sync
from flowc.jobs import Setup, prepare_training
from flowc.syntax.read import read_source
from flowc_runtime.cluster.plan import GRADIENT, Channel, ClusterPlan, TaskName
from flowc_runtime.cluster.shards import assign
from flowc_runtime.cluster.work.direct import direct_tensors
from flowc_runtime.executor import Session
from flowc_runtime.plan import Instruction, Program

MODEL = Path(__file__).parents[2] / "models" / "spiral.flow"
ME = TaskName("worker")


def plan_of(sync: str, shards: int = 2) -> ClusterPlan:
    sink = Sink()
    source = read_source(MODEL, sink)
    assert source is not None
    runs = over(local(2, 0 if sync == "all_reduce" else 1), parse_sync(sync))
    defines = {"train.shards": str(shards)}
    found = prepare_training(source, sink, Setup(defines, runs=runs)).planned.cluster_plan
    assert found is not None
    return found


def channel_of(plan: ClusterPlan) -> Channel:
    return next(c for c in plan.channels if c.kind == "gradients")


def direct(plan: ClusterPlan, program: Program | None = None) -> dict[str, int]:
    ranges = {str(TaskName("worker", k)): r for k, r in enumerate(assign(plan.shards, 2))}
    if program is not None:
        programs = {**plan.part(ME.role).plan.programs, GRADIENT: program}
        parts = [
            replace(p, plan=replace(p.plan, programs=programs)) if p.role == ME.role else p
            for p in plan.parts
        ]
        plan = replace(plan, parts=tuple(parts))
    return direct_tensors(plan, ME, ranges, channel_of(plan))


@pytest.mark.parametrize("sync", ["sync", "all_reduce"])
def test_all_gradients_of_one_shard_need_no_copy(sync: str) -> None:
    plan = plan_of(sync)
    assert direct(plan).keys() == {t.name for t in channel_of(plan).tensors}


@pytest.mark.parametrize(("sync", "shards"), [("sync", 4), ("async(2)", 2), ("backup(1)", 2)])
def test_sums_and_loose_modes_copy(sync: str, shards: int) -> None:
    assert direct(plan_of(sync, shards)) == {}


def test_what_is_read_stays_where_the_plan_has_it() -> None:
    plan = plan_of("sync")
    program = plan.part(ME.role).plan.programs[GRADIENT]
    first, *others = direct(plan).items()
    read_later = Instruction("neg", (first[1],), (others[0][1],), {})
    with_reader = replace(program, instructions=(*program.instructions, read_later))
    assert direct(plan, with_reader).keys() == dict(others[1:]).keys()
    reading_its_place = tuple(
        replace(i, operands=(*i.operands, first[1])) if first[1] in i.results else i
        for i in program.instructions
    )
    assert direct(plan, replace(program, instructions=reading_its_place)) == dict(others)


def test_results_elsewhere_are_the_same() -> None:
    plan = plan_of("all_reduce")
    session = Session(plan.part(ME.role).plan)
    bound = session.bind(GRADIENT)
    rng = np.random.default_rng(0)
    inputs = {n: rng.integers(0, 2, v.shape).astype(v.dtype) for n, v in bound.inputs.items()}
    variables = {n: rng.normal(size=v.shape).astype(v.dtype) for n, v in session.variables.items()}
    session.load(variables)

    def fill() -> None:
        for name, value in inputs.items():
            bound.inputs[name][...] = value

    fill()
    bound.run(0, len(bound.program.instructions))
    wanted = {name: view.copy() for name, view in bound.outputs.items()}
    places = {number: np.full_like(bound.outputs[name], 7) for name, number in direct(plan).items()}
    for view in bound.outputs.values():
        view[...] = 7
    fill()
    bound.run.into(places)(0, len(bound.program.instructions))
    for name, number in direct(plan).items():
        np.testing.assert_array_equal(places[number], wanted[name])
        assert (bound.outputs[name] != wanted[name]).any()
