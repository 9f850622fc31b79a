"""`flowc inspect`: models, stages, reasons, plans, checkpoints and runs, as text and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from flowc.cli.main import flowc
from flowc_runtime.checkpoint import Position, Progress, save_weights
from flowc_runtime.plan import Variable
from flowc_runtime.runfolder import RunFacts, create_run
from flowc_runtime.types import TensorType

ROOT = Path(__file__).parent.parent
MLP = str(ROOT / "models" / "fashion_mlp.flow")
SMALL = """\
hyper width: int = 4 in 1..64

model small {
  input x: f32[batch, 3]
  input y: f32[batch]

  h = x |> dense(width) |> relu
  param scale: f32[width] = normal(std = 0.5)
  state seen: i64[] = 0
  if training {
    next seen = seen + 1
  }
  estimate = sum(h * scale, over = -1)
  loss = mean(mse(estimate, y))
  output estimate = estimate
}

data train = csv("d.csv", columns = [0..2, 3]) -> (x, y)

train {
  data = train
  batch = 8
  steps = 10
  optimizer = sgd(lr = 0.1, momentum = 0.9)
}
"""


def run(*args: object) -> Result:
    return CliRunner().invoke(flowc, ["inspect", *map(str, args)])


def shown(*args: object) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def facts(*args: object) -> dict[str, Any]:
    found = json.loads(shown(*args, "--json"))
    assert found["schema"] == "flowc.inspect/1"
    return dict(found)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.flow"
    path.write_text(SMALL)
    return path


@pytest.fixture
def plan(small: Path) -> Path:
    result = CliRunner().invoke(flowc, ["compile", str(small), "-o", str(small.parent / "out")])
    assert result.exit_code == 0, result.output
    return small.parent / "out" / "plan.json"


VARIABLES = (
    Variable("w", "param", TensorType("f32", (2, 3)), 0),
    Variable("w:m", "slot", TensorType("f32", (2, 3)), 64),
)
VALUES = {
    "w": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
    "w:m": np.full((2, 3), np.nan, np.float32),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A run folder with a checkpoint of step 20 and a measurement."""
    started = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    about = RunFacts("small", ("flowc", "train"), "abc", 7, started)
    progress = Progress(Position(20, 1, 4), 7, 0.25, {"accuracy": 0.75})
    with create_run(about, "{}", {"small.flow": SMALL}, tmp_path / "run") as folder:
        folder.checkpoints.save("small", VARIABLES, VALUES, progress)
        folder.metrics.write({"event": "step", "step": 10, "loss": 0.5})
        folder.metrics.write({"event": "step", "step": 20, "loss": 0.25})
    return tmp_path / "run"


# --- models -----------------------------------------------------------------------------------


def test_the_summary_has_every_parameter_with_its_type_size_start_and_line(small: Path) -> None:
    text = shown(small)
    line = next(line for line in text.splitlines() if "h.dense.weight" in line)
    assert line.split() == ["h.dense.weight", "f32[3,", "4]", "12", "48", "B", "glorot", "7:12"]
    assert "normal(std = 0.5)" in text
    assert "20 parameters, 80 B" in text


def test_the_summary_has_inputs_outputs_states_data_settings_and_programs(small: Path) -> None:
    text = shown(small)
    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles[1:9] == [
        "hypers", "inputs", "parameters", "states", "outputs", "data", "train", "programs",
    ]  # fmt: skip
    assert "sgd(lr = 0.1, momentum = 0.9)" in text


def test_the_summary_as_json_has_the_same_facts(small: Path) -> None:
    found = facts(small)
    assert found["kind"] == "model"
    weight = next(v for v in found["variables"] if v["path"] == "h.dense.weight")
    assert (weight["type"], weight["count"], weight["initial"]) == ("f32[3, 4]", 12, "glorot")
    assert found["hypers"] == [{"name": "width", "value": 4, "at": f"{small}:1:1"}]
    assert found["train"]["batch"] == "8"


def test_a_define_changes_what_is_shown(small: Path) -> None:
    found = facts(small, "-D", "width=6", "-D", "train.batch=2")
    assert found["hypers"][0]["value"] == 6
    assert found["train"]["batch"] == "2"
    assert found["programs"]["train"]["sizes"] == {"batch": 2}


def test_one_program_can_be_shown_alone(small: Path) -> None:
    assert list(facts(small, "--program", "predict")["programs"]) == ["predict"]


def test_a_frozen_parameter_is_marked(small: Path) -> None:
    small.write_text(SMALL.replace("batch = 8", 'batch = 8\n  freeze = "scale"'))
    frozen = {v["path"]: v["frozen"] for v in facts(small)["variables"]}
    assert frozen["scale"] and not frozen["h.dense.weight"]


