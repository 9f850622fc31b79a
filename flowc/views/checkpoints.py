"""Tensors on disk: weights, checkpoints and the runs that hold them, as plain data and as text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowc.views.tables import bytes_text, pairs, plural, sections, table
from flowc_runtime.checkpoint.errors import Damaged
from flowc_runtime.checkpoint.manifest import Manifest
from flowc_runtime.checkpoint.read import Checkpoint, read_checkpoint
from flowc_runtime.checkpoint.store import Checkpoints
from flowc_runtime.checkpoint.tensors import read_tensors, type_of
from flowc_runtime.runfolder.folder import METRICS, read_run_facts

Facts = dict[str, Any]
Array = np.ndarray

HASH_DIGITS = 12  # of a hash that is shown in a table
LAST_LINE_BYTES = 1 << 20  # of metrics.jsonl: as far back as the last measurements are looked for
CHECKPOINTS = "checkpoints"


def weights_facts(path: Path) -> Facts:
    """The tensors of a safetensors file; raises CheckpointError where it is none."""
    tensors = read_tensors(path)
    return {"file": str(path), "tensors": [tensor_facts(n, v) for n, v in sorted(tensors.items())]}


def checkpoint_facts(path: Path) -> Facts:
    """A checkpoint's manifest and tensors; where it is damaged, only why.

    Raises CheckpointError where a later flowc wrote it.
    """
    try:
        checkpoint = read_checkpoint(path)
    except Damaged as reason:
        return {"folder": str(path), "sound": False, "reason": str(reason)}
    return {
        "folder": str(path),
        "sound": True,
        **manifest_facts(checkpoint.manifest),
        "tensors": _with_kinds(checkpoint),
    }


def checkpoints_facts(folder: Path) -> Facts:
    """All checkpoints of a folder, each verified, in the order of their steps."""
    store = Checkpoints(folder)
    found = [checkpoint_facts(folder / f"step-{step:08d}") for step in store.steps()]
    return {"folder": str(folder), "checkpoints": [_without_tensors(facts) for facts in found]}


def run_facts(path: Path) -> Facts:
    """What a run folder says of its training; raises RunError where it is no run."""
    return {
        **{key: value for key, value in read_run_facts(path).items() if key != "schema"},
        "folder": str(path),
        "measured": last_measurements(path / METRICS),
        **{k: v for k, v in checkpoints_facts(path / CHECKPOINTS).items() if k == CHECKPOINTS},
    }


def tensor_facts(name: str, value: Array) -> Facts:
    """A tensor in numbers. Those of its elements are null where there are none, or not finite."""
    type_ = type_of(value)
    numbers = _as_numbers(value, type_.dtype)
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
    with np.errstate(over="ignore"):
        least, most, mean = (f(finite) if finite.size else None for f in (np.min, np.max, np.mean))
    return {
        "name": name,
        "dtype": type_.dtype,
        "shape": list(value.shape),
        "bytes": value.nbytes,
        "min": _plain(least),
        "max": _plain(most),
        "mean": _plain(mean),
        "not_finite": numbers.size - finite.size,
    }


def manifest_facts(manifest: Manifest) -> Facts:
    progress = manifest.progress
    return {
        "model": manifest.model,
        "fingerprint": manifest.fingerprint,
        "step": progress.position.step,
        "epoch": progress.position.epoch,
        "batch": progress.position.batch,
        "seed": progress.seed,
        "loss": _plain(progress.loss),
        "metrics": {name: _plain(value) for name, value in progress.metrics.items()},
        "build": dict(manifest.build),
        "files": {n: {"size": f.size, "sha256": f.sha256} for n, f in manifest.files.items()},
    }


def last_measurements(path: Path) -> Facts:
    """The last line of each event in `metrics.jsonl`, by event; torn lines do not count."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST_LINE_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    found: Facts = {}
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and isinstance(record.get("event"), str):
            found[record["event"]] = {k: v for k, v in record.items() if k != "event"}
    return found


def _with_kinds(checkpoint: Checkpoint) -> list[Facts]:
    kinds = checkpoint.manifest.variables
    return [
        {**tensor_facts(name, value), "kind": kinds[name].partition(" ")[0]}
        for name, value in sorted(checkpoint.tensors.items())
    ]


def _without_tensors(facts: Facts) -> Facts:
    return {k: v for k, v in facts.items() if k not in ("tensors", "files", "build", "fingerprint")}


