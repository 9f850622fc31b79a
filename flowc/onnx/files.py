"""`model.onnx` to `model.flow` and `model.safetensors`, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flowc.driver import Checked
from flowc.onnx.importer import translate
from flowc.onnx.inputs import Wishes
from flowc.onnx.names import legal
from flowc.onnx.read import read_model
from flowc.onnx.write import Written, write
from flowc_runtime.checkpoint.errors import CheckpointError
from flowc_runtime.checkpoint.tensors import type_of
from flowc_runtime.checkpoint.weights import load_weights, save_weights


@dataclass(frozen=True)
class Files:
    """What an import has written, and what is in it."""

    text: Path
    weights: Path | None
    written: Written


def import_file(source: Path, text: Path, wishes: Wishes) -> Files:
    """Writes a model's text, and its weights beside it if it has any.

    Raises OnnxError where the model cannot come in, CheckpointError where weights cannot be
    written, OSError.
    """
    model = read_model(source)
    beside = text.with_suffix(".safetensors")
    name = legal(text.stem) or "model"
    written = write(translate(model, wishes), name, _head(source, text, beside))
    weights = beside if written.weights else None
    if weights is not None:
        save_weights(weights, written.variables, written.weights)
    text.write_text(written.text, encoding="utf-8")
    return Files(text, weights, written)


def _head(source: Path, text: Path, weights: Path) -> str:
    return (
        f"# Imported from {_plain(source.name)}; the weights are in {_plain(weights.name)}:\n"
        f"#   flowc predict {_plain(text.name)} EXAMPLES --weights {_plain(weights.name)}\n\n"
    )


def _plain(name: str) -> str:
    """A file's name as a comment can hold it."""
    return "".join(c if c.isprintable() else "?" for c in name)


def export_file(checked: Checked, weights: Path, target: Path) -> int:
    """Writes the model's outputs as an ONNX file and gives its size in bytes.

    Raises OnnxError where ONNX has no words for the model, CheckpointError where the weights
    belong to another one.
    """
    from flowc.onnx.export.model import export

    values = load_weights(weights)
    wanted = {p: str(v.tensor.type) for p, v in checked.evaluate.variables.items()}
    for path, type_ in wanted.items():
        value = values.get(path)
        if value is None:
            raise CheckpointError(
                "checkpoint-other-model", f"{weights} belongs to another model: it has no {path}")
        if str(type_of(value)) != type_:
            raise CheckpointError(
                "checkpoint-other-model", f"{weights} belongs to another model: {path} is "
                f"{type_of(value)} there, not {type_}")
    data = export(checked, values)
    target.write_bytes(data)
    return len(data)