def test_a_model_that_is_not_trained_is_shown_too(small: Path) -> None:
    small.write_text(SMALL.partition("data train")[0])
    found = facts(small)
    assert found["train"] is None
    assert "train" not in found["programs"]


def test_mistakes_in_a_model_are_told_and_nothing_is_shown(small: Path) -> None:
    small.write_text(SMALL.replace("relu", "rleu"))
    result = run(small)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "rleu" in result.stderr


# --- stages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage, sign",
    [
        ("tree", "Model"),
        ("graph", "f32[batch, 3] = input"),
        ("gradients", "gradient.h.dense.weight = "),
        ("update", ":velocity"),
        ("optimised", "= fused("),
        ("plan", "plan of small"),
    ],
)
def test_every_stage_has_a_text(small: Path, stage: str, sign: str) -> None:
    assert sign in shown(small, "--stage", stage)


def test_a_stage_of_another_program_is_shown_on_request(small: Path) -> None:
    text = shown(small, "--stage", "optimised", "--program", "predict")
    assert "output.estimate" in text
    assert "loss" not in text


def test_a_graph_as_json_has_its_nodes_outputs_and_updates(small: Path) -> None:
    found = facts(small, "--stage", "graph")
    assert found["stage"] == "train.graph"
    assert found["nodes"][0]["types"] == ["f32[batch, 3]"]
    assert "loss" in found["outputs"]
    assert len(found["updates"]) == 1


def test_the_tree_of_a_text_with_mistakes_is_shown_beside_them(small: Path) -> None:
    small.write_text(SMALL.replace("relu", "rleu"))
    result = run(small, "--stage", "tree")
    assert "Model" in result.stdout
    assert "rleu" in result.stderr


def test_a_stage_that_the_program_does_not_pass_is_refused(small: Path) -> None:
    result = run(small, "--stage", "graph", "--program", "predict")
    assert result.exit_code == 1
    assert "no stage `graph` of `predict`" in result.stderr


# --- pictures ---------------------------------------------------------------------------------


def test_a_model_is_drawn_as_svg_into_a_file(small: Path) -> None:
    out = small.parent / "m.svg"
    assert shown(small, "--svg", "-o", out) == ""
    root = ElementTree.fromstring(out.read_text())
    assert root[0].text == "small.flow: train.graph"


def test_a_model_is_drawn_as_dot(small: Path) -> None:
    assert shown(small, "--dot").startswith('digraph "small.flow: train.graph" {')


def test_a_deeper_picture_has_more_boxes(small: Path) -> None:
    assert len(shown(small, "--dot", "--depth", "1")) < len(shown(small, "--dot", "--depth", "all"))


def test_a_program_without_a_graph_stage_is_drawn_as_it_is_executed(small: Path) -> None:
    assert '"small.flow: predict.optimised"' in shown(small, "--dot", "--program", "predict")


