"""The training loop on a real little model: what it computes, tells, keeps and resumes."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from linear_steps import BATCH, LinearSteps, linear_data, linear_plan

from flowc_runtime.checkpoint import CheckpointError, Checkpoints, Disk, weights_sha256
from flowc_runtime.checkpoint.manifest import from_text, to_text
from flowc_runtime.data.dataset import Arrays, Field
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.stream import Stream
from flowc_runtime.device import ExecutionError
from flowc_runtime.events import (
    CheckpointSaved,
    End,
    Error,
    Event,
    Start,
    StepDone,
    Validation,
    Warning,
)
from flowc_runtime.plan import Plan
from flowc_runtime.runfolder import RunFacts, RunFolder, create_run, reopen_run
from flowc_runtime.training import (
    Signals,
    StopSignal,
    TrainingFailed,
    TrainOptions,
    WholeBatch,
    evaluate,
    resume,
    train,
)

PLAN = linear_plan({"train": BATCH, "evaluate": BATCH, "evaluate@2": 2})
OPTIONS = TrainOptions(total_steps=23, seed=5, log_every=1, checkpoint_every=4)
EXAMPLES, VALIDATION_EXAMPLES = 30, 10  # 7 batches an epoch; 2 full ones and one of 2


class Trial:
    """One session of training in `folder`, with all that it told."""

    def __init__(self, folder: Path | None, disk: Disk | None = None, **steps: int):
        self.folder = folder
        self.disk = disk
        self.steps = LinearSteps(PLAN, **steps)
        self.events: list[Event] = []
        self.stop = StopSignal()

    def run(self, options: TrainOptions = OPTIONS, plan: Plan = PLAN) -> End:
        if self.folder is None:
            return self._train(plan, options, None)
        with self._create(self.folder) as run:
            return self._train(plan, options, run)

    def resume(self, options: TrainOptions = OPTIONS) -> End:
        assert self.folder is not None
        with reopen_run(self.folder, self.disk) as run:
            progress = resume(run, PLAN, self.steps, self.tell)
            data = linear_data(EXAMPLES, progress.seed)
            validation = linear_data(VALIDATION_EXAMPLES, 0, shuffle=False)
            return train(
                PLAN,
                self.steps,
                WholeBatch(self.steps, data, options.seed),
                data,
                validation,
                options,
                run,
                self.tell,
                self.stop,
                progress,
            )

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def _create(self, folder: Path) -> RunFolder:
        facts = RunFacts("line", (), "", OPTIONS.seed, datetime(2026, 1, 2, tzinfo=UTC))
        return create_run(facts, "{}", {}, folder, self.disk)

    def _train(self, plan: Plan, options: TrainOptions, run: RunFolder | None) -> End:
        data = linear_data(EXAMPLES, options.seed)
        validation = linear_data(VALIDATION_EXAMPLES, 0, shuffle=False)
        engine = WholeBatch(self.steps, data, options.seed)
        return train(
            plan, self.steps, engine, data, validation, options, run, self.tell, self.stop)


class StopAt(Trial):
    """Asks to stop when it hears of a step."""

    def __init__(self, folder: Path, step: int):
        super().__init__(folder)
        self._step = step

    def tell(self, event: Event) -> None:
        super().tell(event)
        if isinstance(event, StepDone) and event.step == self._step:
            self.stop.reason = "interrupt"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = Trial(tmp_path_factory.mktemp("undisturbed") / "run")
    trial.run()
    return trial


def end_of(trial: Trial) -> End:
    (end,) = trial.of(End)
    assert isinstance(end, End)
    return end


def test_training_lowers_the_loss() -> None:
    trial = Trial(None)
    end = trial.run(replace(OPTIONS, total_steps=300))
    first = trial.of(StepDone)[0]
    assert isinstance(first, StepDone) and end.loss is not None
    assert end.loss < first.loss / 2


def test_each_step_reads_the_next_batch_and_has_the_next_number(undisturbed: Trial) -> None:
    numbers = [step for program, step in undisturbed.steps.ran if program == "train"]
    assert numbers == list(range(1, 24))


def test_the_steps_read_the_batches_that_the_stream_gives() -> None:
    steps, data = LinearSteps(PLAN), linear_data(EXAMPLES, 5)
    expected = []
    for step in range(10):
        x, y = np.empty((BATCH, 3), np.float32), np.empty(BATCH, np.float32)
        data.read(*divmod(step, 7), [x, y])
        steps.inputs("train")["x"][...] = x
        steps.inputs("train")["y"][...] = y
        expected.append(float(steps.run("train", seed=5, step=step + 1)["loss"]))
    trial = Trial(None)
    trial.run(replace(OPTIONS, total_steps=10))
    assert [e.loss for e in trial.of(StepDone) if isinstance(e, StepDone)] == expected


def test_the_events_come_in_order(undisturbed: Trial) -> None:
    assert isinstance(undisturbed.events[0], Start)
    assert isinstance(undisturbed.events[-1], End)
    validations = [e.step for e in undisturbed.of(Validation) if isinstance(e, Validation)]
    assert validations == [7, 14, 21, 23]
    saved = [e.step for e in undisturbed.of(CheckpointSaved) if isinstance(e, CheckpointSaved)]
    assert saved == [0, 4, 8, 12, 16, 20, 23]


def test_the_end_tells_loss_metrics_weights_and_run(undisturbed: Trial) -> None:
    end, last = end_of(undisturbed), undisturbed.of(Validation)[-1]
    assert isinstance(last, Validation)
    assert (end.step, end.stopped, end.exit_code) == (23, None, 0)
    assert end.metrics == last.metrics
    assert end.weights_sha256 == weights_sha256(PLAN.variables, undisturbed.steps.variables)
    assert end.run == str(undisturbed.folder)


def test_every_event_is_one_json_object_with_its_name(undisturbed: Trial) -> None:
    names = [json.loads(json.dumps(e.to_json()))["event"] for e in undisturbed.events]
    assert set(names) == {"start", "step", "validation", "checkpoint", "end"}


def test_a_number_that_json_lacks_becomes_null() -> None:
    event = StepDone(1, 1, float("nan"), {"a": float("inf")})
    assert (event.to_json()["loss"], event.to_json()["metrics"]) == (None, {"a": None})


def test_metrics_of_steps_and_validations_are_in_the_run_folder(undisturbed: Trial) -> None:
    assert undisturbed.folder is not None
    lines = (undisturbed.folder / "metrics.jsonl").read_text().splitlines()
    told = [e.to_json() for e in undisturbed.events if isinstance(e, StepDone | Validation)]
    assert [json.loads(line) for line in lines] == told


def test_the_last_checkpoint_holds_the_final_weights(undisturbed: Trial) -> None:
    assert undisturbed.folder is not None
    saved = Checkpoints(undisturbed.folder / "checkpoints").load(PLAN.variables)
    assert weights_sha256(PLAN.variables, saved.tensors) == end_of(undisturbed).weights_sha256
    assert saved.manifest.progress.metrics == end_of(undisturbed).metrics


def test_without_a_run_folder_the_numbers_are_the_same(undisturbed: Trial) -> None:
    end = Trial(None).run()
    assert end == replace(end_of(undisturbed), run=None)


# Validation


def test_validation_is_the_mean_over_all_examples_with_the_last_small_batch() -> None:
    steps, data = LinearSteps(PLAN), linear_data(VALIDATION_EXAMPLES, 0, shuffle=False)
    seen = evaluate(PLAN, steps, data, seed=0, step=0)
    x, y = np.empty((10, 3), np.float32), np.empty(10, np.float32)
    data.dataset.read(np.arange(10), [x, y])
    assert (seen.examples, seen.left_out) == (10, 0)
    assert seen.loss == pytest.approx(float(np.mean(y * y)), rel=1e-6)
    assert seen.metrics["near"] == pytest.approx(float(np.mean(np.abs(y) < 0.5)), rel=1e-6)


def test_a_small_batch_that_no_program_takes_is_left_out_with_one_warning() -> None:
    trial = Trial(None)
    trial.run(plan=linear_plan({"train": BATCH, "evaluate": BATCH}))
    (warning,) = trial.of(Warning)
    assert isinstance(warning, Warning)
    assert warning.code == "validation-left-out"
    assert "2 of 10 validation examples" in warning.message
    validation = trial.of(Validation)[0]
    assert isinstance(validation, Validation) and validation.examples == 8


def test_without_validation_data_the_end_has_no_metrics() -> None:
    steps, events = LinearSteps(PLAN), []
    data = linear_data(EXAMPLES, 5)
    engine = WholeBatch(steps, data, OPTIONS.seed)
    end = train(PLAN, steps, engine, data, None, OPTIONS, None, events.append, StopSignal())
    assert end.metrics == {}


# Inputs


def points(**fields: np.ndarray) -> Stream:
    known = tuple(
        Field(name, "f32" if a.dtype == np.float32 else "f64", a.shape[1:])
        for name, a in fields.items()
    )
    return Stream(Arrays("points", known, tuple(fields.values())), BATCH, 0, shuffle=False)


def plain_training(data: Stream) -> End:
    steps = LinearSteps(PLAN)
    engine = WholeBatch(steps, data, OPTIONS.seed)
    return train(PLAN, steps, engine, data, None, OPTIONS, None, lambda e: None, StopSignal())


X, Y = np.zeros((8, 3), np.float32), np.zeros(8, np.float32)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (points(x=X), "data-missing", "input `y` is not in the data, which has `x`"),
        (points(x=X[:, :2], y=Y), "data-shape", r"gives float32\[4, 2\].*is float32\[4, 3\]"),
        (points(x=X.astype(np.float64), y=Y), "data-type", "field `x` gives float64"),
    ],
)
def test_data_that_does_not_fit_the_inputs_is_refused(data: Stream, code: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        plain_training(data)
    assert caught.value.code == code


def test_a_field_that_the_model_does_not_read_does_no_harm() -> None:
    data = points(x=X, unused=X, y=Y)
    end = plain_training(data)
    assert end.loss == 0


# Stopping and resuming


@pytest.mark.parametrize("step", [1, 3, 7, 10, 21])
def test_a_run_that_is_stopped_and_resumed_ends_bit_for_bit_like_an_undisturbed_one(
    tmp_path: Path, undisturbed: Trial, step: int
) -> None:
    stopped = StopAt(tmp_path / "run", step).run()
    assert (stopped.stopped, stopped.exit_code) == ("interrupt", 130)
    assert step <= stopped.step <= step + 1
    resumed = Trial(tmp_path / "run")
    end = resumed.resume()
    assert end == replace(end_of(undisturbed), run=end.run)
    for path, value in undisturbed.steps.variables.items():
        assert resumed.steps.variables[path].tobytes() == value.tobytes()


def test_a_resumed_run_has_the_same_losses_and_metrics_in_its_log(
    tmp_path: Path, undisturbed: Trial
) -> None:
    StopAt(tmp_path / "run", 10).run()
    Trial(tmp_path / "run").resume()
    assert undisturbed.folder is not None

    def numbers(folder: Path) -> list[dict[str, object]]:
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]

    assert numbers(tmp_path / "run") == numbers(undisturbed.folder)


def test_a_run_that_is_done_can_be_resumed_and_tells_the_same_end(
    tmp_path: Path, undisturbed: Trial
) -> None:
    Trial(tmp_path / "run").run()
    again = Trial(tmp_path / "run")
    end = again.resume()
    assert end == replace(end_of(undisturbed), run=end.run)
    assert again.steps.ran == []


def test_a_run_can_be_made_longer(tmp_path: Path, undisturbed: Trial) -> None:
    Trial(tmp_path / "run").run(replace(OPTIONS, total_steps=9))
    end = Trial(tmp_path / "run").resume()
    assert end.weights_sha256 == end_of(undisturbed).weights_sha256


def test_a_damaged_checkpoint_costs_a_warning_and_some_steps_but_no_bit(
    tmp_path: Path, undisturbed: Trial
) -> None:
    StopAt(tmp_path / "run", 10).run()
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
    (newest / "optimizer.safetensors").write_bytes(b"damaged")
    resumed = Trial(tmp_path / "run")
    end = resumed.resume()
    (warning,) = resumed.of(Warning)
    assert isinstance(warning, Warning) and warning.code == "checkpoint-damaged"
    assert f"{newest.name} is damaged" in warning.message
    assert "resumed from step-00000008" in warning.message
    assert end.weights_sha256 == end_of(undisturbed).weights_sha256


def test_resuming_with_another_batch_size_is_refused(tmp_path: Path) -> None:
    StopAt(tmp_path / "run", 10).run()
    trial = Trial(tmp_path / "run")
    with reopen_run(tmp_path / "run") as run, pytest.raises(CheckpointError) as caught:
        progress = resume(run, PLAN, trial.steps, trial.tell)
        fewer = linear_data(EXAMPLES // 2, 5)
        engine = WholeBatch(trial.steps, fewer, OPTIONS.seed)
        train(
            PLAN, trial.steps, engine, fewer, None, OPTIONS, run, trial.tell, trial.stop, progress)
    assert caught.value.code == "checkpoint-other-data"


def test_another_build_of_numpy_is_warned_of(tmp_path: Path) -> None:
    stopped = StopAt(tmp_path / "run", 10).run()
    path = tmp_path / "run" / "checkpoints" / f"step-{stopped.step:08d}" / "MANIFEST.json"
    manifest = from_text(path.read_text())
    path.write_text(to_text(replace(manifest, build={**manifest.build, "numpy": "0.9"})))
    trial = Trial(tmp_path / "run")
    trial.resume()
    (warning,) = trial.of(Warning)
    assert isinstance(warning, Warning) and warning.code == "checkpoint-other-build"
    assert f"numpy 0.9 then, {np.__version__} now" in warning.message


def test_nothing_to_do_is_done_at_once() -> None:
    end = Trial(None).run(replace(OPTIONS, total_steps=0))
    assert (end.step, end.loss) == (0, None)


# Signals


def test_the_first_ctrl_c_is_a_wish_and_the_second_stops_at_once() -> None:
    with Signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason == "interrupt"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_sigterm_is_a_wish_however_often_it_comes() -> None:
    with Signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason == "terminate"


def test_signals_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Signals():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_saves_a_checkpoint_and_exits_75(tmp_path: Path) -> None:
    trial = StopAt(tmp_path / "run", 3)
    trial.tell = lambda event: _terminate(trial, event)  # type: ignore[method-assign]
    end = trial.run()
    assert (end.stopped, end.exit_code) == ("terminate", 75)
    assert (tmp_path / "run" / "checkpoints" / f"step-{end.step:08d}").is_dir()


def _terminate(trial: Trial, event: Event) -> None:
    if isinstance(event, StepDone) and event.step == 3:
        trial.stop.reason = "terminate"


# What goes wrong


def test_a_loss_that_is_not_finite_ends_the_run_and_names_op_line_and_checkpoint(
    tmp_path: Path,
) -> None:
    trial = Trial(tmp_path / "run", spoilt_at=11)
    with pytest.raises(TrainingFailed) as caught:
        trial.run()
    error = trial.events[-1]
    assert isinstance(error, Error) and error == caught.value.event
    assert (error.code, error.op, error.at, error.step) == (
        "not-finite",
        "log",
        "line.flow:3:9",
        10,
    )
    assert error.checkpoint is not None and error.checkpoint.endswith("step-00000008")
    assert "at step 11" in error.message and "its input is 0.0" in error.message
    assert "step-00000008" in (error.help or "")
    assert (error.exit_code, error.to_json()["event"]) == (1, "error")


def test_the_weights_survive_a_loss_that_is_not_finite(tmp_path: Path, undisturbed: Trial) -> None:
    with pytest.raises(TrainingFailed):
        Trial(tmp_path / "run", spoilt_at=11).run()
    end = Trial(tmp_path / "run").resume()
    assert end.weights_sha256 == end_of(undisturbed).weights_sha256


class RefusingSteps(LinearSteps):
    def run(self, program: str, *, seed: int, step: int):  # type: ignore[no-untyped-def]
        if program == "evaluate":
            raise ExecutionError("gather", "line.flow:4:1", "embed", "index 12 is not below 10")
        return super().run(program, seed=seed, step=step)


def test_a_value_that_a_kernel_refuses_ends_the_run_with_its_place() -> None:
    events: list[Event] = []
    data, validation = linear_data(EXAMPLES, 5), linear_data(10, 0, shuffle=False)
    with pytest.raises(TrainingFailed) as caught:
        steps = RefusingSteps(PLAN)
        engine = WholeBatch(steps, data, OPTIONS.seed)
        train(
            PLAN, steps, engine, data, validation, OPTIONS, None, events.append, StopSignal()
        )
    assert caught.value.event.code == "bad-value"
    assert "line.flow:4:1: gather in embed: index 12" in caught.value.event.message
    assert "in the validation after step 7" in caught.value.event.message


class OverflowingSteps(LinearSteps):
    """The gradient of step 5 overflows, though its loss does not."""

    def run(self, program: str, *, seed: int, step: int):  # type: ignore[no-untyped-def]
        outputs = super().run(program, seed=seed, step=step)
        if program == "train" and step == 5:
            self.variables["w"][1] = np.inf
        return outputs


def test_weights_that_are_not_finite_are_never_saved_as_a_good_checkpoint(tmp_path: Path) -> None:
    trial = Trial(tmp_path / "run")
    trial.steps = OverflowingSteps(PLAN)
    with pytest.raises(TrainingFailed) as caught:
        trial.run(replace(OPTIONS, total_steps=5))
    assert caught.value.event.code == "not-finite"
    assert "parameter `w` is not finite after step 5" in caught.value.event.message
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [0, 4]


class FillingDisk(Disk):
    """Full from the first save of step `full_from` until `free_from`."""

    def __init__(self, full_from: int, free_from: int):
        self._full = range(full_from, free_from)
        self._step = 0

    def mkdir(self, path: Path) -> None:
        if path.name.startswith("step-"):
            self._step = int(path.name[5:13])
        super().mkdir(path)

    def write(self, file: int, data: memoryview) -> int:
        if self._step in self._full:
            raise OSError(errno.ENOSPC, "")
        return super().write(file, data)


def test_training_goes_on_over_a_full_disk_that_gets_room_again(
    tmp_path: Path, undisturbed: Trial
) -> None:
    trial = Trial(tmp_path / "run", disk=FillingDisk(4, 12))
    end = trial.run()
    assert [w.code for w in trial.of(Warning) if isinstance(w, Warning)] == ["disk-full"] * 2
    assert "step-00000004" in trial.of(Warning)[0].to_json()["message"]
    assert end.weights_sha256 == end_of(undisturbed).weights_sha256


def test_three_failed_saves_in_a_row_stop_the_run(tmp_path: Path) -> None:
    trial = Trial(tmp_path / "run", disk=FillingDisk(4, 100))
    with pytest.raises(TrainingFailed) as caught:
        trial.run()
    error = caught.value.event
    assert (error.code, error.exit_code, error.step) == ("disk-full", 74, 12)
    assert error.checkpoint is not None and error.checkpoint.endswith("step-00000000")
    assert len(trial.of(Warning)) == 2


def test_a_last_checkpoint_that_cannot_be_saved_is_an_error(tmp_path: Path) -> None:
    trial = Trial(tmp_path / "run", disk=FillingDisk(23, 24))
    with pytest.raises(TrainingFailed) as caught:
        trial.run()
    assert caught.value.event.code == "disk-full"
    assert trial.of(End) == []


def test_metrics_that_cannot_be_written_cost_one_warning(
    tmp_path: Path, undisturbed: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path / "run")
    write = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if data.startswith(b'{"event"'):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    end = trial.run()
    (warning,) = trial.of(Warning)
    assert isinstance(warning, Warning) and warning.code == "metrics-unwritable"
    assert end.weights_sha256 == end_of(undisturbed).weights_sha256


@pytest.fixture(autouse=True)
def signals_are_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])
