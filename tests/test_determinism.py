"""The same text gives the same bytes, in whatever process it is compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def compile_in_a_process(model: str, out: Path, hash_seed: str) -> bytes:
    subprocess.run(
        [sys.executable, "-m", "flowc.cli", "compile", f"models/{model}.flow", "-o", str(out)],
        cwd=ROOT, check=True, capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    return (out / "plan.json").read_bytes()


@pytest.mark.parametrize("model", ["fashion_mlp", "kitchen_sink", "gpt"])
def test_two_processes_compile_the_same_text_to_the_same_bytes(model: str, tmp_path: Path) -> None:
    first = compile_in_a_process(model, tmp_path / "a", "1")
    second = compile_in_a_process(model, tmp_path / "b", "2")
    assert first == second
