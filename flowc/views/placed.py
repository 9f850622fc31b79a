"""Where a name is when the model runs over a cluster, and what decides that."""

from __future__ import annotations

from collections.abc import Iterator

from flowc.driver import Checked
from flowc.lower.place import Placing, covers
from flowc.views.subjects import Subject


def placed(checked: Checked, subject: Subject) -> Iterator[str]:
    """What the place section says, or what is done without a word."""
    if subject.kind == "variable":
        yield from _variable(checked.placing, subject.name)
    elif subject.kind in ("binding", "path", "output"):
        yield _computed(checked.placing, subject.name)


def _computed(placing: Placing, path: str) -> str:
    if placing.balanced:
        return (f"on one of {placing.balanced} stages that the compiler cuts, such that the "
                f"slowest is the fastest ({placing.span})")
    return _stage(placing, path) or "on every worker, for its shards of the batch"


def _stage(placing: Placing, path: str) -> str | None:
    for number, pin in enumerate(placing.stages):
        if any(covers(pattern, path) for pattern in pin.patterns):
            return f"on stage {number}, {pin.device}, which names it ({pin.span})"
    return "on the stage where it is needed first: no `stage` names it" if placing.stages else None


def _variable(placing: Placing, path: str) -> Iterator[str]:
    for pattern in placing.split:
        if covers(pattern, path):
            yield f"with its rows spread over all ps tasks ({pattern.span})"
            return
    if placing.owner == "worker":
        yield f"on every worker, which all update it ({placing.span})"
        return
    if placing.owner == "ps":
        yield f"on a ps: variables go by their bytes to the one that holds least ({placing.span})"
    else:
        yield "where there are ps tasks, on the one that held least when its turn came"
    yield "used " + _computed(placing, path)
