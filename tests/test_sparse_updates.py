"""Tables of which a step uses few rows: the same bits as without the passes, and less work."""

from __future__ import annotations

import numpy as np
import pytest
from texts import open_session, step, trained

from flowc import passes
from flowc.passes.sparse_updates import sparse_updates
from flowc_runtime.executor import Session
from flowc_runtime.plan import Program

ROWS = 500

ONCE = """model m {{
  input i: i32[batch, 3]
  layer table = embedding({rows}, 8)
  loss = mean(square(table(i) - 1))
}}"""
TWICE = """model m {{
  input i: i32[batch, 3]
  layer table = embedding({rows}, 8)
  loss = mean(square(table(i[:, 0]) * table(i[:, 1:])[:, 0] - 1))
}}"""
TIED = """model m {{
  input i: i32[batch, 3]
  layer table = embedding({rows}, 8)
  loss = mean(logsumexp(table(i) @ transpose(table.table)))
}}"""

WALKED = """model m {{
  input i: i32[batch, time = 3]
  param table: f32[{rows}, 8] = normal
  h = scan i over time as it carry (h = fill([batch, 8], 0)) {{
    h = tanh(h + lookup(table, it))
  }}
  loss = mean(h)
}}"""


def made(model: str, optimizer: str, rest: str = "", rows: int = ROWS) -> Session:
    text = trained(model.format(rows=rows), inputs="i", batch=8, optimizer=optimizer, rest=rest)
    return open_session(text)


def indices(rows: int, number: int) -> dict[str, np.ndarray]:
    """Some of them twice, so that gradients have to be added up."""
    rng = np.random.default_rng(number)
    return {"i": rng.choice(rng.integers(0, rows, 6), (8, 3)).astype(np.int32)}


def after_steps(session: Session, rows: int = ROWS) -> dict[str, bytes]:
    for number in range(1, 6):
        step(session, indices(rows, number), number)
    return {path: value.tobytes() for path, value in session.variables.items()}


def ops(program: Program) -> set[str]:
    return {instruction.op for instruction in program.instructions}


@pytest.mark.parametrize("model", [ONCE, TWICE], ids=["once", "twice"])
@pytest.mark.parametrize(
    ("optimizer", "rest"),
    [("sgd(lr = 0.5)", ""), ("adagrad(lr = 0.1)", ""), ("sgd(lr = 0.5)", "clip_value = 0.01"),
     ("sgd(lr = cosine(0.5, 9))", "")],
)  # fmt: skip
def test_a_sparse_update_gives_the_bits_of_that_of_the_whole_table(
    model: str, optimizer: str, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = made(model, optimizer, rest)
    assert {"row_totals", "put_rows"} <= ops(sparse.plan.programs["train"])
    assert "scatter_add" not in ops(sparse.plan.programs["train"])
    others = tuple(p for p in passes.PASSES if p is not sparse_updates)
    monkeypatch.setattr(passes, "PASSES", others)
    whole = made(model, optimizer, rest)
    assert "scatter_add" in ops(whole.plan.programs["train"])
    assert after_steps(sparse) == after_steps(whole)


def test_no_instruction_goes_through_a_table_that_is_updated_in_few_rows() -> None:
    plan = made(ONCE, "adagrad(lr = 0.1)", rows=100_000).plan
    table = 100_000 * 8 * 4
    assert all(i.bytes < table / 10 for i in plan.programs["train"].instructions)
    assert plan.programs["train"].arena_bytes < table / 10


@pytest.mark.parametrize(
    ("model", "optimizer", "rest"),
    [(ONCE, "sgd(lr = 0.5, momentum = 0.9)", ""), (ONCE, "sgd(lr = 0.5, weight_decay = 0.1)", ""),
     (ONCE, "adam()", ""), (ONCE, "sgd(lr = 0.5)", "clip_norm = 1.0"), (TIED, "sgd(lr = 0.5)", ""),
     (WALKED, "sgd(lr = 0.5)", "")],
)  # fmt: skip
def test_an_update_that_changes_every_row_is_left_as_it_is(
    model: str, optimizer: str, rest: str
) -> None:
    assert "put_rows" not in ops(made(model, optimizer, rest).plan.programs["train"])


def test_an_index_outside_of_the_table_stops_the_step_before_it_writes() -> None:
    session = made(ONCE, "sgd(lr = 0.5)")
    before = session.variables["table.table"].copy()
    for wrong in (-1, ROWS):
        bad = indices(ROWS, 1)
        bad["i"][3, 1] = wrong
        with pytest.raises(Exception, match="is outside"):
            step(session, bad)
    np.testing.assert_array_equal(session.variables["table.table"], before)
