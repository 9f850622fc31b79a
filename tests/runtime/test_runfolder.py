"""The run folder: what lies in it, who may have it, what a resumed run finds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from flowc_runtime.runfolder import (
    RunError,
    RunFacts,
    RunFolder,
    create_run,
    latest_run,
    read_run_facts,
    reopen_run,
)

FACTS = RunFacts(
    model="m",
    command=("flowc", "train", "m.flow"),
    plan_hash="ab12",
    seed=7,
    started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield


def create(out: Path | None = None, facts: RunFacts = FACTS) -> RunFolder:
    return create_run(facts, "{}\n", {"m.flow": "model m {}\n"}, out)


def test_a_run_folder_is_named_after_model_and_time() -> None:
    with create() as run:
        assert run.path == Path("runs/m-20260102-030405")


def test_two_runs_of_the_same_second_get_two_folders() -> None:
    with create() as first, create() as second, create() as third:
        assert [run.path.name for run in (first, second, third)] == [
            "m-20260102-030405",
            "m-20260102-030405-2",
            "m-20260102-030405-3",
        ]


def test_the_newest_run_of_a_model_is_found_by_its_name() -> None:
    for _ in range(11):
        create().close()
    create(facts=RunFacts("other", (), "", 0, FACTS.started.replace(year=2030))).close()
    assert latest_run("m") == Path("runs/m-20260102-030405-11")
    assert latest_run("nobody") is None


def test_latest_points_to_the_newest_run() -> None:
    create().close()
    create().close()
    assert os.readlink("runs/latest") == "m-20260102-030405-2"


def test_something_else_called_latest_is_left_alone() -> None:
    Path("runs/latest").mkdir(parents=True)
    create().close()
    assert not Path("runs/latest").is_symlink()


def test_the_folder_holds_facts_plan_and_sources() -> None:
    with create_run(FACTS, "{}\n", {"m.flow": "text", "lib/a.flow": "other"}) as run:
        assert (run.path / "plan.json").read_text() == "{}\n"
        assert (run.path / "source" / "lib" / "a.flow").read_text() == "other"
        facts = read_run_facts(run.path)
    assert facts["command"] == ["flowc", "train", "m.flow"]
    assert (facts["model"], facts["seed"], facts["plan_hash"]) == ("m", 7, "ab12")
    assert facts["started"] == "2026-01-02T03:04:05+00:00"
    assert {"flowc", "numpy", "blas", "python"} <= set(facts["versions"])


def test_a_source_outside_the_models_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie in"):
        create_run(FACTS, "{}", {"../secret": ""})


def test_out_names_the_folder() -> None:
    with create(Path("deep/er/mine")) as run:
        assert run.path == Path("deep/er/mine")
    assert not Path("runs").exists()


def test_a_second_run_in_the_same_folder_is_refused() -> None:
    create(Path("mine")).close()
    with pytest.raises(RunError, match="already holds a run") as caught:
        create(Path("mine"))
    assert caught.value.code == "run-exists"


def test_a_folder_that_another_process_trains_into_is_refused_with_its_pid() -> None:
    program = (
        "import sys; from pathlib import Path; from flowc_runtime.runfolder.lock import Lock\n"
        "lock = Lock(Path('mine')); print('held', flush=True); sys.stdin.read()"
    )
    create(Path("mine")).close()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(RunError) as caught:
            reopen_run(Path("mine"))
        holder.kill()
    assert caught.value.code == "run-busy"
    assert f"pid {holder.pid} on {socket.gethostname()}" in caught.value.message
    reopen_run(Path("mine")).close()  # a killed process holds nothing


def test_a_folder_is_free_again_after_a_refused_start() -> None:
    create(Path("mine")).close()
    for _ in range(2):
        with pytest.raises(RunError) as caught:
            create(Path("mine"))
        assert caught.value.code == "run-exists"


def test_a_folder_without_a_run_cannot_be_resumed() -> None:
    Path("empty").mkdir()
    with pytest.raises(RunError) as caught:
        reopen_run(Path("empty"))
    assert caught.value.code == "run-none"


def test_a_place_where_no_folder_can_be_made_is_named() -> None:
    Path("file").write_text("")
    with pytest.raises(RunError, match="file") as caught:
        create(Path("file/mine"))
    assert caught.value.code == "run-unwritable"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other"}', "[" * 100_000])
def test_facts_that_flowc_has_not_written_are_refused(text: str) -> None:
    Path("run.json").write_text(text)
    with pytest.raises(RunError) as caught:
        read_run_facts(Path())
    assert caught.value.code == "run-damaged"


def steps_of(run: RunFolder) -> list[int]:
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_metrics_are_in_the_file_as_soon_as_they_are_written() -> None:
    with create() as run:
        run.metrics.write({"step": 1, "loss": 0.5})
        assert steps_of(run) == [1]


def test_a_resumed_run_appends_after_the_step_it_resumes_from() -> None:
    with create(Path("mine")) as run:
        for step in range(1, 6):
            run.metrics.write({"step": step})
    with reopen_run(Path("mine")) as run:
        run.drop_after(3)
        run.metrics.write({"step": 4})
        assert steps_of(run) == [1, 2, 3, 4]


@pytest.mark.parametrize("torn", [b'{"step": 3, "lo', b'{"step": 3}', b"\xff\xfe", b"\x00" * 9])
def test_a_line_torn_by_a_crash_is_dropped(torn: bytes) -> None:
    with create(Path("mine")) as run:
        run.metrics.write({"step": 1})
    with Path("mine/metrics.jsonl").open("ab") as file:
        file.write(torn)
    with reopen_run(Path("mine")) as run:
        run.drop_after(5)
        run.metrics.write({"step": 6})
        assert steps_of(run) == [1, 6]


def test_a_later_checkpoint_is_set_aside_when_a_run_resumes_before_it() -> None:
    with create(Path("mine")) as run:
        (run.checkpoints.directory / "step-00000009").mkdir(parents=True)
        run.drop_after(5)
        assert run.checkpoints.steps() == []


def test_a_reopened_run_is_cleared_of_what_a_crash_left() -> None:
    create(Path("mine")).close()
    Path("mine/run.json.tmp-1").write_text("")
    Path("mine/checkpoints/step-00000001.tmp-1").mkdir(parents=True)
    with reopen_run(Path("mine")) as run:
        assert not [path for path in run.path.rglob("*") if ".tmp-" in path.name]


def records(path: Path) -> list[Event]:
    """The records of an event file: length, its checksum, the bytes, their checksum."""
    data, found = path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[12 + length + 4 :]
    return found


def test_tensorboard_finds_the_scalars_and_forgets_those_after_a_resume() -> None:
    with create(Path("mine")) as run:
        run.scalars.write(1, {"train/loss": 0.5, "train/accuracy": 0.25})
    with reopen_run(Path("mine")) as run:
        run.drop_after(4)
        run.scalars.write(5, {"train/loss": 0.125})
    first, second = sorted(Path("mine").glob("events.out.tfevents.*"), key=lambda p: p.suffix)
    assert [(v.tag, v.simple_value) for v in records(first)[2].summary.value] == [
        ("train/loss", 0.5),
        ("train/accuracy", 0.25),
    ]
    version, start, scalar = records(second)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (5, start.session_log.START)
    assert (scalar.step, scalar.summary.value[0].simple_value) == (5, 0.125)


def test_tensorboard_is_imported_only_when_there_is_something_to_write() -> None:
    program = "import sys, flowc_runtime.training; assert 'tensorboardX' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
