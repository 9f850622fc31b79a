"""`flowc profile`: every instruction is timed, and what is added up stays the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import MODELS, run

from flowc.profiling.profile import Row, grouped
from flowc_runtime.calibrate.roof import Roof

QUICK = ("--seconds", "0.1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(MODELS / "spiral.flow", "spiral.flow")
    Path("data").mkdir()
    shutil.copy(MODELS / "data" / "spiral.csv", "data/spiral.csv")
    return tmp_path


def facts(*arguments: str) -> dict[str, Any]:
    result = run("profile", "spiral.flow", *QUICK, "--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["schema"] == "flowc.profile/1"
    return found


def plan() -> dict[str, Any]:
    result = run("compile", "spiral.flow", "-o", "-")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_every_instruction_of_the_step_is_there_in_order() -> None:
    (train,) = facts()["programs"]
    wanted = plan()["programs"]["train"]["instructions"]
    assert [row["at"] for row in train["rows"]] == [i.get("at", "") for i in wanted]
    assert train["reads"] and train["whole"] > 0
    assert all(row["runs_on"] == "numpy" for row in train["rows"])
    begins = [row["began"] for row in train["rows"]]
    assert begins == sorted(begins)


@pytest.mark.parametrize("by", ["line", "op", "path"])
def test_rows_that_are_added_up_lose_nothing(by: str) -> None:
    (single,), (added,) = facts()["programs"], facts("--by", by)["programs"]
    for key in ("count", "flops", "bytes"):
        assert sum(r[key] for r in added["rows"]) == sum(r[key] for r in single["rows"])
    key = {"line": "at", "op": "name", "path": "path"}[by]
    assert len({r[key] for r in added["rows"]}) == len(added["rows"]) < len(single["rows"])


def test_the_text_names_lines_and_the_machine() -> None:
    result = run("profile", "spiral.flow", *QUICK, "--top", "2")
    first, second, _, *rest = result.stdout.splitlines()
    assert first == "spiral: batch 20, numpy, 1 thread"
    assert "GF/s in products of matrices" in second
    assert rest[0].startswith("train: ")
    assert "spiral.flow:" in rest[2] and "spiral.flow:" in rest[3]
    assert rest[4].startswith("and ") and len(rest) == 5


def test_the_trace_has_an_event_for_each_instruction(folder: Path) -> None:
    count = len(plan()["programs"]["train"]["instructions"])
    assert run("profile", "spiral.flow", *QUICK, "--trace", "t.json").exit_code == 0
    events = json.loads((folder / "t.json").read_text())["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert len(spans) == count
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-6 for a, b in zip(spans, spans[1:], strict=False))


def test_another_program_and_made_up_inputs() -> None:
    (found,) = facts("--program", "predict")["programs"]
    assert (found["program"], found["reads"]) == ("predict", False)
    result = run("profile", "spiral.flow", "--program", "serve")
    assert result.exit_code == 2
    assert "there is no program `serve`, only evaluate, init, predict, train" in result.stderr


def test_data_that_are_not_at_hand_are_made_up() -> None:
    Path("data/spiral.csv").unlink()
    (found,) = facts()["programs"]
    assert not found["reads"]


def test_a_native_profile_says_what_has_machine_code() -> None:
    pytest.importorskip("llvmlite")
    (found,) = facts("--backend", "native")["programs"]
    places = {row["name"]: row["runs_on"] for row in found["rows"]}
    assert places["matmul"] == "native"


def test_rows_together_name_each_backend_once() -> None:
    rows = [
        Row("copy", "", "", place, 1, 0.0, 1.0, 0, 0) for place in ("native", "native+numpy")]
    (together,) = grouped(rows, "name")
    assert together.runs_on == "native+numpy"


def test_the_roof_is_the_slower_of_arithmetic_and_memory() -> None:
    roof = Roof(100e9, 20e9)
    assert roof.seconds(10**9, 1) == pytest.approx(0.01)
    assert roof.seconds(1, 10**9) == pytest.approx(0.05)
