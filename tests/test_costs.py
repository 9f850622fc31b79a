"""Costs: what instructions ask for, rates from measurements, and the file that holds them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from texts import plan_text
from zoo import FOLDER, LARGEST, models

from flowc.costs import Calibration, CalibrationError, CostModel, Seconds, default_calibration
from flowc.costs.calibration import read_calibration, write_calibration
from flowc.costs.fit import fit
from flowc.costs.signature import signature, signatures
from flowc.costs.work import Work, copying, works_of
from flowc.diagnostic import Sink
from flowc.driver import compile
from flowc.syntax.read import read_source
from flowc_runtime.calibrate.bench import entering_seconds, program_of, seconds_of
from flowc_runtime.calibrate.cases import Case, cases
from flowc_runtime.calibrate.steps import time_program
from flowc_runtime.executor import Session
from flowc_runtime.ops import CATALOG
from flowc_runtime.plan import Buffer, Instruction, Plan, Program
from flowc_runtime.types import parse_type

SMALL = """
model small {
  input x: f32[batch, 8]
  input y: f32[batch, 4]
  hidden = tanh(dense(x, 16))
  loss = mean((dense(hidden, 4) - y) ^ 2)
}

data d = csv("d.csv", columns = [0..7, 8..11]) -> (x, y)