def _as_numbers(value: Array, dtype: str) -> Array:
    """The elements as NumPy can reckon with them."""
    if dtype == "bf16":
        return (value.astype(np.uint32) << 16).view(np.float32)
    if dtype == "f16":
        return value.astype(np.float32)
    return value.astype(np.uint8) if dtype == "bool" else value


def _plain(value: Any) -> int | float | None:
    if value is None:
        return None
    number = value.item() if hasattr(value, "item") else value
    return number if math.isfinite(number) else None


# --- as text ----------------------------------------------------------------------------------


def weights_text(facts: Facts) -> str:
    tensors = facts["tensors"]
    return sections([(f"weights {facts['file']}", tensors_table(tensors)), ("", _total(tensors))])


def checkpoint_text(facts: Facts) -> str:
    """A checkpoint as text, with the verdict on its hashes in the first line."""
    head = f"checkpoint {facts['folder']}"
    if not facts["sound"]:
        return f"{head}\n  damaged: {facts['reason']}\n"
    files = [
        (name, bytes_text(file["size"]), file["sha256"][:HASH_DIGITS])
        for name, file in facts["files"].items()
    ]
    stands = f"step {facts['step']}, epoch {facts['epoch'] + 1}, batch {facts['batch']} next"
    about = [
        ("verified", "sound: manifest and files have the sha256 that they should have"),
        ("model", f"{facts['model']}  (variables {facts['fingerprint'][:HASH_DIGITS]})"),
        ("stands at", stands),
        ("seed", str(facts["seed"])),
        ("loss", number_text(facts["loss"])),
        ("metrics", numbers_text(facts["metrics"])),
        ("written by", ", ".join(f"{name} {version}" for name, version in facts["build"].items())),
    ]
    return sections([
        (head, pairs([(name, value) for name, value in about if value])),
        ("files", table(("name", "bytes", "sha256"), files, ("bytes",))),
        ("tensors", tensors_table(facts["tensors"])),
        ("", _total(facts["tensors"])),
    ])  # fmt: skip


def checkpoints_text(facts: Facts) -> str:
    count = plural(len(facts["checkpoints"]), "checkpoint")
    return sections([(f"{count} in {facts['folder']}", _checkpoints_table(facts["checkpoints"]))])


def run_text(facts: Facts) -> str:
    about = [
        ("model", str(facts.get("model", ""))),
        ("command", " ".join(map(str, facts.get("command", ())))),
        ("started", str(facts.get("started", ""))),
        ("seed", str(facts.get("seed", ""))),
        ("plan", str(facts.get("plan_hash", ""))[:HASH_DIGITS]),
        ("written by", ", ".join(f"{k} {v}" for k, v in facts.get("versions", {}).items())),
    ]
    measured = [(event, numbers_text(record)) for event, record in facts["measured"].items()]
    return sections([
        (f"run {facts['folder']}", pairs([pair for pair in about if pair[1]])),
        ("last measured", pairs(measured)),
        ("checkpoints", _checkpoints_table(facts["checkpoints"])),
    ])  # fmt: skip


def tensors_table(tensors: Sequence[Facts]) -> str:
    """One line a tensor; nothing where there are none."""
    heads = ("name", "kind", "dtype", "shape", "bytes", "min", "max", "mean", "not finite")
    rows = [
        (t["name"], t.get("kind", ""), t["dtype"], str(t["shape"]), bytes_text(t["bytes"]),
         number_text(t["min"]), number_text(t["max"]), number_text(t["mean"]),
         str(t["not_finite"] or ""))
        for t in tensors
    ]  # fmt: skip
    return table(heads, rows, ("bytes", "min", "max", "mean", "not finite")) if rows else ""


def number_text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def numbers_text(record: Mapping[str, Any]) -> str:
    """`step 20, loss 0.31`; numbers inside by their own names."""
    words = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            words.append(numbers_text(value))
        elif isinstance(value, int | float):
            words.append(f"{name} {number_text(value)}")
    return ", ".join(word for word in words if word)


def _checkpoints_table(checkpoints: Sequence[Facts]) -> str:
    rows = [
        (Path(c["folder"]).name, "sound" if c["sound"] else f"damaged: {c['reason']}",
         number_text(c.get("loss")), numbers_text(c.get("metrics", {})))
        for c in checkpoints
    ]  # fmt: skip
    return table(("name", "verified", "loss", "metrics"), rows, ("loss",)) if rows else ""


def _total(tensors: Sequence[Facts]) -> str:
    size = bytes_text(sum(t["bytes"] for t in tensors))
    elements = sum(math.prod(t["shape"]) for t in tensors)
    return f"{plural(len(tensors), 'tensor')}, {plural(elements, 'element')}, {size}"
