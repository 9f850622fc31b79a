"""Checkpoints that survive crashes, and weights on their own."""

from flowc_runtime.checkpoint.disk import Disk
from flowc_runtime.checkpoint.errors import CODES, CheckpointError
from flowc_runtime.checkpoint.manifest import Manifest, Position, Progress, build_facts, fingerprint
from flowc_runtime.checkpoint.match import Differences
from flowc_runtime.checkpoint.read import Checkpoint, Skipped, step_name
from flowc_runtime.checkpoint.store import Checkpoints, find_checkpoint
from flowc_runtime.checkpoint.weights import (
    load_weights,
    put_weights,
    save_weights,
    weights_sha256,
)

__all__ = [
    "CODES",
    "Checkpoint",
    "CheckpointError",
    "Checkpoints",
    "Differences",
    "Disk",
    "Manifest",
    "Position",
    "Progress",
    "Skipped",
    "build_facts",
    "find_checkpoint",
    "fingerprint",
    "load_weights",
    "put_weights",
    "save_weights",
    "step_name",
    "weights_sha256",
]
