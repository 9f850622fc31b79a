"""Faults at every single system call of a save: the old or the new checkpoint is always whole."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from flowc_runtime.checkpoint import CheckpointError, Checkpoints, Disk, Position, Progress
from flowc_runtime.checkpoint.read import is_sound, step_name
from flowc_runtime.plan import Variable
from flowc_runtime.types import parse_type

VARIABLES = (
    Variable("w", "param", parse_type("f32[8, 4]"), 0),
    Variable("w.m", "slot", parse_type("f32[8, 4]"), 0),
)
DIED = 9


def values(step: int) -> dict[str, np.ndarray]:
    return {v.path: np.full((8, 4), step, np.float32) for v in VARIABLES}


def save(checkpoints: Checkpoints, step: int, content: int | None = None) -> None:
    shown = step if content is None else content
    checkpoints.save("m", VARIABLES, values(shown), Progress(Position(step, 0, step), seed=1))


class FaultyDisk(Disk):
    """Does what `fault` says before the call number `at` (from 0); counts the calls."""

    def __init__(self, at: int | None = None, fault: Callable[[], None] = lambda: None):
        self.calls = 0
        self._at = at
        self._fault = fault

    def _call(self) -> None:
        number, self.calls = self.calls, self.calls + 1
        if number == self._at:
            self._fault()

    def mkdir(self, path: Path) -> None:
        self._call()
        super().mkdir(path)

    def create(self, path: Path) -> int:
        self._call()
        return super().create(path)

    def open_directory(self, path: Path) -> int:
        self._call()
        return super().open_directory(path)

    def write(self, file: int, data: memoryview) -> int:
        half = super().write(file, data[: len(data) // 2])  # a write may be torn
        self._call()
        return half + super().write(file, data[half:])

    def sync(self, file: int) -> None:
        self._call()
        super().sync(file)

    def close(self, file: int) -> None:
        super().close(file)  # a close that reports an error has closed all the same
        self._call()

    def rename(self, old: Path, new: Path) -> None:
        self._call()
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._call()
        super().unlink(path)

    def rmdir(self, path: Path) -> None:
        self._call()
        super().rmdir(path)


def raising(number: int) -> Callable[[], None]:
    def fault() -> None:
        raise OSError(number, os.strerror(number))

    return fault


def die() -> None:
    os._exit(DIED)


def in_child(action: Callable[[], None]) -> int:
    """Run `action` in a forked process; its exit status."""
    with warnings.catch_warnings():  # the child touches nothing that another thread may hold
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leftovers(checkpoints: Checkpoints) -> list[Path]:
    return [path for path in checkpoints.directory.iterdir() if ".tmp-" in path.name]


def expect_old_or_new(checkpoints: Checkpoints, old: int | None, new: int) -> None:
    """What the next start finds: a whole checkpoint, nothing damaged, nothing left over."""
    checkpoints.clean()
    assert not checkpoints.directory.exists() or not leftovers(checkpoints)
    assert all(is_sound(checkpoints.directory / step_name(s)) for s in checkpoints.steps())
    if old is None and not checkpoints.steps():
        return
    latest = checkpoints.directory / "LATEST"
    assert not latest.exists() or (checkpoints.directory / latest.read_text().strip()).is_dir()
    found = checkpoints.load(VARIABLES)
    step = found.manifest.progress.position.step
    assert step in (old, new)
    assert not found.skipped
    for path, value in values(step).items():
        np.testing.assert_array_equal(found.tensors[path], value)


@pytest.fixture
def at_points(tmp_path: Path) -> Callable[..., Iterator[tuple[int, Checkpoints]]]:
    """Gives a copy of a run with `before` checkpoints for each call that the next save makes."""

    def points(before: int) -> Iterator[tuple[int, Checkpoints]]:
        template = Checkpoints(tmp_path / "template" / "checkpoints")
        template.directory.parent.mkdir()
        for step in range(1, before + 1):
            save(template, step)
        counting = FaultyDisk()
        clean = tmp_path / "counted"
        shutil.copytree(template.directory.parent, clean)
        save(Checkpoints(clean / "checkpoints", counting), before + 1)
        assert counting.calls > 20
        for number in range(counting.calls):
            folder = tmp_path / f"run{number}"
            shutil.copytree(template.directory.parent, folder)
            yield number, Checkpoints(folder / "checkpoints")

    return points


Points = Callable[..., Iterator[tuple[int, Checkpoints]]]


@pytest.mark.parametrize("before", [0, 1, 4])
def test_a_process_that_dies_at_any_call_leaves_a_whole_checkpoint(
    at_points: Points, before: int
) -> None:
    for number, checkpoints in at_points(before):
        dying = replace(checkpoints, disk=FaultyDisk(number, die))
        assert in_child(partial(save, dying, before + 1)) == DIED
        expect_old_or_new(checkpoints, before or None, before + 1)
        save(checkpoints, before + 2)  # and the run goes on
        expect_old_or_new(checkpoints, before + 2, before + 2)


@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_call_that_fails_anywhere_leaves_a_whole_checkpoint(
    at_points: Points, before: int, number: int
) -> None:
    for call, checkpoints in at_points(before):
        failing = replace(checkpoints, disk=FaultyDisk(call, raising(number)))
        with pytest.raises(CheckpointError) as caught:
            save(failing, before + 1)
        assert caught.value.code == "disk-full"
        assert not checkpoints.directory.exists() or not leftovers(checkpoints)
        complete = before + 1 in checkpoints.steps()
        assert ("it is complete" in caught.value.message) == complete
        expect_old_or_new(checkpoints, before or None, before + 1)


def test_a_disk_that_fails_from_some_call_on_leaves_a_whole_checkpoint(at_points: Points) -> None:
    class BrokenDisk(FaultyDisk):
        def _call(self) -> None:
            super()._call()
            if self._at is not None and self.calls > self._at:
                self._fault()

    for call, checkpoints in at_points(1):
        with pytest.raises(CheckpointError):
            save(replace(checkpoints, disk=BrokenDisk(call, raising(errno.EIO))), 2)
        expect_old_or_new(checkpoints, 1, 2)


def test_dying_while_a_step_is_saved_again_leaves_the_old_or_the_new_one(tmp_path: Path) -> None:
    for number in count():
        checkpoints = Checkpoints(tmp_path / f"run{number}" / "checkpoints")
        save(checkpoints, 1, content=1)
        dying = replace(checkpoints, disk=FaultyDisk(number, die))
        status = in_child(partial(save, dying, 1, content=2))
        checkpoints.clean()
        found = checkpoints.load(VARIABLES)
        assert found.tensors["w"][0, 0] in (1, 2)
        assert not found.skipped and not leftovers(checkpoints)
        if status == 0:  # it made fewer calls than that
            break
    assert number > 20


class VolatileDisk(FaultyDisk):
    """Remembers what a loss of power would undo: data and names that were not yet synced."""

    def __init__(self, at: int | None = None):
        super().__init__(at, self._lose_power)
        self._open: dict[int, Path] = {}
        self._unsynced: set[int] = set()  # inodes
        self._undo: list[tuple[Path, Callable[[], None]]] = []  # by the directory of the name

    class PowerLoss(BaseException):
        pass

    def _lose_power(self) -> None:
        raise self.PowerLoss

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self._undo.append((path.parent, lambda: shutil.rmtree(path)))

    def create(self, path: Path) -> int:
        file = super().create(path)
        self._open[file] = path
        self._unsynced.add(os.fstat(file).st_ino)
        self._undo.append((path.parent, lambda: os.unlink(path)))
        return file

    def open_directory(self, path: Path) -> int:
        file = super().open_directory(path)
        self._open[file] = path
        return file

    def sync(self, file: int) -> None:
        super().sync(file)
        self._unsynced.discard(os.fstat(file).st_ino)
        synced = self._open[file]
        self._undo = [(parent, undo) for parent, undo in self._undo if parent != synced]

    def rename(self, old: Path, new: Path) -> None:
        kept = new.read_bytes() if new.is_file() else None

        def undo() -> None:
            os.rename(new, old)
            if kept is not None:
                new.write_bytes(kept)

        super().rename(old, new)
        self._undo.append((new.parent, undo))

    def lose_data(self, directory: Path) -> None:
        for path in [path for path in directory.rglob("*") if path.is_file()]:
            if path.stat().st_ino in self._unsynced:
                os.truncate(path, 0)

    def lose_names(self) -> None:
        for _, undo in reversed(self._undo):
            undo()


@pytest.mark.parametrize("names_last", [True, False])
@pytest.mark.parametrize("before", [1, 3])
def test_a_loss_of_power_at_any_call_leaves_a_whole_checkpoint(
    at_points: Points, before: int, names_last: bool
) -> None:
    for number, checkpoints in at_points(before):
        disk = VolatileDisk(number)
        with pytest.raises(VolatileDisk.PowerLoss):
            save(replace(checkpoints, disk=disk), before + 1)
        disk.lose_data(checkpoints.directory)
        if not names_last:
            disk.lose_names()
        expect_old_or_new(checkpoints, before, before + 1)


def test_what_was_reported_as_saved_outlasts_a_loss_of_power(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "runs" / "checkpoints")
    for step in (1, 2):
        disk = VolatileDisk()
        save(replace(checkpoints, disk=disk), step)
        disk.lose_data(checkpoints.directory)
        disk.lose_names()
        expect_old_or_new(checkpoints, step, step)
