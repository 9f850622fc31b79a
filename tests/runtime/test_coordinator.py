"""The coordinator's decisions, event by event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from flowc_runtime.cluster.coordinator.agreement import agree
from flowc_runtime.cluster.coordinator.events import (
    Action,
    Advance,
    Advanced,
    Began,
    Begin,
    Connected,
    Event,
    Fail,
    Job,
    KeepValues,
    Kill,
    LoadValues,
    Lost,
    Notice,
    Received,
    Send,
    Settle,
    Settled,
    Start,
    Stop,
    Stopped,
    Tick,
)
from flowc_runtime.cluster.coordinator.layout import Group, Layout
from flowc_runtime.cluster.coordinator.machine import Machine
from flowc_runtime.cluster.coordinator.outputs import outputs_of
from flowc_runtime.cluster.coordinator.pace import Pace
from flowc_runtime.cluster.coordinator.tallies import Tallies
from flowc_runtime.cluster.messages import (
    PROTOCOL,
    Beat,
    Collect,
    Command,
    Configure,
    Configured,
    Counts,
    Done,
    Failed,
    Finish,
    Goodbye,
    Hello,
    Load,
    Loaded,
    Ready,
    Run,
    Setup,
    Share,
    Values,
    Welcome,
)
from flowc_runtime.cluster.messages import Event as Message

WORKERS = ("worker:0", "worker:1", "worker:2")
REPLICAS = {name: k for k, name in enumerate(WORKERS)}
OF_PS = (Group(("ps:0",), ("w",), ("w",), 8),)
PS = Layout((*WORKERS, "ps:0"), REPLICAS, OF_PS, 4)
ALL_REDUCE = Layout(WORKERS, REPLICAS, (Group(WORKERS, ("w",), ("w",), 8),), 4)
LOOSE = replace(PS, run_on=True, least=2)
JOB = Job("0.1", "job", "plan", "data", 1, 1, "numpy")


class Play:
    """Tasks that do at once what they are told, unless they are `deaf`; `step` is theirs."""

    def __init__(self, layout: Layout = PS, job: Job = JOB):
        self.layout = layout
        self.machine = Machine(layout, job)
        self.now = 0.0
        self.life = dict.fromkeys(layout.tasks, 0)
        self.step = dict.fromkeys(layout.tasks, -1)
        self.deaf: set[str] = set()
        self.down: set[str] = set()  # what is started does not come up
        self.commands: list[tuple[str, Command]] = []
        self.actions: list[Action] = []
        self.digest = "same"

    def handle(self, event: Event) -> None:
        for action in self.machine.handle(event, self.now):
            self.actions.append(action)
            self._do(action)

    def say(self, task: str, message: Message) -> None:
        self.handle(Received(task, self.life[task], message))

    def begin(self, step: int = 0) -> Play:
        self.handle(Begin(step))
        assert self.found(Began)
        return self

    def lose(self, task: str, reason: str = "died") -> None:
        self.handle(Lost(task, self.life[task], "task-lost", reason))

    def pass_time(self, seconds: float, beating: bool = True) -> None:
        """In ticks; all who can hear beat."""
        for _ in range(round(seconds / 0.25)):
            self.now += 0.25
            for task in self.layout.tasks if beating else ():
                if task not in self.deaf and self.life[task]:
                    self.say(task, Beat(self.step[task], "computing"))
            self.handle(Tick())

    def found(self, kind: type) -> list[Action]:
        return [a for a in self.actions if isinstance(a, kind)]

    def told(self, kind: type) -> list[tuple[str, Command]]:
        return [(t, c) for t, c in self.commands if isinstance(c, kind)]

    def notices(self) -> list[str]:
        return [a.message for a in self.actions if isinstance(a, Notice)]

    def failure(self) -> str:
        (fail,) = self.found(Fail)
        assert isinstance(fail, Fail)
        return f"{fail.error.code}: {fail.error}"

    def forget(self) -> None:
        self.commands.clear()
        self.actions.clear()

    def _do(self, action: Action) -> None:
        match action:
            case Start(task, life):
                self.life[task] = life
                self.step[task] = -1
                self.deaf.discard(task)
                if task not in self.down:
                    self.handle(Connected(task, life, f"{task}@{life}"))
            case LoadValues(task, _, generation, step, _):
                self._load(task, generation, step)
            case Send(task, _, command):
                self.commands.append((task, command))
                if task not in self.deaf:
                    for answer in self.answers(task, command):
                        self.say(task, answer)

    def _load(self, task: str, generation: int, step: int) -> None:
        self.step[task] = step
        self.say(task, Loaded(generation, step))

    def answers(self, task: str, command: Command) -> Iterator[Message]:
        match command:
            case Hello():
                yield Welcome(PROTOCOL, "0.1", "host", 1, 1, 1, 0.0, "token")
            case Setup():
                yield Ready(1, 100, self.digest)
            case Configure(generation):
                yield Configured(generation, self.step[task])
            case Run(generation, _, until) if not self._runs_on(task):
                self.step[task] = until
                yield self.done(task, generation, until)
            case Collect(generation, step, paths):
                yield Values(generation, self.step[task], paths[-1], 0, b"12345678", True)
            case Load(generation, step, _, _, _, True):
                self.step[task] = step
                yield Loaded(generation, step)
            case Finish():
                yield Goodbye()

    def done(self, task: str, generation: int, until: int, computing: float = 0.01) -> Done:
        shares = (Share(0, 1, (("loss", 1.0),)),) if task in REPLICAS else ()
        return Done(generation, until, shares, (), computing, 0.0, "")

    def _runs_on(self, task: str) -> bool:
        return self.layout.run_on and task in REPLICAS

    @property
    def generation(self) -> int:
        return max(c.generation for _, c in self.commands if isinstance(c, Configure))


def shards_of(configure: Command) -> dict[str, tuple[int, int]]:
    assert isinstance(configure, Configure)
    return {m.task: (m.start, m.stop) for m in configure.members}


# --- a training without faults ---------------------------------------------------------


def test_all_tasks_are_started_greeted_set_up_and_loaded() -> None:
    play = Play().begin(step=7)
    assert [a.task for a in play.found(Start) if isinstance(a, Start)] == list(PS.tasks)
    assert [type(c) for t, c in play.commands if t == "ps:0"] == [Hello, Setup, Configure]
    (load,) = play.found(LoadValues)
    assert isinstance(load, LoadValues)
    assert (load.task, load.step, load.paths) == ("ps:0", 7, ("w",))


def test_shards_are_dealt_to_the_workers() -> None:
    play = Play().begin()
    shards = shards_of(play.told(Configure)[0][1])
    assert shards == {
        "worker:0": (0, 2), "worker:1": (2, 3), "worker:2": (3, 4), "ps:0": (0, 0)}


def test_an_advance_does_some_steps_and_tells_their_outputs() -> None:
    play = Play().begin()
    play.handle(Advance(until=100))
    (advanced,) = play.found(Advanced)
    assert isinstance(advanced, Advanced)
    assert (advanced.step, len(advanced.shares)) == (1, 3)
    assert {task for task, _ in play.told(Run)} == set(PS.tasks)


def test_windows_grow_while_steps_are_quick_and_end_at_the_border() -> None:
    play = Play().begin()
    ends = []
    for _ in range(5):
        play.handle(Advance(until=30))
        advanced = play.found(Advanced)[-1]
        assert isinstance(advanced, Advanced)
        ends.append(advanced.step)
    assert ends == [1, 5, 21, 30, 30]


def test_settling_collects_the_variables_of_their_owners() -> None:
    play = Play(ALL_REDUCE).begin()
    play.handle(Advance(until=1))
    play.handle(Settle(1))
    assert play.told(Collect) == [("worker:0", Collect(1, 1, ("w",)))]
    assert isinstance(play.actions[-2], KeepValues)
    assert play.actions[-1] == Settled(1)


def test_settling_again_costs_nothing() -> None:
    play = Play().begin()
    play.handle(Settle(0))
    assert play.actions[-1] == Settled(0)
    assert play.told(Collect) == []


def test_at_the_end_all_tasks_are_told_to_finish() -> None:
    play = Play().begin()
    play.handle(Stop())
    assert {task for task, _ in play.told(Finish)} == set(PS.tasks)
    assert play.actions[-1] == Stopped()


def test_a_task_that_does_not_finish_is_killed() -> None:
    play = Play().begin()
    play.deaf.add("worker:1")
    play.handle(Stop())
    assert not play.found(Stopped)
    play.pass_time(2.5)
    assert play.actions[-1] == Stopped()


# --- losses ------------------------------------------------------------------------------


def test_a_worker_that_dies_is_left_out_and_its_shards_are_dealt_to_the_others() -> None:
    play = Play().begin()
    play.deaf.add("worker:1")
    play.handle(Advance(until=1))
    play.down.add("worker:1")
    play.forget()
    play.lose("worker:1", "died (killed by SIGKILL)")
    assert shards_of(play.told(Configure)[0][1])["worker:1"] == (0, 0)
    assert shards_of(play.told(Configure)[0][1])["worker:2"] == (2, 4)
    assert [type(a) for a in play.actions[:2]] == [Kill, Start]


def test_the_training_goes_on_while_a_worker_is_started_again() -> None:
    play = Play().begin()
    play.down.add("worker:1")
    play.lose("worker:1", "died (killed by SIGKILL)")
    assert play.notices() == [
        "worker:1 died (killed by SIGKILL) after step 0; the others do its part until it is back; "
        "went on after step 0 (0.0 s lost)"
    ]
    play.handle(Advance(until=1))
    assert play.found(Advanced)


def test_a_worker_that_is_back_takes_part_again() -> None:
    play = Play().begin()
    play.down.add("worker:1")
    play.lose("worker:1")
    play.handle(Advance(until=1))
    play.forget()
    play.handle(Connected("worker:1", play.life["worker:1"], "elsewhere:1"))
    configure = play.told(Configure)[0][1]
    assert shards_of(configure)["worker:1"] == (2, 3)
    assert play.notices() == ["worker:1 takes part again, from step 2"]


def test_peers_learn_the_new_address_of_a_task() -> None:
    play = Play().begin()
    play.lose("ps:0")
    (member,) = [m for m in play.told(Configure)[-1][1].members if m.task == "ps:0"]  # type: ignore[union-attr]
    assert member.address == "ps:0@2"


def test_an_owner_that_dies_comes_back_with_what_was_last_settled() -> None:
    play = Play().begin()
    for step in (1, 2, 3):
        play.handle(Advance(until=step))
        if step == 2:
            play.handle(Settle(2))
    play.lose("ps:0")
    load = play.found(LoadValues)[-1]
    assert isinstance(load, LoadValues) and load.step == 2
    assert "1 step done again" in play.notices()[-1]


def test_steps_that_are_done_again_are_not_told_of_again() -> None:
    play = Play().begin()
    for step in (1, 2, 3):
        play.handle(Advance(until=step))
    play.lose("ps:0")
    play.forget()
    play.handle(Settle(3))
    assert play.found(Advanced) == []
    assert play.actions[-1] == Settled(3)


def test_a_replica_that_dies_is_given_the_variables_of_another() -> None:
    play = Play(ALL_REDUCE).begin()
    play.handle(Advance(until=1))
    play.forget()
    play.lose("worker:0")
    assert play.found(LoadValues) == []
    assert [t for t, _ in play.told(Collect)] == ["worker:1"]
    (loaded,) = play.told(Load)
    assert loaded == ("worker:0", Load(play.generation, 1, "w", 0, b"12345678", True))


def test_a_window_that_was_interrupted_after_its_last_step_is_not_done_again() -> None:
    play = Play().begin()
    play.deaf.add("worker:1")
    play.handle(Advance(until=1))
    assert not play.found(Advanced)
    play.lose("worker:1")
    (advanced,) = play.found(Advanced)
    assert isinstance(advanced, Advanced)
    assert (advanced.step, len(advanced.shares)) == (1, 2)
    assert len(play.told(Run)) == 4


def test_a_task_that_is_silent_is_lost() -> None:
    play = Play().begin()
    play.deaf.add("ps:0")
    play.pass_time(2.75)
    assert play.life["ps:0"] == 1
    play.pass_time(0.5)
    assert play.life["ps:0"] == 2
    assert play.notices()[0].startswith("ps:0 has not answered for 3.2 s after step 0; it is back")


def test_one_whose_part_others_can_do_is_given_up_sooner() -> None:
    for layout in (PS, ALL_REDUCE):
        play = Play(layout).begin()
        play.deaf.add("worker:1")
        play.pass_time(1.5)
        assert play.life["worker:1"] == 1
        play.pass_time(0.5)
        assert play.life["worker:1"] == 2


def test_a_coordinator_that_was_stopped_does_not_blame_the_tasks() -> None:
    play = Play().begin()
    play.now += 60
    play.handle(Tick())
    assert set(play.life.values()) == {1}


def test_answers_of_an_earlier_life_or_generation_are_void() -> None:
    play = Play().begin()
    play.deaf.update(WORKERS)
    play.handle(Advance(until=1))
    old = play.generation
    play.lose("ps:0")
    play.handle(Received("ps:0", 1, Goodbye()))
    for task in WORKERS:
        play.say(task, Configured(old, 5))
    assert not play.found(Advanced)
    assert play.life["ps:0"] == 2


def test_a_task_that_dies_over_and_over_ends_the_training() -> None:
    play = Play().begin()
    for _ in range(6):
        play.lose("worker:2", "died (killed by SIGKILL)")
    assert play.failure() == (
        "task-dies: worker:2 was lost 6 times within 60 s; the last time it died (killed by "
        "SIGKILL)"
    )


def test_a_task_may_die_now_and_then() -> None:
    play = Play().begin()
    for _ in range(20):
        play.lose("worker:2")
        play.pass_time(15)
    assert not play.found(Fail)


def test_an_owner_that_does_not_come_back_ends_the_training() -> None:
    play = Play().begin()
    play.down.add("ps:0")
    play.lose("ps:0", "lost its connection")
    for _ in range(250):
        play.handle(Lost("ps:0", play.life["ps:0"], "host-unreachable", "no answer"))
        play.pass_time(0.25)
    assert play.failure() == (
        "task-lost: ps:0 has not come back within 60 s: ps:0 lost its connection")


def test_workers_that_stay_away_do_not_end_the_training() -> None:
    play = Play().begin()
    play.down.add("worker:0")
    play.lose("worker:0")
    for _ in range(400):
        play.handle(Lost("worker:0", play.life["worker:0"], "host-unreachable", "no answer"))
        play.pass_time(0.25)
    play.handle(Advance(until=1))
    assert play.found(Advanced)


# --- the beginning ----------------------------------------------------------------------


def start_failing(play: Play, task: str, code: str, seconds: float) -> None:
    play.down.add(task)
    play.handle(Begin(0))
    while play.now < seconds and not play.found(Fail):
        play.handle(Lost(task, play.life[task], code, "did not come up"))
        play.pass_time(0.25)


def test_a_task_that_cannot_be_started_ends_the_training() -> None:
    play = Play()
    start_failing(play, "ps:0", "task-not-started", 10)
    assert play.failure() == "task-not-started: ps:0: did not come up"
    assert play.life["ps:0"] == 3


def test_who_is_not_let_in_is_told_at_once() -> None:
    play = Play()
    start_failing(play, "ps:0", "host-unauthenticated", 10)
    assert play.failure() == "host-unauthenticated: ps:0: did not come up"
    assert play.life["ps:0"] == 1


def test_tasks_that_others_start_are_waited_for() -> None:
    play = Play(job=replace(JOB, patient=frozenset(PS.tasks)))
    start_failing(play, "ps:0", "host-refused", 80)
    assert not play.found(Fail)
    assert play.notices() == ["waiting for ps:0"]
    play.handle(Connected("ps:0", play.life["ps:0"], "here:1"))
    assert play.found(Began)


def test_all_tasks_must_have_the_same_data() -> None:
    play = Play()
    play.down.add("worker:2")
    play.handle(Begin(0))
    play.digest = "another"
    play.handle(Connected("worker:2", 1, "there:1"))
    assert play.failure() == (
        "data-differs: worker:2 at there:1 has other data than worker:0 at worker:0@1: "
        "100 examples, sha256 another against 100 examples, sha256 same"
    )


def test_a_task_of_another_version_is_refused() -> None:
    play = Play()
    play.deaf.add("ps:0")
    play.down.add("ps:0")
    play.handle(Begin(0))
    play.down.clear()
    play.deaf.add("ps:0")
    play.handle(Connected("ps:0", 1, "there:1"))
    play.say("ps:0", Welcome(99, "9.0", "host", 1, 1, 1, 0.0, ""))
    assert "ps:0 at there:1 is flowc 9.0, which speaks version 99" in play.failure()


# --- failures that tasks tell of --------------------------------------------------------


def failed(generation: int, code: str = "peer-lost", peer: str = "") -> Failed:
    return Failed(generation, 0, code, "no payload", "", "log", "m.flow:3:1", "", peer)


def running(layout: Layout = PS) -> Play:
    """A window is under way: ps:0 does not answer."""
    play = Play(layout).begin()
    play.deaf.add("ps:0")
    play.handle(Advance(until=1))
    play.forget()
    return play


def test_a_step_that_fails_ends_the_training() -> None:
    play = running()
    play.say("worker:0", failed(1, "not-finite"))
    (fail,) = play.found(Fail)
    assert isinstance(fail, Fail) and fail.failed is not None
    assert (fail.error.code, fail.failed.at) == ("not-finite", "m.flow:3:1")


def test_a_failure_of_an_earlier_generation_is_void() -> None:
    play = running()
    play.say("worker:0", failed(0, "not-finite"))
    assert play.actions == []


def test_a_peer_that_nobody_hears_is_lost() -> None:
    play = running()
    play.say("worker:0", failed(1, peer="ps:0"))
    play.pass_time(1.75)
    assert play.life["ps:0"] == 2
    assert "ps:0 did not answer worker:0, and has been silent since" in play.notices()[0]


def test_a_peer_that_lives_is_not_to_blame() -> None:
    play = running()
    play.say("worker:0", failed(1, peer="ps:0"))
    play.deaf.clear()
    play.say("ps:0", Beat(0, "waiting"))
    assert set(play.life.values()) == {1}
    assert play.notices() == [
        "worker:0 got nothing from ps:0 (no payload) after step 0; went on after step 0 "
        "(0.0 s lost)"
    ]
    assert play.found(Advanced)


def test_two_tasks_that_cannot_reach_each_other_end_the_training() -> None:
    play = Play().begin()
    play.deaf.update(PS.tasks)
    play.handle(Advance(until=1))
    for _ in range(100):
        play.say("worker:0", failed(play.generation, peer="ps:0"))
        for task in PS.tasks:
            play.say(task, Beat(0, "computing"))
            play.say(task, Configured(play.generation, 0))
        play.now += 0.5
    assert play.failure().startswith(
        "peer-unreachable: worker:0 cannot get anything from ps:0 at ps:0@1, although both answer")


def test_a_task_with_a_bug_is_started_again() -> None:
    play = running()
    play.say("ps:0", failed(1, "task-bug"))
    assert play.life["ps:0"] == 2
    assert play.found(Advanced)


def test_a_task_that_makes_no_step_is_started_again() -> None:
    play = Play().begin()
    play.handle(Advance(until=1))
    stuck = play.answers
    play.answers = lambda task, command: (  # type: ignore[method-assign]
        iter(()) if task == "worker:1" and isinstance(command, Run) else stuck(task, command))
    play.handle(Advance(until=2))
    play.pass_time(9.5)
    assert play.life["worker:1"] == 1
    play.pass_time(1)
    assert play.life["worker:1"] == 2
    assert play.notices()[0].startswith("worker:1 was stuck for 10 s (computing) after step")


def test_a_training_in_which_no_step_is_ever_done_comes_to_an_end() -> None:
    play = Play().begin()
    idle = play.answers
    play.answers = lambda task, command: (  # type: ignore[method-assign]
        iter(()) if isinstance(command, Run) else idle(task, command))
    play.handle(Advance(until=1))
    play.pass_time(1000)
    assert play.failure().startswith("task-stuck: no step was made in 10 attempts; the last time")


# --- workers that are not waited for ---------------------------------------------------


def test_workers_that_run_on_are_told_once_a_generation() -> None:
    play = Play(LOOSE).begin()
    for step in (1, 2):
        play.handle(Advance(until=step))
    told = [task for task, _ in play.told(Run)]
    assert sorted(told) == ["ps:0", "ps:0", *WORKERS]
    play.lose("worker:1")
    play.handle(Advance(until=3))
    assert len(play.told(Run)) == 5 + 4


def test_too_few_workers_are_waited_for() -> None:
    play = Play(LOOSE).begin()
    play.down.update(WORKERS)
    play.lose("worker:0")
    play.lose("worker:1")
    play.handle(Advance(until=1))
    assert not play.found(Advanced)
    play.handle(Connected("worker:1", play.life["worker:1"], "there:1"))
    assert play.found(Advanced)


def test_gradients_are_counted_over_generations_and_owners() -> None:
    tallies = Tallies()
    tallies.add("ps:0", [Counts("worker:0", 10, 1, 0)])
    tallies.add("ps:1", [Counts("worker:0", 9, 2, 3)])
    tallies.new_generation()
    tallies.add("ps:0", [Counts("worker:0", 4, 0, 1)])
    assert tallies.total == {"worker:0": Counts("worker:0", 13, 2, 3)}


# --- parts ----------------------------------------------------------------------------


def test_replicas_of_a_model_in_stages_work_only_as_a_whole() -> None:
    tasks = ("stage:0", "stage:0/1", "stage:1", "stage:1/1")
    layout = Layout(tasks, {"stage:0": 0, "stage:0/1": 1, "stage:1": 0, "stage:1/1": 1}, (), 4)
    assert layout.members(tasks[:3]) == {"stage:0": (0, 4), "stage:1": (0, 4)}
    assert layout.members(("stage:0", "stage:1/1")) is None


def test_replicas_without_shards_stand_by() -> None:
    layout = replace(ALL_REDUCE, shards=2)
    assert layout.members(WORKERS) == {"worker:0": (0, 1), "worker:1": (1, 2)}
    assert layout.members(WORKERS[1:]) == {"worker:1": (0, 1), "worker:2": (1, 2)}


TWO_PS = (Group(("ps:0",), ("a",), ("a",), 8), Group(("ps:1",), ("b",), ("b",), 8))


def test_owners_at_different_steps_all_go_back_to_the_values_at_hand() -> None:
    agreed = agree(TWO_PS, {"ps:0": 7, "ps:1": 8}, (), ("ps:0", "ps:1"), 5, 5)
    assert (agreed.step, agreed.here) == (5, {"ps:0": ("a",), "ps:1": ("b",)})


def test_owners_at_the_same_step_stay_there() -> None:
    agreed = agree(TWO_PS, {"ps:0": 8, "ps:1": 8}, (), ("ps:0", "ps:1"), 5, 5)
    assert (agreed.step, agreed.loading) == (8, set())


def test_frozen_variables_come_from_the_values_at_hand() -> None:
    groups = (*OF_PS, Group(WORKERS, ("table",), (), 8))
    agreed = agree(groups, {"ps:0": 8}, ("worker:1",), (*WORKERS, "ps:0"), 5, 5)
    assert (agreed.step, agreed.peers, agreed.here) == (8, {}, {"worker:1": ("table",)})


def test_a_slow_worker_is_named_once() -> None:
    pace = Pace(None, Play().machine._limits)
    said = [pace.slow({"worker:0": 0.01, "worker:1": 0.011, "worker:2": 0.1}) for _ in range(20)]
    assert [s for s in said if s] == [
        "worker:2 is slow: a step takes it 9.5 times as long as the others"]


def test_outputs_are_means_in_the_order_of_the_tree() -> None:
    values = np.float32([0.1, 0.2, 0.3])
    shares = [Share(2, 3, (("loss", float(values[2])),)),
              Share(0, 2, (("loss", float(values[0] + values[1])),))]  # fmt: skip
    loss = outputs_of(shares, 3)["loss"]
    assert loss.dtype == np.float32
    assert loss == (values[0] + values[1] + values[2]) / np.float32(3)


def test_outputs_of_some_shards_are_their_mean() -> None:
    assert outputs_of([Share(1, 2, (("loss", 3.0),))], 4)["loss"] == 3.0


@pytest.mark.parametrize("layout", [PS, ALL_REDUCE, LOOSE])
def test_generations_only_grow(layout: Layout) -> None:
    play = Play(layout).begin()
    for task in layout.tasks * 2:
        play.lose(task)
    generations = [c.generation for _, c in play.commands if isinstance(c, Configure)]
    assert generations == sorted(generations)


def test_where_each_computes_whole_batches_the_number_of_shards_leaves_nobody_out() -> None:
    layout = replace(PS, shards=1, everyone_all=True)
    members = layout.members({*WORKERS, "ps:0"})
    assert members == {**dict.fromkeys(WORKERS, (0, 1)), "ps:0": (0, 0)}
