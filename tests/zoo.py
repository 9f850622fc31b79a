"""The models that come with flowc: which take long, at what sizes tests can afford them,
and how near is equal."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark import ParameterSet

from flowc_runtime.plan import Instruction

FOLDER = Path(__file__).parents[1] / "models"
LARGE = ("efficientnet_lite0", "flowers_finetune", "inception_v3", "mobilenet_v2", "resnet50")
LARGEST = {*LARGE} - {"mobilenet_v2"}
SMALL: dict[str, dict[str, str]] = {
    "autoencoder": {"width": "4"},
    "efficientnet_lite0": {"side": "32", "classes": "5"},
    "inception_v3": {"side": "107", "classes": "5", "dropped": "0.0"},
    "mobilenet_v2": {"side": "32", "classes": "5", "width": "2"},
    "resnet20": {"depth": "1", "width": "4", "side": "16"},
    "resnet50": {"side": "32", "classes": "5", "width": "4"},
    "unet": {"width": "4"},
    "vae": {"hidden": "32"},
    "vgg": {"side": "32", "classes": "5", "width": "4", "hidden": "16"},
}


def models(long: Collection[str] = LARGE) -> list[ParameterSet]:
    """Their names as parameters of a test, which with some of them is a long proof."""
    names = sorted(path.stem for path in FOLDER.glob("*.flow"))
    return [pytest.param(name, marks=[pytest.mark.soak] * (name in long)) for name in names]


def size_of(instruction: Instruction, operands: list[np.ndarray], result: np.ndarray) -> float:
    """What last bits are last bits of: the largest operand, or the sums of products of both."""
    largest = [np.abs(a[np.isfinite(a)].astype(float)).max(initial=0) for a in operands]
    if instruction.op == "reduce_sum":
        return largest[0] * (operands[0].size / max(1, result.size)) ** 0.5
    if instruction.op != "matmul" and not instruction.op.startswith("conv"):
        return max([1.0, *largest])
    return float(np.prod(largest)) * (instruction.flops / max(1, result.size)) ** 0.5
