"""`flowc fmt`, `compile`, `explain`, `doctor`, `data` and `completion`."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from command_line import GOOD, MODELS, run, started

from flowc.cli import health
from flowc.cli.compile import STAGES
from flowc.cli.data import Progress
from flowc.cli.explain import plain
from flowc.explain import BadExplanation, explanations, parse_explanation
from flowc_runtime.data.pinned import COLLECTIONS
from flowc_runtime.planfile import plan_hash, read_plan

UGLY = "model m {\n  input   x : f32[batch,4] # four\n  output y = dense( x,2 )\n}\n"
NEAT = "model m {\n  input x: f32[batch, 4]  # four\n  output y = dense(x, 2)\n}\n"
MLP = MODELS / "fashion_mlp.flow"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- fmt --------------------------------------------------------------------------------------


def test_fmt_rewrites_the_file_and_names_it(folder: Path) -> None:
    Path("model.flow").write_text(UGLY)
    result = run("fmt")
    assert (result.exit_code, result.stdout) == (0, "model.flow\n")
    assert Path("model.flow").read_text() == NEAT


def test_fmt_leaves_a_neat_file_untouched(folder: Path) -> None:
    path = folder / "model.flow"
    path.write_text(NEAT)
    before = path.stat().st_mtime_ns
    result = run("fmt")
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.stat().st_mtime_ns == before


def test_fmt_check_names_what_would_change_and_writes_nothing(folder: Path) -> None:
    Path("a.flow").write_text(UGLY)
    Path("b.flow").write_text(NEAT)
    result = run("fmt", "--check", ".")
    assert (result.exit_code, result.stdout) == (1, "a.flow\n")
    assert "1 file would change" in result.stderr
    assert Path("a.flow").read_text() == UGLY


def test_fmt_check_is_content_with_neat_files(folder: Path) -> None:
    Path("a.flow").write_text(NEAT)
    assert run("fmt", "--check", "a.flow").exit_code == 0


def test_fmt_diff_shows_what_would_change(folder: Path) -> None:
    Path("a.flow").write_text(UGLY)
    result = run("fmt", "--diff", "a.flow")
    assert result.exit_code == 1
    assert result.stdout.startswith("--- a.flow\n+++ a.flow (formatted)\n@@ ")
    assert "+  output y = dense(x, 2)\n" in result.stdout
    assert Path("a.flow").read_text() == UGLY


def test_fmt_reads_stdin_and_writes_stdout() -> None:
    result = run("fmt", "-", input=UGLY)
    assert (result.exit_code, result.stdout, result.stderr) == (0, NEAT, "")


def test_fmt_check_of_stdin_only_tells_by_its_exit_code() -> None:
    assert run("fmt", "--check", "-", input=UGLY).exit_code == 1
    assert run("fmt", "--check", "-", input=NEAT).exit_code == 0


def test_fmt_of_a_wrong_text_on_stdin_writes_nothing_to_stdout() -> None:
    result = run("fmt", "-", input="model {{{\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "stdin:1:" in result.stderr


def test_fmt_of_bytes_on_stdin_that_are_no_text_is_a_mistake() -> None:
    result = run("fmt", "-", input=b"model \xff")
    assert result.exit_code == 1
    assert "UTF-8" in result.stderr


def test_fmt_takes_stdin_alone() -> None:
    assert run("fmt", "-", "a.flow", input=NEAT).exit_code == 2


def test_fmt_leaves_a_wrong_file_alone_and_formats_the_others(folder: Path) -> None:
    Path("a.flow").write_text("model {{{\n")
    Path("b.flow").write_text(UGLY)
    Path("c.flow").write_bytes(b"model \xff")
    result = run("fmt", ".")
    assert (result.exit_code, result.stdout) == (1, "b.flow\n")
    assert "2 left alone" in result.stderr
    assert Path("a.flow").read_text() == "model {{{\n"


# --- compile ----------------------------------------------------------------------------------


def test_compile_writes_the_plan_and_a_text_a_device(folder: Path) -> None:
    result = run("compile", MLP, "-o", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert sorted(path.name for path in Path("out").iterdir()) == ["cpu-0.txt", "plan.json"]
    assert read_plan(Path("out/plan.json").read_text()).model == "fashion_mlp"
    assert "written to out" in result.stderr


def test_the_summary_has_parameters_memory_and_work() -> None:
    told = run("compile", MLP, "-o", "-").stderr
    assert "101,770 parameters" in told
    assert "arena" in told
    assert "flops a step" in told


def test_without_a_folder_the_plan_lies_under_its_own_hash(folder: Path) -> None:
    assert run("compile", MLP).exit_code == 0
    (made,) = Path("build").iterdir()
    plan = read_plan((made / "plan.json").read_text())
    assert made.name == f"fashion_mlp-{plan_hash(plan)[:12]}"


def test_two_processes_write_the_same_bytes(folder: Path) -> None:
    for number in "12":
        assert started("compile", MLP, "-o", number, PYTHONHASHSEED=number).returncode == 0
    for name in ("plan.json", "cpu-0.txt"):
        assert Path("1", name).read_bytes() == Path("2", name).read_bytes()


def test_the_plan_can_go_to_stdout(folder: Path) -> None:
    result = run("compile", MLP, "-o", "-")
    assert read_plan(result.stdout).model == "fashion_mlp"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("stage", "piece"),
    [
        ("tree", "Model name=fashion_mlp"),
        ("graph", "# train.graph\n%0: u8[batch, 28, 28] = input"),
        ("gradients", "gradient."),
        ("update", "updates:"),
        ("optimised", "# train.optimised\n"),
        ("plan", "plan of fashion_mlp"),
    ],
)
def test_every_stage_can_be_printed_and_then_nothing_is_written(
    folder: Path, stage: str, piece: str
) -> None:
    assert stage in STAGES
    result = run("compile", MLP, "--emit", stage)
    assert result.exit_code == 0
    assert piece in result.stdout
    assert list(folder.iterdir()) == []


def test_a_stage_that_the_model_does_not_have_is_a_usage_error(folder: Path) -> None:
    Path("model.flow").write_text(GOOD)
    result = run("compile", "--emit", "gradients")
    assert result.exit_code == 2
    assert "is not trained" in result.stderr


def test_json_has_the_summary_as_data(folder: Path) -> None:
    facts = json.loads(run("compile", MLP, "--json", "-o", "out").stdout)
    assert facts["schema"] == "flowc.compile/1"
    assert facts["parameters"] == 101_770
    assert facts["folder"] == "out"
    assert set(facts["programs"]) == {"init", "train", "evaluate", "predict"}
    assert facts["bytes_held"] >= facts["arena_bytes"] > 0


def test_only_one_result_goes_to_stdout() -> None:
    assert run("compile", MLP, "--json", "--emit", "plan").exit_code == 2
    assert run("compile", MLP, "--json", "-o", "-").exit_code == 2


def test_hyperparameters_change_the_plan() -> None:
    plans = [run("compile", MLP, "-o", "-", "-D", f"hidden={n}").stdout for n in (32, 64)]
    first, second = map(read_plan, plans)
    assert first.variable_bytes < second.variable_bytes


def test_a_wrong_model_is_not_compiled(folder: Path) -> None:
    Path("model.flow").write_text(GOOD.replace("dense", "dnse"))
    result = run("compile", "-o", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error[unknown-name]" in result.stderr
    assert not Path("out").exists()


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    Path("out").write_text("in the way")
    result = run("compile", MLP, "-o", "out/deep")
    assert result.exit_code in (66, 74)
    assert "out/deep" in result.stderr


# --- explain ----------------------------------------------------------------------------------

EXPLANATION = """# no-loss: a training without a goal

