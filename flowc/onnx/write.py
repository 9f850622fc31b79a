"""Lines to the text of a model, and to the weights that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowc.diagnostic import Limit, Sink, Stop
from flowc.driver import Checked, check
from flowc.onnx.desk import Line
from flowc.onnx.errors import OnnxError
from flowc.onnx.importer import Imported
from flowc.onnx.repeats import Repeat, bound_by, folded, weights_in
from flowc.onnx.tidy import tidied
from flowc.source import Source
from flowc.syntax.format import format_text
from flowc_runtime.plan import Variable as PlanVariable


@dataclass(frozen=True)
class Written:
    """A text in the one style, its weights by path, and what the compiler has made of it.

    `inputs` and `outputs` map the names of ONNX to those of the text.
    """

    text: str
    weights: dict[str, np.ndarray]
    inputs: dict[str, str]
    outputs: dict[str, str]
    checked: Checked

    @property
    def variables(self) -> list[PlanVariable]:
        found = self.checked.train.variables
        return [PlanVariable(v.path, v.kind, v.tensor.type, 0) for v in found.values()]


def write(imported: Imported, name: str, head: str) -> Written:
    """The whole text. Raises OnnxError where the compiler has something against it."""
    lines = tidied(folded(imported.desk.lines, imported.desk.names.new))
    weights: dict[str, np.ndarray] = {}
    for line in lines:
        weights.update(weights_of(line))
    body = "\n".join(line.text() for line in lines)
    blocks = "".join(imported.desk.blocks.values())
    raw = f"{head}{blocks}\nmodel {name} {{\n{body}\n}}\n"
    sink = Sink()
    text = format_text(Source(f"{name}.flow", raw), sink)
    checked = _checked(Source(f"{name}.flow", text), sink)
    _check_paths(checked, weights)
    inputs = {n: t.name for n, t in imported.inputs.items()}
    return Written(text, weights, inputs, imported.outputs, checked)


def weights_of(line: Line | Repeat) -> Mapping[str, np.ndarray]:
    """The weights that a line brings, by their paths."""
    if isinstance(line, Repeat):
        return line.weights
    return {f"{bound_by(line)[0]}{suffix}": v for suffix, v in weights_in(line).items()}


def _checked(source: Source, sink: Sink) -> Checked:
    try:
        return check(source, sink)
    except Stop:
        pass
    except Limit as limit:
        raise OnnxError("onnx-limit", limit.diagnostic.message) from None
    first = sink.errors[0]
    where = f" in line {first.label.span.line}" if first.label else ""
    raise OnnxError("onnx-unsupported", f"the text would be wrong{where}: {first.message}")


def _check_paths(checked: Checked, weights: dict[str, np.ndarray]) -> None:
    wanted = set(checked.train.variables)
    assert wanted == set(weights), wanted ^ set(weights)
