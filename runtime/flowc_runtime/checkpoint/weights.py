"""Weights alone: a safetensors file in or out, and their sha256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from flowc_runtime.checkpoint.disk import Disk, replace_file
from flowc_runtime.checkpoint.errors import unwritten
from flowc_runtime.checkpoint.match import Differences, differences
from flowc_runtime.checkpoint.store import find_checkpoint
from flowc_runtime.checkpoint.tensors import Array, encode, read_tensors, tensor_bytes, type_of
from flowc_runtime.plan import Variable

KEPT_KINDS = ("param", "state")  # what a model is without its optimiser


def load_weights(path: Path) -> dict[str, Array]:
    """Parameters and states by path (bf16 as uint16).

    `path` is a safetensors file, one checkpoint, or a run folder, whose newest sound checkpoint
    is taken. Raises CheckpointError.
    """
    if not path.is_dir():
        return read_tensors(path)
    checkpoint = find_checkpoint(path)
    kept = {p for p, text in checkpoint.manifest.variables.items() if text.startswith(KEPT_KINDS)}
    return {path: value for path, value in checkpoint.tensors.items() if path in kept}


def save_weights(
    path: Path,
    variables: Sequence[Variable],
    values: Mapping[str, Array],
    disk: Disk | None = None,
) -> None:
    """Write parameters and states as one safetensors file, which appears whole or not at all."""
    chosen = [variable for variable in variables if variable.kind in KEPT_KINDS]
    try:
        replace_file(disk or Disk(), path, encode(chosen, values))
    except OSError as error:
        raise unwritten(error, path, sum(v.type.bytes for v in chosen)) from error


def put_weights(
    weights: Mapping[str, Array], variables: Sequence[Variable], into: Mapping[str, Array]
) -> Differences:
    """Copy the weights that match by path and type into the live variables.

    Returns what did not match among parameters and states; the caller decides whether that is
    an error (`--weights`) or what was meant (a new head on old layers).
    """
    found = {path: str(type_of(value)) for path, value in weights.items()}
    wanted = {v.path: str(v.type) for v in variables if v.kind in KEPT_KINDS}
    for path in wanted:
        if found.get(path) == wanted[path]:
            into[path][...] = weights[path]
    return differences(found, wanted)


def weights_sha256(variables: Sequence[Variable], values: Mapping[str, Array]) -> str:
    """sha256 over the parameters in path order.

    For each: its path in UTF-8, a zero byte, its type as text (`f32[784, 128]`), a zero byte,
    and its elements, little-endian, outermost dimension first.
    """
    digest = sha256()
    for variable in sorted(variables, key=lambda v: v.path):
        if variable.kind == "param":
            digest.update(f"{variable.path}\0{variable.type}\0".encode())
            digest.update(tensor_bytes(values[variable.path]))
    return digest.hexdigest()
