"""How long a step will take: the plan executed in simulation, on costs that were measured."""

from flowc.predict.cluster import predict, predict_alone, ranges_of
from flowc.predict.prediction import LinkUse, Prediction, Stretch, TaskTime

__all__ = [
    "LinkUse", "Prediction", "Stretch", "TaskTime", "predict", "predict_alone", "ranges_of",
]  # fmt: skip
