"""Models as ONNX: their outputs in onnxruntime against flowc's own.

    python benchmarks/onnx_export.py models/*.flow

Needs onnxruntime. Weights are first values, inputs are random.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from flowc.diagnostic import Sink
from flowc.driver import check
from flowc.onnx.errors import OnnxError
from flowc.syntax.read import read_source
from tests.onnx_exports import computed

BOUND = 1e-4


def measure(path: Path) -> float:
    import onnxruntime

    sink = Sink()
    source = read_source(path, sink)
    assert source is not None
    checked = check(source, sink)
    if not any(o.name.startswith("output.") for o in checked.evaluate.graph.outputs):
        print(f"{path}: declares no output")
        return 0.0
    try:
        data, given, outputs = computed(checked, 3)
    except OnnxError as error:
        print(f"{path}: {error}: {'; '.join(error.notes)}")
        return float("inf")
    session = onnxruntime.InferenceSession(data)
    found = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
    worst = 0.0
    for output, value in zip(session.get_outputs(), found, strict=True):
        off = difference(value.astype(float), outputs[output.name].astype(float))
        worst = max(worst, off)
        print(f"{path} {output.name} {list(value.shape)}: off by {off:.1e}, {len(data):,} bytes")
    return worst


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest one; what is no number here must be none there."""
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    return float(np.abs(np.nan_to_num(a - b)).max())


def main() -> None:
    worst = max(measure(Path(name)) for name in sys.argv[1:])
    print(f"largest difference {worst:.1e}, bound {BOUND:.0e}")
    sys.exit(worst > BOUND)


if __name__ == "__main__":
    main()