train {
  data = d
  batch = 16
  steps = 10
  optimizer = sgd(lr = 0.1)
}
"""


@pytest.fixture(scope="module")
def small() -> Plan:
    return plan_text(SMALL)


def matmul(n: int, k: int, m: int, offset: int = 0) -> tuple[Instruction, list[Buffer]]:
    program = program_of(Case(
        "matmul", (parse_type(f"f32[{n}, {k}]"), parse_type(f"f32[{k}, {m}]")),
        {"transpose_a": False, "transpose_b": False}))  # fmt: skip
    buffers = [replace(b, offset=b.offset + offset) for b in program.buffers]
    return program.instructions[0], buffers


def scan_in(program: Program) -> Instruction:
    return next(i for i in program.instructions if i.body is not None)


# --- work -------------------------------------------------------------------------------------


def test_a_product_asks_for_its_operations_and_bytes() -> None:
    (work,) = works_of(*matmul(2, 3, 4))
    assert (work.key, work.calls, work.parts) == ("matmul", 1, 1)
    assert (work.flops, work.bytes) == (2 * 2 * 3 * 4, 4 * (6 + 12 + 8))


def test_only_what_no_cache_holds_counts_as_far() -> None:
    assert copying(1_000).far_bytes == 0
    assert copying(10_000_000).far_bytes == 20_000_000


def test_a_kernel_asks_for_each_of_its_lines_in_every_block() -> None:
    lines = ("t0 = mul(i0, i0)", "o0 = exp(t0)")
    type = parse_type("f32[300000]")
    program = program_of(Case("fused", (type,), {"lines": lines, "shape": (300_000,)}))
    works = works_of(program.instructions[0], program.buffers)
    assert [w.key for w in works] == ["mul", "exp"]
    assert [w.calls for w in works] == [3, 3]
    assert all(w.flops >= 300_000 for w in works)


def test_a_loop_asks_for_its_body_once_a_round() -> None:
    program = plan_of("char_lstm").programs["train"]
    scan = scan_in(program)
    assert scan.body is not None
    rounds = scan.attrs["length"]
    works = works_of(scan, program.buffers)
    inside = [w for i in scan.body.instructions for w in works_of(i, scan.body.buffers)]
    assert sum(w.flops for w in works) == rounds * sum(w.flops for w in inside)


# --- rates ------------------------------------------------------------------------------------


def test_a_fit_finds_the_rates_that_the_seconds_were_made_with() -> None:
    works = [Work("x", 1, 0, n, 10 * n % 7_919) for n in (10, 1_000, 50_000, 900_000)]
    seconds = [1e-6 + 2e-9 * w.flops + 3e-8 * w.bytes for w in works]
    found = fit(works, seconds)
    assert [found.of(w) for w in works] == pytest.approx(seconds, rel=1e-6)


def test_no_rate_is_below_zero() -> None:
    works = [Work("x", 1, 0, n) for n in (1, 10, 100)]
    found = fit(works, [5e-6, 4e-6, 3e-6])  # larger is quicker: noise
    assert min(found.seconds) >= 0


def test_nothing_measured_is_no_fit() -> None:
    with pytest.raises(ValueError, match="nothing"):
        fit([], [])


# --- signatures -------------------------------------------------------------------------------


def test_a_signature_does_not_depend_on_where_tensors_lie() -> None:
    assert signature(*matmul(2, 3, 4)) == signature(*matmul(2, 3, 4, offset=640))


def test_a_signature_tells_types_and_attributes_apart() -> None:
    instruction, buffers = matmul(4, 4, 4)
    turned = replace(instruction, attrs={**instruction.attrs, "transpose_a": True})
    names = {signature(instruction, buffers), signature(turned, buffers),
             signature(*matmul(4, 4, 5))}  # fmt: skip
    assert len(names) == 3


def test_which_random_numbers_are_drawn_does_not_matter() -> None:
    def drawn(stream: int) -> str:
        scalar = parse_type("i64[]")
        program = program_of(Case(
            "random_uniform", (scalar, scalar),
            {"shape": (4,), "dtype": "f32", "stream": stream}))  # fmt: skip
        return signature(program.instructions[0], program.buffers)

    assert drawn(1) == drawn(2)


# --- the model --------------------------------------------------------------------------------


def plan_of(model: str) -> Plan:
    sink = Sink()
    source = read_source(FOLDER / f"{model}.flow", sink)
    assert source is not None
    return compile(source, sink)[1]


@pytest.mark.parametrize("model", models(LARGEST))
def test_every_instruction_of_a_model_has_a_cost(model: str) -> None:
    costs = CostModel()
    for name, program in plan_of(model).programs.items():
        for instruction in program.instructions:
            seconds = costs.instruction(instruction, program.buffers).seconds
            assert 0 < seconds.alone <= seconds.crowded < 60, f"{name}: {instruction.op}"


def test_a_measured_instruction_goes_before_the_rates_of_its_kind(small: Plan) -> None:
    program = small.programs["train"]
    names = signatures(program)
    known = default_calibration().with_model({names[0]: Seconds(0.5, 0.75)}, {})
    cost = CostModel(known).instruction(program.instructions[0], program.buffers)
    assert cost.seconds == Seconds(0.5, 0.75)
    assert cost.shares == (0.5, 0.0, 0.0)


def test_without_a_calibration_every_figure_is_an_assumption(small: Plan) -> None:
    cost = CostModel().program(small.programs["train"])
    assert cost.shares == (0.0, 0.0, pytest.approx(cost.seconds.alone))


def test_a_kind_of_work_that_was_not_measured_is_assumed(small: Plan) -> None:
    program = small.programs["train"]
    none = replace(default_calibration(), rates={})
    cost = CostModel(none).program(program)
    assert cost.shares[2] == pytest.approx(CostModel().program(program).seconds.alone)


def test_a_program_costs_what_its_pieces_cost(small: Plan) -> None:
    program, costs = small.programs["train"], CostModel()
    whole = costs.program(program).seconds.alone
    halves = costs.program(program, 0, 3).seconds + costs.program(program, 3).seconds
    assert halves.alone == pytest.approx(whole)


# --- the file ---------------------------------------------------------------------------------


def test_a_calibration_is_read_as_it_was_written() -> None:
    known = default_calibration().with_model({"matmul-1": Seconds(1e-3, 2e-3)}, {"read m": Seconds(
        1e-6, 1e-6)})  # fmt: skip
    text = write_calibration(known)
    assert write_calibration(read_calibration(text, "x.json")) == text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.pop("rates"),
        lambda c: c.update(schema="flowc.calibration/0"),
        lambda c: c.update(crowding="much"),
        lambda c: c.update(crowding=-1.0),
        lambda c: c["rates"].update(matmul={"miles": 1.0}),
        lambda c: c["instructions"].update(x=[1.0]),
        lambda c: c["host"].update(colour="red"),
        lambda c: c["meeting"].update(bytes_per_s=0.0),
    ],
)
def test_a_damaged_calibration_is_refused_and_named(spoil) -> None:  # type: ignore[no-untyped-def]
    content = json.loads(write_calibration(default_calibration()))
    spoil(content)
    with pytest.raises(CalibrationError, match=r"hosts/a\.json"):
        read_calibration(json.dumps(content), "hosts/a.json")


def test_a_file_that_is_no_json_is_refused() -> None:
    with pytest.raises(CalibrationError) as caught:
        read_calibration("{", "a.json")
    assert (caught.value.code, "flowc calibrate" in caught.value.help) == (
        "calibration-damaged", True)


def test_the_defaults_know_every_op_that_has_a_kernel() -> None:
    known: Calibration = default_calibration()
    ops = {op for op, found in CATALOG.items() if found.kernel or found.calls}
    assert ops - {key.removesuffix(" of rows") for key in known.rates} <= {"reshape"}


# --- measuring --------------------------------------------------------------------------------


def test_every_op_that_has_a_kernel_is_measured() -> None:
    ops = {op for op, found in CATALOG.items() if found.kernel or found.calls}
    measured = {w.key for c in cases() for w in works_of(
        program_of(c).instructions[0], program_of(c).buffers)}  # fmt: skip
    assert ops - {key.removesuffix(" of rows") for key in measured} <= {"reshape"}


def test_each_case_is_of_one_kind_of_work() -> None:
    for case in cases():
        program = program_of(case)
        assert len(works_of(program.instructions[0], program.buffers)) == 1, case


def test_a_case_takes_some_time() -> None:
    assert 0 < seconds_of(next(iter(cases()))) < 1


def test_a_program_is_timed_instruction_by_instruction(small: Plan) -> None:
    seen: list[int] = []
    timed = time_program(Session(small, None), "train", seen.append, 0.0)
    assert len(timed.instructions) == len(small.programs["train"].instructions)
    assert min(timed.instructions) > 0
    assert timed.whole > 0
    assert seen == list(range(len(seen)))


def test_entering_a_program_without_instructions_takes_a_moment() -> None:
    assert entering_seconds() > 0
