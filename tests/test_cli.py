"""The command line: what `flowc` says on its own, and how commands end."""

from __future__ import annotations

import errno
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import GOOD, MODELS, ROOT, run, started

from flowc import __version__
from flowc.cli.command import LazyGroup
from flowc.cli.ending import end
from flowc.cli.main import COMMANDS, flowc, wants_color
from flowc.diagnostic import Stop
from flowc_runtime.checkpoint.errors import CheckpointError
from flowc_runtime.data.errors import DataError
from flowc_runtime.events import Error
from flowc_runtime.runfolder.errors import RunError
from flowc_runtime.training.errors import TrainingFailed

# --- flowc on its own -------------------------------------------------------------------------


def test_flowc_alone_says_where_to_start() -> None:
    result = run()
    assert result.exit_code == 0
    start = result.stdout.partition("Start here:\n")[2].partition("\n\n")[0].splitlines()
    assert len(start) == 4
    assert start[0].strip().startswith("flowc new")


def test_the_help_promises_that_nothing_is_sent_anywhere() -> None:
    assert "no telemetry" in run("-h").stdout


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout == f"flowc {project['version']}\n"
    assert __version__ == project["version"]


def imported_by(*args: str) -> set[str]:
    """The modules that a call of flowc loads."""
    code = (
        "import sys\nfrom flowc.cli.main import flowc\n"
        f"try:\n    flowc({list(args)!r})\nexcept SystemExit:\n    pass\n"
        "print('|', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.rpartition("|")[2].split())


def test_the_version_needs_neither_numpy_nor_a_single_command() -> None:
    loaded = imported_by("--version")
    assert not {"numpy", "lark", "rich", "platformdirs", "flowc.driver"} & loaded
    assert not {entry.module for entry in COMMANDS.values()} & loaded


def test_a_check_needs_neither_rich_nor_tensorboard() -> None:
    loaded = imported_by("check", str(MODELS / "fashion_mlp.flow"))
    assert "flowc.driver" in loaded
    assert not {"rich", "tensorboardX", "safetensors", "platformdirs"} & loaded


def test_an_unknown_command_is_a_usage_error_with_a_suggestion() -> None:
    result = run("chek")
    assert result.exit_code == 2
    assert "no command `chek`; did you mean `check`?" in result.stderr


def test_an_unknown_option_is_a_usage_error() -> None:
    assert run("check", "--nope").exit_code == 2


# --- every command ----------------------------------------------------------------------------


def found(name: str) -> click.Command:
    command = flowc.get_command(click.Context(flowc), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help_with_examples_before_its_options(name: str, option: str) -> None:
    result = run(name, option)
    assert result.exit_code == 0
    examples, options = result.stdout.index("Examples:"), result.stdout.index("Options:")
    assert examples < options
    assert 2 <= result.stdout[examples:options].count("flowc ") <= 6


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_itself_says(name: str) -> None:
    assert COMMANDS[name].summary == (found(name).help or "").splitlines()[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = [p for p in found(name).params if isinstance(p, click.Option)]
    assert [o.name for o in options if not o.help] == []


def test_options_are_read_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "m.flow").write_text(GOOD)
    result = run("check", tmp_path, FLOWC_CHECK_FORMAT="json")
    assert result.stdout.startswith('{"schema": "flowc.check/1"')


def test_a_folder_to_go_to_is_left_again(tmp_path: Path) -> None:
    (tmp_path / "model.flow").write_text(GOOD)
    before = Path.cwd()
    result = run("-C", tmp_path, "check")
    assert result.exit_code == 0
    assert result.stdout.startswith("ok: ")
    assert Path.cwd() == before


def test_a_folder_to_go_to_must_be_there() -> None:
    assert run("-C", "no/such/folder", "check").exit_code == 2


# --- colours ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "environ", "wanted"),
    [
        ("auto", {}, None),
        ("auto", {"NO_COLOR": "1"}, False),
        ("auto", {"NO_COLOR": ""}, None),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"CLICOLOR_FORCE": "1"}, True),
        ("auto", {"CLICOLOR_FORCE": "0"}, None),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("auto", {"TERM": "dumb"}, False),
        ("auto", {"CI": "true"}, False),
        ("auto", {"CI": "true", "FORCE_COLOR": "1"}, True),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_follow_the_option_then_the_environment(
    choice: str, environ: dict[str, str], wanted: bool | None
) -> None:
    assert wants_color(choice, environ) is wanted


def test_colours_are_written_only_where_they_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "m.flow").write_text("model m {\n  output y = z\n}\n")
    assert "\x1b[" in run("--color", "always", "check", tmp_path).stderr
    assert "\x1b[" not in run("check", tmp_path).stderr
    assert "\x1b[" not in run("--color", "never", "check", tmp_path).stderr


