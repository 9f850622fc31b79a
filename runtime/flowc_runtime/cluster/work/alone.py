"""One process that does all shards of a batch itself: the same sums, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowc_runtime.checkpoint.manifest import Position
from flowc_runtime.cluster.plan import GRADIENT, ClusterPlan, TaskName
from flowc_runtime.cluster.shards import fold
from flowc_runtime.cluster.work.runner import Runner, Work
from flowc_runtime.cluster.work.shard_reader import ShardReader
from flowc_runtime.data.stream import Stream
from flowc_runtime.executor import Session
from flowc_runtime.ops.op import Array
from flowc_runtime.training.engine import Stepped

ME = TaskName("worker", 0)


class ShardByShard:
    """An engine for a session whose plan has the programs `gradient` and `update`."""

    def __init__(self, session: Session, plan: ClusterPlan, data: Stream, seed: int):
        read = ShardReader(data, plan.shard_size)
        read.bind(session.inputs(GRADIENT))
        ranges = {str(ME): (0, plan.shards)}
        self._shards = plan.shards
        self._runner = Runner(Work(session, plan, ME, ranges, None, read, seed))

    def begin(self, position: Position) -> None:
        pass

    def advance(self, position: Position, until: int) -> Stepped:
        with np.errstate(all="ignore"):
            self._runner.run_step(position.step + 1, 0)
        return Stepped(1, mean_outputs([self._runner.kept.values(0)], [(0, self._shards)],
                                       self._shards))

    def settle(self) -> None:
        pass


Values = tuple[tuple[str, float], ...]


def mean_outputs(
    sums: list[Values], ranges: list[tuple[int, int]], shards: int
) -> Mapping[str, Array]:
    """Outputs of a step from the sums over subtrees of its shards, in order: f32 scalars."""
    outputs: dict[str, Array] = {}
    for place, (name, _) in enumerate(sums[0] if sums else ()):
        held = [(r, np.float32(v[place][1])) for r, v in zip(ranges, sums, strict=True)]
        total = fold(held, shards, np.float32.__add__)
        outputs[name] = np.asarray(total / np.float32(shards), np.float32)
    return outputs
