"""One instruction at a time, through what a device binds for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence

import numpy as np

from flowc_runtime.blocking import fused_scratch_bytes
from flowc_runtime.calibrate.cases import Case
from flowc_runtime.device import Device, Run
from flowc_runtime.executor import Session
from flowc_runtime.expression import parse_expression
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Array, Types
from flowc_runtime.plan import ALIGNMENT_BYTES, Buffer, Instruction, Plan, Port, Program

NAME = "case"
SPREAD_BYTES = 8 << 20  # operands lie in several places in turn, as those of a plan do
MOST_PLACES = 8
SAMPLE_SECONDS = 1e-3  # of one sample: many calls of a small op
SAMPLES = 7
SMALL_SECONDS = 5e-6  # of a call whose beginning costs more than its work
LOW, HIGH = 0.1, 0.9  # of floats: within the domain of every op


def program_of(case: Case) -> Program:
    """The case as a program of one instruction, with its operands as inputs."""
    results = _results(case)
    buffers, end = [], 0
    for type in (*case.operands, *results):
        buffers.append(Buffer("arena", end, type))
        end += _rounded(type.bytes)
    count = len(case.operands)
    scratch = _scratch(case, results)
    flops, bytes = _cost(case, results)
    instruction = Instruction(
        case.op, tuple(range(count)), tuple(range(count, len(buffers))), case.attrs,
        end, scratch, flops, bytes)  # fmt: skip
    ports = tuple(Port(f"x{k}", k) for k in range(count))
    return Program(
        NAME, {}, tuple(buffers), ports, (), (instruction,), end + _rounded(scratch), 0)


def seconds_of(case: Case, device: Device | None = None) -> float:
    """Seconds of one execution: the median of several samples."""
    program = program_of(case)
    plan = _plan(program)
    count = max(1, min(MOST_PLACES, SPREAD_BYTES // max(1, program.arena_bytes)))
    places = [Session(plan, None, device) for _ in range(count)]
    runs = [session.bind(NAME).run for session in places]
    for session in places:
        _fill(session, case)
    with np.errstate(all="ignore"):
        once = _sample(runs, 1)
        rounds = max(1, int(SAMPLE_SECONDS / (once / len(runs)) / len(runs)))
        return statistics.median(_sample(runs, rounds) for _ in range(SAMPLES)) / (
            rounds * len(runs))


def mixing(
    cases: Iterable[Case], alone: Iterable[float], device: Device | None = None
) -> float:
    """How much longer small calls take when each follows a different one, as in a plan."""
    few = [(c, s) for c, s in zip(cases, alone, strict=True) if s < SMALL_SECONDS]
    sessions = [Session(_plan(program_of(case)), None, device) for case, _ in few]
    for session, (case, _) in zip(sessions, few, strict=True):
        _fill(session, case)
    runs = [session.bind(NAME).run for session in sessions]
    with np.errstate(all="ignore"):
        together = statistics.median(_sample(runs, 10) / 10 for _ in range(SAMPLES))
    return max(1.0, together / sum(seconds for _, seconds in few))


def entering_seconds() -> float:
    """What a run of one instruction costs besides the instruction."""
    run = Session(_plan(Program(NAME, {}, (), (), (), (), 0, 0)), None).bind(NAME).run
    return min(_sample([run], 1000) / 1000 for _ in range(SAMPLES))


def _plan(program: Program) -> Plan:
    return Plan("calibration", "", (), 0, (), 0, {NAME: program})


def _sample(runs: Sequence[Run], rounds: int) -> float:
    begun = time.perf_counter()
    for _ in range(rounds):
        for run in runs:
            run(0, 1)
    return time.perf_counter() - begun


def _fill(session: Session, case: Case) -> None:
    random = np.random.default_rng(1)
    for view in session.inputs(NAME).values():
        view[...] = _values(view, case.below, random)


def _values(view: Array, below: int, random: np.random.Generator) -> Array:
    if view.dtype.kind == "f":
        return random.uniform(LOW, HIGH, view.shape)
    return random.integers(0, 2 if view.dtype.kind == "b" else below, view.shape)


def _results(case: Case) -> Types:
    if case.op == "copy":
        return case.operands
    if case.op == "fused":
        return parse_expression(case.attrs["lines"]).result_types(
            case.operands, case.attrs["shape"])
    return CATALOG[case.op].infer(case.operands, case.attrs)


def _scratch(case: Case, results: Types) -> int:
    if case.op == "copy":
        return 0
    if case.op == "fused":
        return fused_scratch_bytes(
            case.attrs["lines"], case.operands, results, case.attrs["shape"])
    return CATALOG[case.op].scratch_bytes(case.operands, results, case.attrs)


def _cost(case: Case, results: Types) -> tuple[int, int]:
    if case.op in ("copy", "fused"):
        return 0, 0  # what is made of them does not read it
    cost = CATALOG[case.op].cost(case.operands, results, case.attrs)
    return cost.flops, cost.bytes


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
