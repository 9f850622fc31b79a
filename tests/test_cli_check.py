"""`flowc check`: where its results go, what it exits with, what it repairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import GOOD, MODELS, run

from flowc.cli.checking import apply, check_file
from flowc.diagnostic import Fix
from flowc.source import Source, Span

WRONG = "model m {\n  input x: f32[batch, 4]\n  output y = rleu(x)\n}\n"
ODD = "model m {\n  input x: f32[batch, 4]\n  unused = x + 1\n  output y = relu(x)\n}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "model.flow") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- which files ------------------------------------------------------------------------------


def test_without_paths_the_model_of_this_folder_is_checked(folder: Path) -> None:
    write(folder, GOOD)
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout == "ok: 2 ops, 10 parameters, 0 warnings\n"
    assert result.stderr == ""


def test_without_a_model_here_the_message_says_how_to_get_one(folder: Path) -> None:
    result = run("check")
    assert result.exit_code == 66
    assert "model.flow: no such file here" in result.stderr
    assert "flowc new NAME" in result.stderr


def test_a_folder_stands_for_all_the_models_in_it_but_not_for_hidden_ones(folder: Path) -> None:
    write(folder, GOOD, "b.flow")
    write(folder, GOOD, "deep/a.flow")
    write(folder, WRONG, ".venv/c.flow")
    result = run("check", ".")
    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "b.flow", "deep/a.flow"
    ]  # fmt: skip


def test_a_folder_without_models_is_an_error(folder: Path) -> None:
    result = run("check", ".")
    assert result.exit_code == 66
    assert "holds no .flow file" in result.stderr


def test_a_file_that_is_named_twice_is_checked_once(folder: Path) -> None:
    write(folder, GOOD, "a.flow")
    assert run("check", "a.flow", "a.flow").stdout.count("ok:") == 1


def test_a_file_of_blocks_to_import_needs_no_model(folder: Path) -> None:
    write(folder, "block twice(x) {\n  return x + x\n}\n")
    assert run("check").stdout == "ok: 1 definition, 0 warnings\n"


def test_a_file_that_trains_needs_a_model(folder: Path) -> None:
    write(folder, "train {\n  batch = 3\n}\n")
    result = run("check")
    assert result.exit_code == 1
    assert "no-model" in result.stderr


def test_all_the_models_that_come_with_flowc_are_sound() -> None:
    assert run("check", MODELS, "--strict").exit_code == 0


# --- results ----------------------------------------------------------------------------------


def test_mistakes_go_to_stderr_with_place_and_code(folder: Path) -> None:
    write(folder, WRONG)
    result = run("check")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error[unknown-name]")
    assert "model.flow:3:14" in result.stderr
    assert result.stderr.endswith("1 error, 0 warnings\n")


def test_a_sound_file_is_named_beside_a_wrong_one(folder: Path) -> None:
    write(folder, GOOD, "a.flow")
    write(folder, WRONG, "b.flow")
    result = run("check", "a.flow", "b.flow")
    assert result.exit_code == 1
    assert result.stdout.startswith("a.flow: ok: ")


def test_warnings_fail_only_where_they_are_told_to(folder: Path) -> None:
    write(folder, ODD)
    assert run("check").exit_code == 0
    assert "1 warning\n" in run("check").stdout
    assert "warning[unused-name]" in run("check").stderr
    assert run("check", "--strict").exit_code == 1


def test_what_a_shared_import_gets_wrong_is_told_once(folder: Path) -> None:
    write(folder, "block bad(x) {\n  return nothing\n}\n", "parts.flow")
    for name in ("a.flow", "b.flow"):
        write(folder, 'import "parts.flow" (bad)\n' + GOOD.replace("dense(x, 2)", "bad(x)"), name)
    assert run("check", "a.flow", "b.flow").stderr.count("nothing is called `nothing`") == 1


def test_hyperparameters_can_be_set(folder: Path) -> None:
    write(folder, "hyper n: int = 2\n" + GOOD.replace("(x, 2)", "(x, n)"))
    assert "10 parameters" in run("check").stdout
    assert "25 parameters" in run("check", "-D", "n=5").stdout


def test_a_hyperparameter_that_does_not_exist_is_an_error(folder: Path) -> None:
    write(folder, "hyper width: int = 2\n" + GOOD.replace("(x, 2)", "(x, width)"))
    result = run("check", "-D", "widht=3")
    assert result.exit_code == 1
    assert "did you mean -D width=" in result.stderr


@pytest.mark.parametrize("given", [["-D", "n"], ["-D", "=3"], ["-D", "n=1", "-D", "n=2"]])
def test_a_setting_that_cannot_be_meant_is_a_usage_error(given: list[str]) -> None:
    assert run("check", *given).exit_code == 2


def test_json_is_one_object_with_its_schema(folder: Path) -> None:
    write(folder, WRONG, "a.flow")
    write(folder, GOOD, "b.flow")
    result = run("check", "--format", "json", "a.flow", "b.flow")
    assert result.exit_code == 1
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["schema"] == "flowc.check/1"
    assert report["ok"] is False
    assert report["files"] == [
        {"file": "a.flow", "ok": False},
        {"file": "b.flow", "ok": True, "ops": 2, "parameters": 10},
    ]
    (found,) = report["diagnostics"]
    assert (found["code"], found["line"], found["column"]) == ("unknown-name", 3, 14)


def test_sarif_is_of_the_version_that_code_hosts_read(folder: Path) -> None:
    write(folder, WRONG)
    log = json.loads(run("check", "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["results"][0]["ruleId"] == "unknown-name"


def test_github_gets_a_line_a_mistake_and_nothing_for_none(folder: Path) -> None:
    path = write(folder, WRONG)
    assert run("check", "--format", "github").stdout.startswith("::error ")
    path.write_text(GOOD)
    assert run("check", "--format", "github").stdout == ""


def test_bytes_that_are_no_text_are_told_like_any_mistake(folder: Path) -> None:
    (folder / "model.flow").write_bytes(b"model \xff {}\n")
    result = run("check")
    assert result.exit_code == 1
    assert "error[not-utf8]" in result.stderr


def test_a_parameter_that_cannot_learn_is_found_without_compiling(folder: Path) -> None:
    write(folder, """model m {
  input x: f32[batch, 4]
  param w: f32[4] = ones
  param lost: f32[4] = ones
  loss = mean(x @ w)
  metric other = sum(lost)
}
data d = csv("d.csv", columns = [0..3]) -> (x)
train {
  data = d
}
""")
    result = run("check")
    assert result.exit_code == 0
    assert "warning[no-gradient]" in result.stderr


# --- repairs ----------------------------------------------------------------------------------


def test_fix_repairs_what_has_a_repair_and_checks_again(folder: Path) -> None:
    path = write(folder, WRONG)
    result = run("check", "--fix")
    assert result.exit_code == 0
    assert result.stderr == "model.flow: 1 repaired\n"
    assert path.read_text() == WRONG.replace("rleu", "relu")


def test_fix_goes_on_with_what_a_repair_has_uncovered(folder: Path) -> None:
    path = write(folder, "model m {\n  input x: f32[batch, 4];\n  output y = rleu(x)\n}\n")
    assert run("check", "--fix").exit_code == 0
    assert path.read_text() == WRONG.replace("rleu", "relu")


def test_fix_keeps_line_ends_and_rights(folder: Path) -> None:
    path = folder / "model.flow"
    path.write_bytes(WRONG.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    run("check", "--fix")
    assert path.read_bytes() == WRONG.replace("rleu", "relu").replace("\n", "\r\n").encode()
    assert path.stat().st_mode & 0o777 == 0o640


def test_fix_leaves_alone_what_has_none(folder: Path) -> None:
    path = write(folder, WRONG.replace("rleu", "zzzzz"))
    before = path.stat().st_mtime_ns
    assert run("check", "--fix").exit_code == 1
    assert path.stat().st_mtime_ns == before


def test_fix_does_not_touch_files_that_are_only_imported(folder: Path) -> None:
    parts = write(folder, "block bad(x) {\n  return rleu(x)\n}\n", "parts.flow")
    write(folder, 'import "parts.flow" (bad)\n' + GOOD.replace("dense(x, 2)", "bad(x)"))
    assert run("check", "--fix").exit_code == 1
    assert "rleu" in parts.read_text()


def test_edits_are_applied_from_the_end_so_that_places_stay_right() -> None:
    source = Source("m", "aa bb cc")
    fixes = [Fix(Span(source, 0, 2), "long"), Fix(Span(source, 6, 8), "")]
    assert apply(fixes) == "long bb "


def test_a_report_of_a_sound_file_counts_what_is_in_it(folder: Path) -> None:
    report = check_file(write(folder, GOOD), {})
    assert report.facts == {"ops": 2, "parameters": 10}