# --- endings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("data-missing", "data file not found", "data/a.csv"), 66),
        (DataError("data-outside", "path leaves the project", "../a.csv"), 77),
        (DataError("data-width", "5 cells, expected 4", "a.csv", 3), 1),
        (DataError("data-download", "no home answers"), 69),
        (CheckpointError("checkpoint-damaged", "sha256 differs"), 1),
        (CheckpointError("disk-full", "disk full while saving"), 74),
        (CheckpointError("checkpoint-unwritable", "permission denied"), 74),
        (RunError("run-busy", "in use by pid 7"), 69),
        (RunError("run-exists", "holds a run"), 1),
        (OSError(errno.ENOSPC, "No space left on device", "a"), 74),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a"), 66),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 74),
        (MemoryError(), 1),
        (Stop(), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (TrainingFailed(Error("not-finite", "the loss is not finite")), 1),
        (TrainingFailed(Error("disk-full", "disk full")), 74),
    ],
)
def test_each_ending_has_its_exit_code(error: BaseException, code: int) -> None:
    assert end(error) == code


def test_an_error_is_told_with_place_code_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    end(DataError("data-value", 'column 5 is "N/A"', "a.csv", 1043, help="na = drop"))
    told = capsys.readouterr()
    assert told.out == ""
    first, second, third = told.err.splitlines()
    assert first == 'error[data-value]: a.csv:1043: column 5 is "N/A"'
    assert second.strip() == "= help: na = drop"
    assert third.strip() == "(flowc explain data-value)"


def test_a_failed_training_is_not_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    end(TrainingFailed(Error("not-finite", "the loss is not finite")))
    assert capsys.readouterr().err == ""


def test_a_full_disk_behind_an_error_decides_the_exit_code() -> None:
    error = DataError("data-download", "cannot be written to")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert end(error) == 74


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "flowc"


def bug() -> RuntimeError:
    try:
        raise RuntimeError("two and two are five")
    except RuntimeError as error:
        return error


def test_a_bug_of_ours_leaves_a_report_and_shows_no_traceback(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(bug()) == 70
    told = capsys.readouterr().err
    (report,) = state.iterdir()
    assert told.startswith("error: internal error (this is a bug in flowc)")
    assert str(report) in told
    assert "Traceback" not in told
    text = report.read_text()
    assert "two and two are five" in text
    assert __version__ in text


def test_a_bug_is_told_even_where_no_report_can_be_written(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.write_text("in the way")
    assert end(bug()) == 70
    assert "no report could be written" in capsys.readouterr().err


def test_debug_shows_the_traceback(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert end(bug(), debug=True) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_what_a_command_raises_becomes_message_and_exit_code(tmp_path: Path) -> None:
    done = started("check", tmp_path / "none.flow")
    assert done.returncode == 66
    assert done.stdout == ""
    assert done.stderr == f"error: {tmp_path}/none.flow: no such file\n"


def test_debug_goes_with_every_command(tmp_path: Path) -> None:
    result = run("--debug", "check", tmp_path / "none.flow")
    assert result.exit_code == 66
    assert "Traceback" in result.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m flowc.cli explain | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_a_full_disk_behind_stdout_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flowc.cli", "explain"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 74
    assert "no space left" in done.stderr


def test_a_group_names_all_its_commands_where_none_is_near() -> None:
    group = LazyGroup("g", entries={"one": COMMANDS["new"]})
    result = CliRunner().invoke(group, ["something"])
    assert "there is one" in result.stderr


GRPC_USED = """
import threading
import grpc
from flowc.cli.main import run

class Call:
    def __del__(self):  # takes a lock that a thread of gRPC's has stopped with
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

kept = Call()
run()
"""


@pytest.mark.parametrize("words, status", [(["--version"], 0), (["--nonsense"], 2)])
def test_a_command_that_used_grpc_ends_whatever_its_calls_wait_for(
    words: list[str], status: int
) -> None:
    command = [sys.executable, "-c", GRPC_USED, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == status
    assert (done.stdout or done.stderr).startswith("flowc" if status == 0 else "Usage")