`train` makes the loss small. Without one
there is nothing to do.

```flow failing
train {}
```

Give the model one:

```flow fixed
model m {}
```
"""


def test_an_explanation_has_a_title_a_text_and_two_examples() -> None:
    made = parse_explanation(EXPLANATION)
    assert (made.code, made.title) == ("no-loss", "a training without a goal")
    assert (made.failing, made.fixed) == ("train {}\n", "model m {}\n")


def test_an_explanation_is_shown_without_its_markup() -> None:
    shown = plain(parse_explanation(EXPLANATION).text)
    assert "```" not in shown
    assert "Without one there is nothing to do." in shown
    assert "Failing:\n    train {}\n" in shown
    assert shown.endswith("Fixed:\n    model m {}")


@pytest.mark.parametrize(
    "text",
    ["", "no title", "# Bad Code: title\n", "# code:\n", EXPLANATION + "```flow fixed\n```\n",
     EXPLANATION + "```flow other\n```\n"],
)  # fmt: skip
def test_an_explanation_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(BadExplanation):
        parse_explanation(text)


def test_every_code_of_the_runtime_is_explained() -> None:
    known = explanations()
    assert {"data-missing", "checkpoint-damaged", "run-busy", "not-finite"} <= known.keys()
    assert all(e.code == code and e.title and e.text for code, e in known.items())


def test_explain_tells_about_a_code() -> None:
    result = run("explain", "data-missing")
    assert result.exit_code == 0
    assert "data section names is not there" in result.stdout


def test_explain_without_a_code_lists_them_all() -> None:
    lines = run("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(explanations())


def test_explain_of_an_unknown_code_suggests_one() -> None:
    result = run("explain", "data-mising")
    assert result.exit_code == 2
    assert "did you mean `data-missing`?" in result.stderr


def test_explain_speaks_json() -> None:
    facts = json.loads(run("explain", "run-busy", "--json").stdout)
    assert facts["schema"] == "flowc.explain/1"
    assert facts["codes"][0]["code"] == "run-busy"


# --- doctor -----------------------------------------------------------------------------------


def test_the_doctor_says_a_line_a_check_and_finds_this_machine_able() -> None:
    result = run("doctor")
    assert result.exit_code == 0
    marks = [line.split()[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert len(marks) == len(health.CHECKS)
    assert set(marks) <= {"OK", "INFO", "WARN"}


def test_the_doctor_speaks_json() -> None:
    facts = json.loads(run("doctor", "--json").stdout)
    assert (facts["schema"], facts["ok"]) == ("flowc.doctor/1", True)
    assert {"level", "name", "text", "fix"} == set(facts["checks"][0])


def test_a_missing_gpu_is_worth_knowing_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert health.gpu().level == "INFO"
    assert health.pycuda().level in ("INFO", "OK")


def test_a_cache_that_cannot_be_written_is_a_warning_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FLOWC_CACHE_DIR", str(tmp_path / "file" / "cache"))
    finding = health.folders()
    assert finding.level == "WARN"
    assert "FLOWC_CACHE_DIR" in finding.fix


# --- data and completion ----------------------------------------------------------------------


def test_data_list_names_every_data_set_with_its_licence() -> None:
    lines = run("data", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(COLLECTIONS)
    assert "MIT" in lines[0]


def test_data_list_speaks_json_with_checksums() -> None:
    facts = json.loads(run("data", "list", "--json").stdout)
    assert facts["schema"] == "flowc.data/1"
    assert len(facts["collections"][0]["files"][0]["sha256"]) == 64


def test_an_unknown_data_set_is_missing_and_one_is_suggested() -> None:
    result = run("data", "get", "fashion-minst")
    assert result.exit_code == 66
    assert "`fashion-mnist` exists" in result.stderr


def test_a_home_that_does_not_answer_is_told_and_leaves_no_file(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = run("data", "get", "mnist", "--from", f"http://127.0.0.1:{port}/", "--to", "sets")
    assert result.exit_code == 69
    assert "error[data-download]" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(Path("sets").iterdir()) == []


def test_progress_is_a_line_a_file_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    for done in (1_000_000, 2_000_000, 3_000_000):
        progress("a.gz", done, 3_000_000)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "a.gz  3.0 of 3.0 MB\n")


@pytest.mark.parametrize("name", ["get", "list"])
def test_the_commands_of_a_group_have_examples_too(name: str) -> None:
    shown = run("data", name, "-h").stdout
    assert shown.index("Examples:") < shown.index("Options:")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_FLOWC_COMPLETE" in result.stdout


def test_completion_knows_the_shells() -> None:
    assert run("completion", "tcsh").exit_code == 2


def test_the_shell_is_offered_the_commands() -> None:
    done = started(_FLOWC_COMPLETE="bash_complete", COMP_WORDS="flowc com", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,compile", "plain,completion"]
