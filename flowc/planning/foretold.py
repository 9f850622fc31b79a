"""The seconds that a step of a training should take, as `flowc plan` has them."""

from __future__ import annotations

from flowc.jobs import Planned
from flowc.planning.facts import ALONE_HOST
from flowc.predict import predict_alone
from flowc.predict.cluster import CostsOf


def foretold_seconds(planned: Planned, shards: int, costs: CostsOf) -> float:
    """`shards`: into how many parts one process cuts a batch, if it does all by itself."""
    if planned.foretold is not None:
        return planned.foretold()
    return predict_alone(planned.plan, costs(ALONE_HOST), shards).step_seconds
