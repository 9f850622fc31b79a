"""The run folder: all that one training leaves behind."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from flowc_runtime.checkpoint.disk import (
    Disk,
    make_directory,
    remove_temporaries,
    replace_text,
    sync_directory,
    temporary_name,
)
from flowc_runtime.checkpoint.manifest import build_facts
from flowc_runtime.checkpoint.store import Checkpoints
from flowc_runtime.runfolder.errors import RunError
from flowc_runtime.runfolder.lock import Lock
from flowc_runtime.runfolder.metrics import MetricsLog, drop_after
from flowc_runtime.runfolder.scalars import Scalars

RUNS = Path("runs")
RUN_SCHEMA = "flowc.run/1"
FACTS = "run.json"
METRICS = "metrics.jsonl"
_DEEPEST = 3  # checkpoints/step-N/model.safetensors


@dataclass(frozen=True)
class RunFacts:
    """What `run.json` says of a run; `started` is local time with its offset.

    `names` are what the numbers in its data stand for, by field.
    """

    model: str
    command: tuple[str, ...]
    plan_hash: str
    seed: int
    started: datetime
    names: Mapping[str, Any] = field(default_factory=dict)


class RunFolder:
    """A run folder that this process alone has open, to train into.

    Made by `create` or `reopen`; `close` (or leaving the `with`) lets others have it. Contents:
    `run.json`, `plan.json`, `source/`, `metrics.jsonl`, TensorBoard's event files,
    `checkpoints/`, `lock`.
    """

    def __init__(self, path: Path, lock: Lock, disk: Disk):
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints", disk)
        self._disk = disk
        self._lock = lock
        self.metrics = MetricsLog(path / METRICS)
        self.scalars = Scalars(path, first_step=0)

    def drop_after(self, step: int) -> None:
        """Forget what was measured and saved after `step`, where the run resumes."""
        self.metrics.close()
        drop_after(self.path / METRICS, step, self._disk)
        self.metrics = MetricsLog(self.path / METRICS)
        self.scalars = Scalars(self.path, first_step=step + 1)
        self.checkpoints.set_aside_after(step)

    def close(self) -> None:
        self.metrics.close()
        with suppress(OSError):  # a full disk has been reported when it was written to
            self.scalars.close()
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_run(
    facts: RunFacts,
    plan_text: str,
    sources: Mapping[str, str],
    out: Path | None = None,
    disk: Disk | None = None,
) -> RunFolder:
    """A new run: in `out`, or in `runs/MODEL-DATE-TIME` below the current folder.

    `sources` are the texts of the model by file name, relative to the main one's folder. Raises
    RunError `run-exists` where `out` holds a run, `run-busy`, `run-unwritable`.
    """
    disk = disk or Disk()
    with _refusals(out or RUNS):
        path = _make_out(disk, out) if out else _make_named(disk, facts)
        lock = Lock(path)
        try:
            _refuse_existing(path)
            _write_facts(disk, path, facts, plan_text, sources)
            if out is None:
                _point_latest(disk, path)
            return RunFolder(path, lock, disk)
        except BaseException:
            lock.release()
            raise


def reopen_run(path: Path, disk: Disk | None = None) -> RunFolder:
    """The run in `path`, to resume it; what a crash has left half-written is cleared away.

    Raises RunError `run-none`, `run-busy`, `run-unwritable`.
    """
    if not (path / FACTS).is_file():
        raise RunError(
            "run-none",
            f"{path} holds no run (no {FACTS})",
            help="name a run folder with --out, or start without --resume",
        )
    disk = disk or Disk()
    with _refusals(path):
        lock = Lock(path)
        try:
            remove_temporaries(disk, path)
            run = RunFolder(path, lock, disk)
            run.checkpoints.clean()
            return run
        except BaseException:
            lock.release()
            raise


def latest_run(model: str, base: Path = RUNS) -> Path | None:
    """The newest run of `model` below `base`, by the date in its name."""
    named = re.compile(re.escape(model) + r"-(\d{8}-\d{6})(?:-(\d+))?")
    if not base.is_dir():
        return None
    found = [
        (match[1], int(match[2] or 1), path)
        for path in base.iterdir()
        if (match := named.fullmatch(path.name)) and (path / FACTS).is_file()
    ]
    return max(found)[2] if found else None


def run_of(weights: Path) -> Path | None:
    """The run folder that weights lie in: a run, a checkpoint of it, or a file in that."""
    near = (weights, *weights.absolute().parents[:_DEEPEST])
    return next((path for path in near if (path / FACTS).is_file()), None)


def read_run_facts(path: Path) -> Mapping[str, Any]:
    """`run.json` of the run in `path`; RunError `run-none` or `run-damaged`."""
    try:
        facts = json.loads((path / FACTS).read_bytes())
    except OSError:
        raise RunError("run-none", f"{path} holds no run (no {FACTS})") from None
    except (ValueError, RecursionError):
        raise RunError("run-damaged", f"{path / FACTS} cannot be read") from None
    if not isinstance(facts, dict) or facts.get("schema") != RUN_SCHEMA:
        raise RunError("run-damaged", f"{path / FACTS} does not say `{RUN_SCHEMA}`")
    return facts


def _make_out(disk: Disk, out: Path) -> Path:
    make_directory(disk, out)
    return out


def _make_named(disk: Disk, facts: RunFacts) -> Path:
    """`MODEL-DATE-TIME`, or with `-2`, `-3`, … where this second's names are taken."""
    make_directory(disk, RUNS)
    first = RUNS / f"{facts.model}-{facts.started:%Y%m%d-%H%M%S}"
    path, count = first, 1
    while True:
        try:
            disk.mkdir(path)
            sync_directory(disk, RUNS)
            return path
        except FileExistsError:
            count += 1
            path = first.with_name(f"{first.name}-{count}")


def _refuse_existing(path: Path) -> None:
    if (path / FACTS).exists() or (path / "checkpoints").exists():
        raise RunError(
            "run-exists",
            f"{path} already holds a run",
            help="continue it with --resume, or name another folder with --out",
        )


def _write_facts(
    disk: Disk, path: Path, facts: RunFacts, plan_text: str, sources: Mapping[str, str]
) -> None:
    for name, text in sources.items():
        target = path / "source" / _inner(name)
        make_directory(disk, target.parent)
        replace_text(disk, target, text)
    replace_text(disk, path / "plan.json", plan_text)
    content = {
        "schema": RUN_SCHEMA,
        "model": facts.model,
        "command": list(facts.command),
        "plan_hash": facts.plan_hash,
        "seed": facts.seed,
        "started": facts.started.isoformat(timespec="seconds"),
        "versions": dict(build_facts()),
        "names": dict(facts.names),
    }
    replace_text(disk, path / FACTS, json.dumps(content, indent=1) + "\n")


def _inner(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"source `{name}` does not lie in the model's folder")
    return path


def _point_latest(disk: Disk, path: Path) -> None:
    """Point the link `latest` to the newest run; something else of that name is left alone."""
    latest = path.parent / "latest"
    if latest.exists() and not latest.is_symlink():
        return
    temporary = temporary_name(latest)
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(path.name, temporary)
    disk.rename(temporary, latest)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            "run-unwritable",
            f"cannot make the run folder: {error.filename or path}: {error.strerror}",
            help="name another folder with --out",
        ) from error
