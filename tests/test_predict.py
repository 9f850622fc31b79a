"""Predicted steps: tasks that share cores and links, in simulated execution of real plans."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from flowc.cluster import Cluster, Device, Host, Link
from flowc.costs import CostModel, Seconds
from flowc.diagnostic import Sink
from flowc.distributed import parse_sync
from flowc.planning.compiled import Compiled, compile_for
from flowc.predict import Prediction, predict, predict_alone
from flowc.predict.cores import TURN_SECONDS, Cores
from flowc.predict.events import Event, Give, Number, Open, Release, Take, Work
from flowc.predict.simulate import Actor, History, Simulation, waking_after
from flowc.source import Source
from flowc_runtime.cluster.plan import TaskName
from flowc_runtime.cluster.transport.waiting import YIELDING_SECONDS

MODEL = """
hyper width: int = 64 in 8..4096

model m {
  input x: f32[batch, 64]
  input y: f32[batch, 8]
  first = tanh(dense(x, width))
  second = tanh(dense(first, width))
  loss = mean((dense(second, 8) - y) ^ 2)
}

data d = csv("d.csv", columns = [0..63, 64..71]) -> (x, y)

train {
  data = d
  batch = 240
  steps = 10
  optimizer = adam(lr = 0.1)
}
"""
STAGES = """
place {
  stage on worker:0 { first }
  stage on worker:1 { second, loss }
  pipeline microbatches = 4
}
"""
COSTS = CostModel()
SWITCH_SECONDS = COSTS.meeting.switch_seconds
SLOW = Link(1e6, 1e-3)
QUICK = Link(1e12, 0.0)
DISTANT = Link(1e12, 0.05)


# --- the simulation by itself -------------------------------------------------------------------


def work(seconds: float, crowded: float | None = None) -> Work:
    return Work(Seconds(seconds, seconds if crowded is None else crowded), "work")


def simulated(
    actors: Mapping[str, tuple[str, Sequence[Event]]],
    consumers: Mapping[tuple[str, str], Sequence[str]] | None = None,
    cores: int = 2, link: Link = QUICK, steps: int = 1,
) -> History:  # fmt: skip
    hosts = sorted({host for host, _ in actors.values()})
    simulation = Simulation(
        [Actor(name, host, events) for name, (host, events) in actors.items()],
        consumers or {}, {host: Cores(cores, SWITCH_SECONDS) for host in hosts},
        {(a, b): link for a in hosts for b in hosts}, ())  # fmt: skip
    return simulation.run(steps)


def test_tasks_on_cores_of_their_own_work_side_by_side() -> None:
    history = simulated({"a": ("h", [work(1.0)]), "b": ("h", [work(2.0)])})
    assert history.ends == {"a": [pytest.approx(1.0)], "b": [pytest.approx(2.0)]}


def test_tasks_on_one_core_share_it() -> None:
    history = simulated({"a": ("h", [work(1.0)]), "b": ("h", [work(2.0)])}, cores=1)
    # Each turn ends with a switch from one to the other.
    turn = pytest.approx(2.0, rel=0.02), pytest.approx(3.0, rel=0.02)
    assert (history.ends["a"][0], history.ends["b"][0]) == turn


def test_a_core_is_given_away_when_its_task_waits_or_its_turn_is_over() -> None:
    cores = Cores(1, SWITCH_SECONDS)
    cores.want("a", False)
    cores.want("b", False)
    assert cores.deal(0.0, lambda task: None, lambda task: False)
    assert cores.has("a", 0.0) and not cores.has("b", 0.0)
    assert cores.next_change(0.0, lambda task: None) == TURN_SECONDS
    assert cores.deal(0.001, lambda task: 0.0, lambda task: False)  # a waits since 0
    assert cores.has("b", 0.001 + SWITCH_SECONDS) and not cores.has("b", 0.001)


def test_who_was_asleep_need_not_wait_for_a_turn() -> None:
    cores = Cores(1, SWITCH_SECONDS)
    cores.want("a", False)
    cores.deal(0.0, lambda task: None, lambda task: False)
    cores.want("b", True)
    assert cores.deal(0.001, lambda task: None, lambda task: task == "b")
    assert not cores.has("a", 1.0)


def test_tasks_of_different_hosts_share_nothing() -> None:
    history = simulated({"a": ("h", [work(1.0)]), "b": ("i", [work(2.0)])}, cores=1)
    assert history.ends == {"a": [pytest.approx(1.0)], "b": [pytest.approx(2.0)]}


def test_work_is_slower_while_the_other_cores_are_busy() -> None:
    history = simulated({"a": ("h", [work(1.0, 2.0)]), "b": ("h", [work(1.0)])})
    # b ends at 1; until then half of a is done, and the rest goes at full speed.
    assert history.ends == {"a": [pytest.approx(1.5)], "b": [pytest.approx(1.0)]}


GIVING = {"a": ("h", [work(1.0), Give("c", 2_000)]), "b": ("i", [Take("c", "a"), work(1.0)])}
TO_B = {("c", "a"): ("b",)}


def test_a_payload_takes_the_latency_and_its_bytes() -> None:
    history = simulated(GIVING, TO_B, link=Link(1_000.0, 0.5))
    assert history.ends["b"] == [pytest.approx(1.0 + 0.5 + 2.0 + 1.0)]
    assert history.bytes == {("h", "i"): 2_000}


def test_within_a_host_a_payload_is_there_at_once() -> None:
    together = {name: ("h", events) for name, (_, events) in GIVING.items()}
    history = simulated(together, TO_B, link=Link(1.0, 100.0))
    assert history.ends["b"] == [pytest.approx(2.0 + waking_after(1.0))]


def test_payloads_of_one_link_follow_one_another() -> None:
    actors = {
        "a": ("h", [Give("c", 1_000), Give("d", 1_000)]),
        "b": ("i", [Take("c", "a"), Take("d", "a")]),
    }
    consumers = {("c", "a"): ("b",), ("d", "a"): ("b",)}
    history = simulated(actors, consumers, link=Link(1_000.0, 0.0))
    assert history.ends["b"][0] >= 2.0


def test_a_producer_is_two_payloads_ahead_at_most() -> None:
    actors = {
        "a": ("h", [Open("c"), Give("c", 8)]),
        "b": ("h", [Take("c", "a"), work(1.0), Release("c", "a")]),
    }
    history = simulated(actors, TO_B, steps=5)
    ahead = [sum(e < t - 1e-9 for e in history.ends["b"]) for t in history.ends["a"]]
    assert all(made - done <= 2 for made, done in enumerate(ahead))
    assert history.ends["a"][4] >= 2.0


def test_who_waits_long_looks_seldom() -> None:
    assert waking_after(YIELDING_SECONDS / 2) == 0
    assert 0 < waking_after(1.2 * YIELDING_SECONDS) < YIELDING_SECONDS


def test_tasks_that_wait_for_each_other_are_found_out() -> None:
    actors = {
        "a": ("h", [Take("d", "b"), Give("c", 1)]),
        "b": ("h", [Take("c", "a"), Give("d", 1)]),
    }
    with pytest.raises(RuntimeError, match="waits"):
        simulated(actors, {("c", "a"): ("b",), ("d", "b"): ("a",)})


def test_a_number_counts_payloads_over_the_steps() -> None:
    assert [Number(4, 1).of(step) for step in range(3)] == [1, 5, 9]


# --- plans --------------------------------------------------------------------------------------


def cluster(
    workers: int, ps: int, link: Link = QUICK, cores: int = 1, hosts: int | None = None
) -> Cluster:
    """Each task on a host of its own, or all on so many."""
    names = [f"h{k}" for k in range(hosts or workers + ps)]
    tasks: dict[str, tuple[list[str], list[str]]] = {name: ([], []) for name in names}
    for number in range(workers + ps):
        where = tasks[names[number % len(names)]][0 if number < workers else 1]
        where.append(f"127.0.0.1:{4000 + number}")
    device = (Device("cpu:0", cores, 1 << 40),)
    return Cluster(
        tuple(Host(n, tuple(w), tuple(p), device, "none") for n, (w, p) in tasks.items()),
        default_link=link)  # fmt: skip


def compiled(
    where: Cluster, sync: str | None = None, text: str = MODEL, **defines: str
) -> Compiled:
    source, sink = Source("m.flow", text), Sink()
    return compile_for(source, sink, defines, where, parse_sync(sync) if sync else None)


def predicted(where: Cluster, sync: str | None = None, **defines: str) -> Prediction:
    found = compiled(where, sync, **defines)
    return step_of(found)


def step_of(found: Compiled) -> Prediction:
    assert found.parts and found.tasks and found.cluster
    alone = predict_alone(found.alone, COSTS, found.shards).step_seconds
    return predict(found.parts, found.tasks, found.cluster.link, lambda host: COSTS, alone)


@pytest.mark.parametrize("sync", ["sync", "all_reduce", "backup(1)", "async(2)"])
def test_every_way_to_meet_comes_to_a_steady_step(sync: str) -> None:
    found = predicted(cluster(3, 0 if sync == "all_reduce" else 2), sync)
    assert 0 < found.step_seconds < 1
    assert sum(s.seconds for s in found.path) == pytest.approx(found.step_seconds, rel=0.05)


def test_stages_come_to_a_steady_step() -> None:
    found = step_of(compiled(cluster(2, 0), text=MODEL + STAGES))
    assert {task.role for task in found.tasks} == {"stage:0", "stage:1"}
    assert 0 < found.step_seconds < 1


def test_workers_on_hosts_of_their_own_are_quicker_than_on_one_core() -> None:
    apart = predicted(cluster(2, 1), width="512")
    together = predicted(cluster(2, 1, hosts=1), width="512")
    assert apart.step_seconds < 0.75 * together.step_seconds


def test_quick_links_and_much_work_give_a_speed_up() -> None:
    found = predicted(cluster(4, 1), width="1024")
    assert found.speed_up is not None and 1.2 < found.speed_up < 4


def test_a_slow_link_is_named_where_a_cluster_does_not_pay() -> None:
    found = predicted(cluster(2, 1, SLOW))
    assert found.speed_up is not None and found.speed_up < 1
    assert found.limiting_link is not None
    assert found.limiting_link.seconds > SLOW.latency_s
    assert any("waiting for" in s.what for s in found.path)


def test_latency_is_paid_on_the_way_there_and_back() -> None:
    quick, distant = predicted(cluster(2, 1)), predicted(cluster(2, 1, DISTANT))
    assert distant.step_seconds - quick.step_seconds == pytest.approx(2 * DISTANT.latency_s)


def test_the_bytes_of_a_link_are_those_of_its_channels() -> None:
    found = compiled(cluster(2, 1))
    assert found.parts is not None
    gradients = sum(c.bytes for c in found.parts.channels if c.kind == "gradients")
    variables = sum(c.bytes for c in found.parts.channels if c.kind == "variables")
    links = {(x.producer, x.consumer): x.bytes for x in step_of(found).links}
    assert links["h0", "h2"] == links["h1", "h2"] == gradients
    assert links["h2", "h0"] == links["h2", "h1"] == variables


def test_work_and_waiting_of_a_task_make_the_step() -> None:
    found = predicted(cluster(2, 1))
    for task in found.tasks.values():
        assert task.compute > 0
        assert task.compute + task.wait == pytest.approx(found.step_seconds)


def test_a_backup_worker_is_not_waited_for() -> None:
    """The slow one of three hosts holds everybody up, or nobody."""
    slow = CostModel(replace(COSTS.calibration, rates={
        key: replace(r, seconds=tuple(20 * s for s in r.seconds))
        for key, r in COSTS.calibration.rates.items()
    }))  # fmt: skip

    def step(sync: str) -> float:
        found = compiled(cluster(3, 1), sync, width="512")
        assert found.parts and found.tasks and found.cluster
        return predict(
            found.parts, found.tasks, found.cluster.link,
            lambda host: slow if host == "h2" else COSTS).step_seconds  # fmt: skip

    assert step("sync") > 5 * step("backup(1)")


# Expected order statistics of normal numbers, as in tables (Harter 1961).
@pytest.mark.parametrize(("workers", "sync", "deviations"), [
    (1, "sync", 0.0), (2, "sync", 0.564), (4, "sync", 1.029), (8, "sync", 1.424),
    (4, "all_reduce", 1.029), (4, "backup(1)", 0.297), (4, "async(4)", 0.0),
])  # fmt: skip
def test_the_last_worker_that_is_waited_for_has_the_longest_work(
    workers: int, sync: str, deviations: float
) -> None:
    found = compiled(cluster(workers, 0 if sync == "all_reduce" else 1), sync)

    def compute(spread: float) -> float:
        meeting = replace(COSTS.meeting, spread=spread)
        costs = CostModel(replace(COSTS.calibration, meeting=meeting))
        assert found.parts and found.tasks and found.cluster
        told = predict(found.parts, found.tasks, found.cluster.link, lambda host: costs)
        return told.tasks[TaskName("worker", 0)].compute

    assert compute(1.0) / compute(0.0) == pytest.approx(1 + deviations, rel=0.03)


def test_one_process_reads_computes_and_loops() -> None:
    found = compiled(cluster(2, 1))
    alone = predict_alone(found.alone, COSTS)
    assert [s.what for s in alone.path] == ["reading", "train", "loop"]
    assert alone.step_seconds == pytest.approx(sum(s.seconds for s in alone.path))


def test_shards_in_one_process_are_computed_one_after_the_other() -> None:
    found = compile_for(
        Source("m.flow", MODEL), Sink(), {"train.shards": "4"}, None, None)
    alone = predict_alone(found.alone, COSTS, found.shards)
    seconds = {s.what: s.seconds for s in alone.path}
    gradient = COSTS.program(found.alone.programs["gradient"]).seconds.alone
    assert seconds["gradient"] == pytest.approx(4 * gradient)


def test_many_workers_are_predicted_soon() -> None:
    began = time.monotonic()
    found = predicted(cluster(48, 2))
    assert time.monotonic() - began < 20
    assert len(found.tasks) == 50


def test_the_same_plan_is_predicted_the_same() -> None:
    assert predicted(cluster(2, 1)) == predicted(cluster(2, 1))


def test_the_tasks_are_those_of_the_plan() -> None:
    found = predicted(cluster(2, 1))
    assert set(found.tasks) == {TaskName("worker", 0), TaskName("worker", 1), TaskName("ps:0")}