@pytest.mark.parametrize("depth", ["0", "-1", "some"])
def test_a_depth_is_all_or_a_number_from_one(small: Path, depth: str) -> None:
    result = run(small, "--svg", f"--depth={depth}")
    assert result.exit_code == 2
    assert f"`{depth}`" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--depth", "1"),
        ("--svg", "--json"),
        ("--why", "h", "--svg"),
        ("--stage", "tree", "--svg"),
        ("--stage", "tree", "--program", "train"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(options: tuple[str, ...]) -> None:
    assert run(MLP, *options).exit_code == 2


# --- why --------------------------------------------------------------------------------------


def answer(path: Path, name: str) -> dict[str, Any]:
    found = facts(path, "--why", name)["answers"]
    assert len(found) == 1
    return dict(found[0])


def test_why_traces_a_parameter_s_sizes_to_both_origins(small: Path) -> None:
    three, four = answer(small, "h.dense.weight")["dimensions"]
    assert three["size"] == "3"
    assert "dimension 1 of x: f32[batch, 3]" in three["why"][0]
    assert f"{small}:4:3" in three["why"][0]
    assert four["why"] == [
        f"the argument `width` at {small}:7:18",
        f"hyper width = 4, {small}:1:7",
    ]


def test_why_tells_who_uses_a_parameter_and_where_it_lies(small: Path) -> None:
    found = answer(small, "h.dense.weight")
    assert [user["op"] for user in found["used_by"]] == ["matmul"]
    train = next(life for life in found["lives"] if life["program"] == "train")
    assert train["space"] == "variables"
    assert train["bytes"] == 48
    assert train["read"][0]["op"] == "matmul"
    assert train["written"]


@pytest.mark.parametrize(
    ("model", "name", "told"),
    [
        ("two_stage", "stem", "on stage 0, worker:0, which names it"),
        ("two_stage", "body.dense.weight", "used on stage 1, worker:1, which names it"),
        ("lenet", "features", "on every worker, for its shards of the batch"),
        ("lenet", "features.dense.weight", "on the one that held least when its turn came"),
    ],
)
def test_why_tells_where_a_name_is_over_a_cluster(model: str, name: str, told: str) -> None:
    [answer] = facts(ROOT / "models" / f"{model}.flow", "--why", name)["answers"]
    assert any(told in line for line in answer["over_a_cluster"])


def test_why_tells_how_long_a_bound_name_lives_in_the_arena(small: Path) -> None:
    found = answer(small, "h")
    assert found["type"] == "f32[batch, 4]"
    predict = [life for life in found["lives"] if life["program"] == "predict"]
    assert {life["space"] for life in predict} == {"arena"}
    assert all(life["written"][0]["number"] < life["read"][-1]["number"] for life in predict)


@pytest.mark.parametrize(
    "name, what",
    [
        ("x", "an input"),
        ("loss", "an output"),
        ("output.estimate", "an output"),
        ("seen", "a state"),
        ("scale:velocity", "a slot of the optimizer"),
        ("width", "a hyperparameter, 4 here"),
        ("batch", "an open dimension of x, y"),
        ("h.dense", "a block of 4 nodes"),
    ],
)
def test_why_knows_all_kinds_of_names(small: Path, name: str, what: str) -> None:
    assert answer(small, name)["what"] == what


def test_why_takes_the_end_of_a_path_for_all_that_end_so(small: Path) -> None:
    answers = facts(small, "--why", "weight")["answers"]
    assert [found["name"] for found in answers] == ["h.dense.weight"]


def test_why_looks_into_the_rounds_of_a_scan() -> None:
    found = facts(ROOT / "models" / "char_lstm.flow", "--why", "hidden")["answers"]
    assert [f["type"] for f in found] == ["f32[batch, 64, 128]"]
    assert found[0]["dimensions"][1]["why"][0].startswith("dimension 1 of tokens: i32[batch, 64]")


def test_why_says_what_binds_an_open_dimension(small: Path) -> None:
    assert "train.batch binds it to 8" in answer(small, "batch")["facts"]


def test_why_answers_in_text(small: Path) -> None:
    text = shown(small, "--why", "h.dense.weight")
    assert text.startswith("h.dense.weight: f32[3, 4]\n  a parameter at ")
    assert [title for title in ("dimensions", "used by", "in memory") if title not in text] == []


def test_why_suggests_a_name_for_one_that_is_not_known(small: Path) -> None:
    result = run(small, "--why", "h.dense.wieght")
    assert result.exit_code == 1
    assert "did you mean `h.dense.weight`?" in result.stderr


# --- plans ------------------------------------------------------------------------------------


def test_a_plan_is_shown_as_a_table_of_instructions(plan: Path) -> None:
    text = shown(plan)
    assert text.startswith("plan of small for cpu:0")
    assert "program train (batch = 8)" in text


def test_the_folder_of_a_plan_stands_for_it(plan: Path) -> None:
    assert shown(plan.parent) == shown(plan)


def test_one_program_of_a_plan_is_shown_or_drawn(plan: Path) -> None:
    assert "program train" not in shown(plan, "--program", "predict")
    assert '"plan.json, program predict"' in shown(plan, "--dot", "--program", "predict")


def test_a_plan_as_json_has_its_numbers(plan: Path) -> None:
    found = facts(plan)
    assert found["kind"] == "plan"
    assert found["programs"]["train"]["sizes"] == {"batch": 8}
    assert found["bytes_held"] > 0


def test_an_edited_plan_is_refused(plan: Path) -> None:
    plan.write_text(plan.read_text().replace('"batch": 8', '"batch": 9'))
    result = run(plan)
    assert result.exit_code == 1
    assert "error[plan-damaged]" in result.stderr
    assert "hash" in result.stderr


# --- weights, checkpoints, runs ---------------------------------------------------------------


def test_weights_are_shown_tensor_by_tensor(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", VARIABLES, VALUES)
    found = facts(tmp_path / "w.safetensors")
    assert found["tensors"] == [
        {"name": "w", "dtype": "f32", "shape": [2, 3], "bytes": 24, "min": 1.0, "max": 6.0,
         "mean": 3.5, "not_finite": 0},
    ]  # fmt: skip
    assert "[2, 3]" in shown(tmp_path / "w.safetensors")


def test_a_checkpoint_is_verified_and_shown_with_its_progress(saved: Path) -> None:
    text = shown(saved / "checkpoints" / "step-00000020")
    assert "verified    sound" in text
    assert "step 20, epoch 2, batch 4 next" in text
    assert "accuracy 0.75" in text


def test_numbers_that_are_not_finite_are_counted(saved: Path) -> None:
    slot = facts(saved / "checkpoints" / "step-00000020")["tensors"][1]
    assert slot["kind"] == "slot"
    assert (slot["min"], slot["mean"], slot["not_finite"]) == (None, None, 6)


def test_a_damaged_checkpoint_ends_with_1_and_says_why(saved: Path) -> None:
    folder = saved / "checkpoints" / "step-00000020"
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x")
    result = run(folder)
    assert result.exit_code == 1
    assert "damaged: model.safetensors" in result.stdout
    assert run(folder, "--json").exit_code == 1


def test_a_run_is_shown_with_its_last_measurements_and_checkpoints(saved: Path) -> None:
    text = shown(saved)
    assert "step 20, loss 0.25" in text
    assert "step-00000020  sound" in text
    assert "step 10" not in text


def test_the_checkpoints_of_a_run_are_listed(saved: Path) -> None:
    found = facts(saved / "checkpoints")["checkpoints"]
    assert [(c["step"], c["sound"]) for c in found] == [(20, True)]


def test_a_torn_line_of_the_measurements_is_passed_over(saved: Path) -> None:
    with (saved / "metrics.jsonl").open("a") as file:
        file.write('{"event": "step", "st')
    assert facts(saved)["measured"]["step"]["step"] == 20


# --- what cannot be shown ---------------------------------------------------------------------


def test_a_file_that_is_not_there_ends_with_66() -> None:
    result = run("nowhere.flow")
    assert result.exit_code == 66
    assert "nowhere.flow: no such file" in result.stderr


@pytest.mark.parametrize("content", [b"", b"hello", b"{}", b"\x00" * 100])
def test_a_file_of_another_kind_ends_with_1(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thing.bin"
    path.write_bytes(content)
    result = run(path)
    assert result.exit_code == 1
    assert "error[inspect-unknown]" in result.stderr


def test_a_folder_of_another_kind_ends_with_1(tmp_path: Path) -> None:
    assert "error[inspect-unknown]" in run(tmp_path).stderr


def test_what_is_asked_of_models_alone_is_refused_for_others(plan: Path, saved: Path) -> None:
    assert run(plan, "--why", "x").exit_code == 2
    assert run(saved, "--stage", "plan").exit_code == 2
    assert run(saved, "--svg").exit_code == 2


def test_cut_weights_are_told_as_damaged(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", VARIABLES, VALUES)
    path = tmp_path / "w.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    result = run(path)
    assert result.exit_code == 1
    assert "error[checkpoint-damaged]" in result.stderr


@pytest.mark.parametrize(
    "code", ["inspect-unknown", "inspect-name", "inspect-program", "inspect-too-large",
             "plan-damaged"],
)  # fmt: skip
def test_its_codes_are_explained(code: str) -> None:
    result = CliRunner().invoke(flowc, ["explain", code])
    assert result.exit_code == 0
    assert code in result.stdout


LENET = Path(__file__).parents[1] / "models" / "lenet.flow"


def backends(backend: str) -> Any:
    return json.loads(run(LENET, "--backend", backend, "--json").stdout)["programs"]


def test_which_instructions_have_machine_code() -> None:
    pytest.importorskip("llvmlite")
    native, numpy = backends("native")["train"], backends("numpy")["train"]
    assert (native["conv"], numpy["conv"]) == ({"native": 2}, {"numpy": 2})
    assert native["argmax"] == {"numpy": 1}
    text = run(LENET, "--backend", "native", "--program", "train").stdout
    assert "conv " in text and "native" in text and "evaluate" not in text


def test_which_instructions_run_on_a_gpu_is_said_without_one() -> None:
    programs = backends("cuda")
    assert programs["train"]["conv"] == {"cuda": 2} and programs["init"] == {
        "broadcast": {"cuda": 8}, "fused": {"cuda": 4}, "random_normal": {"cuda": 2},
        "random_uniform": {"cuda": 2}}  # fmt: skip


def test_a_backend_is_of_a_model_and_of_no_stage() -> None:
    assert run(LENET, "--backend", "numpy", "--stage", "plan").exit_code == 2
    assert run(LENET, "--backend", "numpy", "--svg").exit_code == 2
