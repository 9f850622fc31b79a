"""The manifest of a checkpoint: what it holds, of which model, from which step."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from importlib import metadata
from typing import Any

import numpy as np

from flowc_runtime.checkpoint.disk import FileRecord
from flowc_runtime.checkpoint.errors import CheckpointError, Damaged
from flowc_runtime.plan import Variable
from flowc_runtime.types import parse_type

FORMAT_VERSION = 1
MANIFEST_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Position:
    """Where a training stands: steps done so far, and the batch that comes next.

    `epoch` counts from 0 and `batch` is the index within it; together with the seed this is all
    the randomness there is, since every random number depends on the seed and the step alone.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Progress:
    """What a checkpoint remembers beside the tensors.

    `loss` is that of the last step, `metrics` are those of the last validation, if any.
    """

    position: Position
    seed: int
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """`MANIFEST.json`: written last, so that a checkpoint that has one is complete.

    `variables` says of each path its kind and type: `{"w": "param f32[784, 128]"}`.
    """

    model: str
    variables: Mapping[str, str]
    files: Mapping[str, FileRecord]
    progress: Progress
    build: Mapping[str, str]
    generation: int = 0  # of the cluster's membership; one process has only one

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.variables)


def described(variables: Sequence[Variable]) -> dict[str, str]:
    """Kind and type of each variable by its path."""
    return {variable.path: f"{variable.kind} {variable.type}" for variable in variables}


def fingerprint(variables: Mapping[str, str]) -> str:
    """sha256 over the lines `path`, zero byte, kind and type, in path order."""
    lines = (f"{path}\0{variables[path]}\n" for path in sorted(variables))
    return sha256("".join(lines).encode()).hexdigest()


@cache
def build_facts() -> Mapping[str, str]:
    """What computes the numbers: versions of flowc, Python, NumPy and its BLAS."""
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    return {
        "flowc": _flowc_version(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
    }


def to_text(manifest: Manifest) -> str:
    """The manifest as JSON that holds the sha256 of itself (without that entry)."""
    progress = manifest.progress
    body = {
        "format": FORMAT_VERSION,
        "model": manifest.model,
        "fingerprint": manifest.fingerprint,
        "generation": manifest.generation,
        **asdict(progress.position),
        "seed": progress.seed,
        "loss": finite(progress.loss),
        "metrics": {name: finite(value) for name, value in progress.metrics.items()},
        "build": dict(manifest.build),
        "files": {name: asdict(record) for name, record in manifest.files.items()},
        "variables": dict(manifest.variables),
    }
    return _render({**body, "sha256": _digest(body)})


def from_text(text: str) -> Manifest:
    """The inverse of `to_text`.

    Raises Damaged for a text that `to_text` has not written, and CheckpointError
    `checkpoint-version` for a sound manifest of a later format.
    """
    body = _sound_body(text)
    if body.get("format") != FORMAT_VERSION:
        raise CheckpointError(
            "checkpoint-version",
            f"the checkpoint has format {body.get('format')}, this flowc reads {FORMAT_VERSION}",
            help="use the flowc that wrote it, or a later one",
        )
    try:
        return _manifest(body)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise Damaged(f"MANIFEST.json: {error!r}") from None


def finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity: they are written as null."""
    return value if value is not None and math.isfinite(value) else None


def _sound_body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
        digest = body.pop("sha256")
        if text != _render({**body, "sha256": digest}) or digest != _digest(body):
            raise Damaged("MANIFEST.json: sha256 differs")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Damaged("MANIFEST.json cannot be read") from None
    return dict(body)


def _manifest(body: Mapping[str, Any]) -> Manifest:
    metrics = {name: math.nan if v is None else float(v) for name, v in body["metrics"].items()}
    place = Position(*(_count(body[key]) for key in ("step", "epoch", "batch")))
    loss = None if body["loss"] is None else float(body["loss"])
    return Manifest(
        model=str(body["model"]),
        variables={path: _description(text) for path, text in body["variables"].items()},
        files={
            name: FileRecord(_count(entry["size"]), str(entry["sha256"]))
            for name, entry in body["files"].items()
        },
        progress=Progress(place, int(body["seed"]), loss, metrics),
        build={name: str(version) for name, version in body["build"].items()},
        generation=_count(body["generation"]),
    )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _description(text: Any) -> str:
    kind, _, type_text = text.partition(" ")
    if kind not in ("param", "state", "slot"):
        raise ValueError(f"{text!r} describes no variable")
    return f"{kind} {parse_type(type_text)}"


def _render(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _digest(body: Mapping[str, Any]) -> str:
    return sha256(_render(body).encode()).hexdigest()


def _flowc_version() -> str:
    try:
        return metadata.version("flowc")
    except metadata.PackageNotFoundError:  # run from a bare tree
        return "unknown"
