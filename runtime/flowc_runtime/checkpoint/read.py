"""Reading a checkpoint: nothing in it is believed before its hashes agree."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from flowc_runtime.checkpoint.disk import FileRecord
from flowc_runtime.checkpoint.errors import CheckpointError, Damaged
from flowc_runtime.checkpoint.manifest import (
    MANIFEST_MAX_BYTES,
    Manifest,
    described,
    from_text,
)
from flowc_runtime.checkpoint.match import differences, other_model
from flowc_runtime.checkpoint.tensors import Array, decode, type_of
from flowc_runtime.plan import Variable

KINDS_OF = {"model.safetensors": ("param", "state"), "optimizer.safetensors": ("slot",)}
MANIFEST = "MANIFEST.json"
STEP_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Skipped:
    """A checkpoint that was passed over, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"checkpoint {self.path.name} is damaged ({self.reason})"


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: tensors by variable path, and the newer ones that were damaged."""

    path: Path
    manifest: Manifest
    tensors: Mapping[str, Array]
    skipped: tuple[Skipped, ...] = ()

    def expect_model(self, variables: Sequence[Variable]) -> None:
        """Raise CheckpointError `checkpoint-other-model` unless the variables are the same."""
        unlike = differences(self.manifest.variables, described(variables))
        if unlike:
            raise other_model(self.path, unlike)

    def restore(self, variables: Mapping[str, Array]) -> None:
        """Copy all tensors into the live `variables` of the same model."""
        for path, value in self.tensors.items():
            variables[path][...] = value


def step_name(step: int) -> str:
    return f"step-{step:08d}"


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the directory `path`.

    Raises Damaged where it is not sound, and CheckpointError `checkpoint-version` where a later
    flowc wrote it.
    """
    manifest = _read_manifest(path)
    step = manifest.progress.position.step
    if STEP_NAME.fullmatch(path.name) and path.name != step_name(step):
        raise Damaged(f"{MANIFEST} is of step {step}")
    if set(manifest.files) != set(KINDS_OF):
        raise Damaged(f"{MANIFEST} names other files")
    tensors: dict[str, Array] = {}
    for name, record in manifest.files.items():
        tensors.update(_read_tensors(path / name, record))
    if _types(tensors) != {p: text.split(" ", 1)[1] for p, text in manifest.variables.items()}:
        raise Damaged(f"the tensors are not those that {MANIFEST} lists")
    return Checkpoint(path, manifest, tensors)


def is_sound(path: Path) -> bool:
    try:
        read_checkpoint(path)
    except (Damaged, CheckpointError):
        return False
    return True


def _types(tensors: Mapping[str, Array]) -> dict[str, str]:
    return {path: str(type_of(value)) for path, value in tensors.items()}


def _read_manifest(path: Path) -> Manifest:
    data = _read_file(path / MANIFEST, MANIFEST_MAX_BYTES)
    try:
        return from_text(data.decode())
    except UnicodeDecodeError:
        raise Damaged(f"{MANIFEST} cannot be read") from None


def _read_tensors(path: Path, record: FileRecord) -> dict[str, Array]:
    data = _read_file(path, record.size)
    if len(data) != record.size:
        raise Damaged(f"{path.name}: {len(data)} bytes instead of {record.size}")
    if sha256(data).hexdigest() != record.sha256:
        raise Damaged(f"{path.name}: sha256 differs")
    try:
        return decode(data)
    except (Damaged, CheckpointError) as error:
        raise Damaged(f"{path.name}: {error}") from None


def _read_file(path: Path, max_bytes: int) -> bytes:
    """A regular file of at most `max_bytes`, through no symbolic link; Damaged otherwise."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(file, "rb") as stream:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise Damaged(f"{path.name} is no regular file")
            if status.st_size > max_bytes:
                raise Damaged(f"{path.name}: {status.st_size} bytes instead of {max_bytes}")
            return stream.read()
    except FileNotFoundError:
        raise Damaged(f"no {path.name}") from None
    except OSError as error:
        raise Damaged(f"{path.name}: {error.strerror}") from None
