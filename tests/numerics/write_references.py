"""Writes what PyTorch says about every case to `references/`, for machines that do not have it.

    python tests/numerics/write_references.py [FAMILY ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from numerics.case import Case
from numerics.cases import FAMILIES
from numerics.flow_side import compile_case
from numerics.references import SEED, path_of
from numerics.torch_side import torch_says


def main() -> None:
    for family in sys.argv[1:] or FAMILIES:
        arrays: dict[str, np.ndarray] = {}
        for case in FAMILIES[family]:
            arrays |= {f"{case}/{name}": value for name, value in _said(case).items()}
        np.savez_compressed(path_of(family), **arrays)
        print(f"{path_of(family).name}: {len(FAMILIES[family])} cases, "
              f"{path_of(family).stat().st_size:,} bytes")


def _said(case: Case) -> dict[str, np.ndarray]:
    """In f32: what rounding it adds is a thousandth of what may differ."""
    compiled = compile_case(case)
    values = compiled.values(SEED)
    said = torch_says(torch, case, values, compiled.read)
    return {n: v.astype(np.float32) if v.dtype.kind == "f" else v for n, v in said.items()}


if __name__ == "__main__":
    main()
