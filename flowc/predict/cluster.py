"""Predicting a step of a cluster plan, and of one process alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist

from flowc.costs import CostModel, Seconds
from flowc.predict.cores import Cores
from flowc.predict.events import Event, Steps, Work, consumers_of, workers_of
from flowc.predict.path import critical_path
from flowc.predict.prediction import LinkLike, LinkUse, Prediction, Stretch, TaskLike, TaskTime
from flowc.predict.simulate import Actor, History, Simulation
from flowc_runtime.cluster.plan import ClusterPlan, TaskName, tasks_of
from flowc_runtime.cluster.work.boxes import personal
from flowc_runtime.cluster.work.table import Ranges
from flowc_runtime.plan import Plan

SETTLING, STEADY = 2, 4  # steps that are simulated: those until all is in step, those that count

LinkOf = Callable[[str, str], LinkLike]  # between two hosts
CostsOf = Callable[[str], CostModel]  # of a host


def predict(
    plan: ClusterPlan, tasks: Mapping[TaskName, TaskLike], link: LinkOf, costs: CostsOf,
    alone_seconds: float | None = None,
) -> Prediction:
    """A steady step of the plan, whose tasks are where `tasks` says.

    `alone_seconds` is what one process needs for the same step, where speed-up is asked for.
    """
    ranges = ranges_of(plan)
    names = [t for t in tasks_of(plan) if t in tasks]
    hosts = sorted({tasks[t].host for t in names})
    last_of_all = _deviations_of_the_last(plan, ranges)

    def events(task: TaskName) -> tuple[Event, ...]:
        costs_there = costs(tasks[task].host)
        steps = Steps(plan, task, ranges, costs_there, _shared(task, tasks, link, costs))
        return tuple(_stretched(steps.events(), 1 + costs_there.meeting.spread * last_of_all))

    actors = [Actor(str(t), tasks[t].host, events(t)) for t in names]
    simulation = Simulation(
        [a for a in actors if a.events], consumers_of(plan, names, ranges),
        {t.host: Cores(t.cores, costs(t.host).meeting.switch_seconds) for t in tasks.values()},
        {(a, b): link(a, b) for a in hosts for b in hosts}, _first_variables(plan, names),
    )  # fmt: skip
    history = simulation.run(SETTLING + STEADY, decisive := _decisive(plan, actors))
    rounds = _rounds(plan, ranges)
    last = max(decisive, key=lambda name: history.ends[name][-1])
    step = (history.ends[last][-1] - history.ends[last][SETTLING - 1]) / STEADY / rounds
    path = critical_path(history, last, SETTLING, STEADY, rounds)
    times = {t: _task_time(history, str(t), step, rounds) for t in names}
    links = tuple(_link_use(pair, bytes // (SETTLING + STEADY) // rounds, link)
                  for pair, bytes in sorted(history.bytes.items()))
    return Prediction(step, path, times, links, alone_seconds)


def predict_alone(plan: Plan, costs: CostModel, shards: int = 1) -> Prediction:
    """A step of one process that has the plan to itself, as the training loop runs it."""
    stretches: dict[str, Seconds] = {}
    if "train" in plan.programs:
        program = plan.programs["train"]
        stretches["reading"] = costs.reading(plan.model, program).seconds
        stretches["train"] = costs.program(program).seconds
    else:
        stretches |= _shard_by_shard(plan, costs, shards)
    stretches["loop"] = costs.loop
    path = tuple(Stretch("alone", what, s.alone) for what, s in stretches.items())
    total = sum(s.seconds for s in path)
    return Prediction(total, path, {TaskName("worker"): TaskTime(total, 0.0)}, (), total)


def _shard_by_shard(plan: Plan, costs: CostModel, shards: int) -> dict[str, Seconds]:
    gradient, update = plan.programs["gradient"], plan.programs["update"]
    summed = [gradient.buffers[p.buffer].type.bytes for p in gradient.outputs]
    adding = costs.adding(sum(summed), len(summed))
    return {
        "reading": costs.reading(plan.model, gradient).seconds.times(shards),
        "gradient": costs.program(gradient).seconds.times(shards),
        "adding gradients": adding.times(shards),
        "update": costs.program(update).seconds,
    }


def ranges_of(plan: ClusterPlan) -> dict[str, tuple[int, int]]:
    """The shards of every task, as they are dealt where all are there."""
    return {
        str(TaskName(part.role, r)): mine
        for part in plan.parts for r, mine in enumerate(plan.dealt(part.role, part.replicas))
    }


def _deviations_of_the_last(plan: ClusterPlan, ranges: Ranges) -> float:
    """How late the last of those workers is that a step waits for, in standard deviations.

    The expected order statistic of normal numbers, by the approximation of Blom (1958).
    """
    workers = len(workers_of(ranges))
    if plan.sync.mode == "async" or workers < 2:
        return 0.0
    last = workers - plan.sync.backups
    return max(0.0, NormalDist().inv_cdf((last - 3 / 8) / (workers + 1 / 4)))


def _stretched(events: Sequence[Event], factor: float) -> Iterator[Event]:
    """The same with work that takes longer."""
    for event in events:
        yield Work(event.seconds.times(factor), event.what) if isinstance(event, Work) else event


def _shared(
    me: TaskName, tasks: Mapping[TaskName, TaskLike], link: LinkOf, costs: CostsOf
) -> dict[str, float]:
    """The bandwidth of the memory that a task shares with those on its host."""
    host = tasks[me].host
    found = min(link(host, host).bandwidth_bytes_per_s, costs(host).meeting.bytes_per_s)
    return {str(t): found for t, spec in tasks.items() if spec.host == host and t != me}


def _decisive(plan: ClusterPlan, actors: list[Actor]) -> list[str]:
    """Whose steps are those of the training: everybody's, or those of who applies gradients."""
    loose = plan.sync.loose
    return [a.name for a in actors if a.events and (not loose or a.name.startswith("ps:"))]


def _rounds(plan: ClusterPlan, ranges: Ranges) -> int:
    """Steps of the training in a simulated one: asynchronous workers make one each."""
    if plan.sync.mode != "async":
        return 1
    return len(workers_of(ranges))


def _first_variables(
    plan: ClusterPlan, names: list[TaskName]
) -> list[tuple[str, str]]:
    """What is published before the first step."""
    found = []
    for channel in plan.channels:
        if channel.kind != "variables":
            continue
        boxes = [channel.name]
        if plan.sync.mode == "async":
            boxes = [personal(channel.name, str(t)) for t in names if t.role == channel.consumer]
        found += [(box, str(t)) for box in boxes for t in names if t.role == channel.producer]
    return found


def _task_time(history: History, name: str, step: float, rounds: int) -> TaskTime:
    ends = history.ends.get(name, [])
    if len(ends) <= SETTLING:
        return TaskTime(0.0, step)
    counted = [d for d in history.done[name] if ends[SETTLING - 1] <= d.begun < ends[-1]]
    working = sum(d.ended - d.begun for d in counted if d.is_work)
    compute = working / (len(ends) - SETTLING) / rounds
    return TaskTime(compute, max(0.0, step - compute))


def _link_use(pair: tuple[str, str], bytes: int, link: LinkOf) -> LinkUse:
    found = link(*pair)
    return LinkUse(*pair, bytes, found.latency_s + bytes / found.bandwidth_bytes_per_s)

