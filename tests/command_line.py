"""Calls of `flowc`: within this process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from flowc.cli.main import flowc

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
GOOD = "model m {\n  input x: f32[batch, 4]\n  output y = dense(x, 2)\n}\n"


def run(*args: str | Path, input: str | bytes | None = None, **env: str) -> Result:
    return CliRunner().invoke(flowc, [str(arg) for arg in args], input=input, env=env)


def started(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """flowc as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "flowc.cli", *map(str, args)],
        capture_output=True, text=True, env={**os.environ, **env}, timeout=60,
    )  # fmt: skip
