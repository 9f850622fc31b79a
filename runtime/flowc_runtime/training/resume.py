"""Puts a session back to where a run's newest sound checkpoint stands."""

from __future__ import annotations

from collections.abc import Mapping

from flowc_runtime.checkpoint.manifest import Progress, build_facts
from flowc_runtime.events import Warning
from flowc_runtime.plan import Plan
from flowc_runtime.runfolder.folder import RunFolder
from flowc_runtime.training.record import Emit
from flowc_runtime.training.steps import Steps

BITS_DEPEND_ON = ("numpy", "blas")


def resume(run: RunFolder, plan: Plan, steps: Steps, emit: Emit) -> Progress:
    """Restore all variables from `run`; returns what `train` is to go on from.

    The seed to go on with is `Progress.seed`. Checkpoints that are damaged are passed over with
    a warning each. Raises CheckpointError as `Checkpoints.load` does.
    """
    checkpoint = run.checkpoints.load(plan.variables)
    for skipped in checkpoint.skipped:
        emit(Warning("checkpoint-damaged", f"{skipped}; resumed from {checkpoint.path.name}"))
    _warn_of_other_build(checkpoint.manifest.build, emit)
    checkpoint.restore(steps.variables)
    return checkpoint.manifest.progress


def _warn_of_other_build(build: Mapping[str, str], emit: Emit) -> None:
    ours = build_facts()
    changed = [
        f"{part} {build.get(part, 'unknown')} then, {ours[part]} now"
        for part in BITS_DEPEND_ON
        if build.get(part) != ours[part]
    ]
    if changed:
        emit(
            Warning(
                "checkpoint-other-build",
                f"the checkpoint comes from another build ({'; '.join(changed)})",
                help="the run goes on, but need not be bit-equal to an undisturbed one",
            )
        )
