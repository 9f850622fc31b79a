"""The checkpoints of a run: saved so that a crash at any moment leaves a whole one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowc_runtime.checkpoint.disk import (
    Disk,
    FileRecord,
    make_directory,
    put_back_replaced,
    remove_temporaries,
    replace_text,
    sync_directory,
    temporary_name,
    write_file,
)
from flowc_runtime.checkpoint.errors import (
    CheckpointError,
    Damaged,
    nothing_saved,
    unconfirmed,
    unwritten,
)
from flowc_runtime.checkpoint.manifest import (
    Manifest,
    Progress,
    build_facts,
    described,
    to_text,
)
from flowc_runtime.checkpoint.read import (
    KINDS_OF,
    MANIFEST,
    STEP_NAME,
    Checkpoint,
    Skipped,
    is_sound,
    read_checkpoint,
    step_name,
)
from flowc_runtime.checkpoint.tensors import Array, encode
from flowc_runtime.plan import Variable

LATEST = "LATEST"  # for people and scripts: names the newest checkpoint; flowc verifies instead


@dataclass(frozen=True)
class Checkpoints:
    """The directory `checkpoints/` of a run. Who saves holds the run's lock.

    The protocol: write `step-N.tmp-PID` with every file synced, the manifest last, rename it to
    `step-N`, sync the parent, point `LATEST` to it, remove all but the `keep` newest.
    """

    directory: Path
    disk: Disk = field(default_factory=Disk)
    keep: int = 3

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}; at least one checkpoint must stay")

    def save(
        self,
        model: str,
        variables: Sequence[Variable],
        values: Mapping[str, Array],
        progress: Progress,
    ) -> Path:
        """Save `values` by path; returns the new directory.

        Raises CheckpointError (`disk-full`, `checkpoint-unwritable`); whatever was saved before
        is still there then, and nothing half-written is left where the disk lets us remove it.
        """
        target = self.directory / step_name(progress.position.step)
        temporary = temporary_name(target)
        size = sum(variable.type.bytes for variable in variables)
        try:
            self._write(temporary, model, variables, values, progress)
        except OSError as error:
            self._clean_what_can_be()
            raise unwritten(error, target, size) from error
        try:
            self._publish(temporary, target)
            self._prune(progress.position.step)
        except OSError as error:
            arrived = not temporary.exists()
            self._clean_what_can_be()
            if arrived and is_sound(target):
                raise unconfirmed(error, target) from error
            raise unwritten(error, target, size) from error
        return target

    def load(self, variables: Sequence[Variable]) -> Checkpoint:
        """The newest sound checkpoint, which must be of the model with these `variables`.

        Raises CheckpointError: `checkpoint-none`, `checkpoint-damaged` where all of them are,
        `checkpoint-other-model` (names the variables), `checkpoint-version`.
        """
        checkpoint = self.newest()
        checkpoint.expect_model(variables)
        return checkpoint

    def newest(self) -> Checkpoint:
        """The newest sound checkpoint of whatever model; errors as for `load`."""
        skipped: list[Skipped] = []
        for step in reversed(self.steps()):
            path = self.directory / step_name(step)
            try:
                return replace(read_checkpoint(path), skipped=tuple(skipped))
            except Damaged as reason:
                skipped.append(Skipped(path, str(reason)))
        if not skipped:
            raise nothing_saved(self.directory)
        raise CheckpointError(
            "checkpoint-damaged",
            f"no checkpoint in {self.directory} is sound: {'; '.join(map(str, skipped))}",
            help="start without --resume",
        )

    def steps(self) -> list[int]:
        """The steps that have a directory, sound or not, in ascending order."""
        if not self.directory.is_dir():
            return []
        found = (STEP_NAME.fullmatch(path.name) for path in self.directory.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def clean(self) -> None:
        """Clear away what crashed saves have left; the caller holds the run's lock."""
        if self.directory.is_dir():
            put_back_replaced(self.disk, self.directory)
            remove_temporaries(self.disk, self.directory)

    def set_aside_after(self, step: int) -> None:
        """Rename what lies after `step` (damaged, or given up), for a run that resumes there.

        Nobody's bytes are removed, and nothing of an abandoned course is resumed from later.
        """
        for later in self.steps():
            if later > step:
                path = self.directory / step_name(later)
                self.disk.rename(path, _free_name(self.directory / f"set-aside-{path.name}"))

    def _write(
        self,
        temporary: Path,
        model: str,
        variables: Sequence[Variable],
        values: Mapping[str, Array],
        progress: Progress,
    ) -> None:
        self.clean()  # a save of ours may have failed in a way that it could not even clean up
        make_directory(self.disk, self.directory)
        self.disk.mkdir(temporary)
        files: dict[str, FileRecord] = {}
        for name, kinds in KINDS_OF.items():
            chosen = [variable for variable in variables if variable.kind in kinds]
            files[name] = write_file(self.disk, temporary / name, encode(chosen, values))
        manifest = Manifest(model, described(variables), files, progress, build_facts())
        write_file(self.disk, temporary / MANIFEST, [memoryview(to_text(manifest).encode())])
        sync_directory(self.disk, temporary)

    def _publish(self, temporary: Path, target: Path) -> None:
        if target.exists():  # put back by `clean` if we die before the next line has happened
            self.disk.rename(target, temporary_name(target, "-replaced"))
        self.disk.rename(temporary, target)
        sync_directory(self.disk, self.directory)
        replace_text(self.disk, self.directory / LATEST, target.name + "\n")

    def _prune(self, newest: int) -> None:
        """Remove all but the `keep` newest up to `newest`, which has just been written.

        A directory is renamed, for good, before it is emptied: none is ever found half empty.
        """
        for step in [step for step in self.steps() if step <= newest][: -self.keep]:
            path = self.directory / step_name(step)
            self.disk.rename(path, temporary_name(path))
        sync_directory(self.disk, self.directory)
        remove_temporaries(self.disk, self.directory)

    def _clean_what_can_be(self) -> None:
        with suppress(OSError):  # the disk is ill: what stays is removed at the next start
            self.clean()


def find_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`, or the newest sound one if that is a run or its `checkpoints/`.

    Raises CheckpointError as `Checkpoints.newest` does; where one checkpoint is named and it is
    damaged, no other is taken.
    """
    if (path / "checkpoints").is_dir():
        return Checkpoints(path / "checkpoints").newest()
    if not (path / MANIFEST).exists() and not STEP_NAME.fullmatch(path.name):
        return Checkpoints(path).newest()
    try:
        return read_checkpoint(path)
    except Damaged as reason:
        raise CheckpointError("checkpoint-damaged", str(Skipped(path, str(reason)))) from None


def _free_name(path: Path) -> Path:
    candidate, count = path, 1
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{path.name}-{count}")
    return candidate
