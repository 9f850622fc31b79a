"""Cluster plans: sound for every model and strategy, and every broken promise is named."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from zoo import FOLDER, LARGEST, SMALL

from flowc.diagnostic import Sink, Stop
from flowc.driver import Options, check, cluster_plan_of
from flowc.place.strategy import Strategy, choose
from flowc.source import Source
from flowc.syntax.read import read_source
from flowc_runtime.cluster.plan import Channel, ClusterPlan, Packed, Part, Sync, tasks_of
from flowc_runtime.cluster.plan import Stop as StopAt
from flowc_runtime.cluster.planfile import (
    PROMISES,
    BrokenPromise,
    check_cluster_plan,
    cluster_plan_hash,
    read_cluster_plan,
    write_cluster_plan,
)
from flowc_runtime.plan import Buffer, PlanError, Port
from flowc_runtime.planfile.write import digest

MODELS = sorted(FOLDER.glob("*.flow"))
STRATEGIES = {
    "one worker": Strategy(Sync("all_reduce"), 1, 0, 4),
    "worker and ps": Strategy(Sync("sync"), 1, 1, 4),
    "two and a ps": Strategy(Sync("sync"), 2, 1, 4),
    "four and two ps": Strategy(Sync("sync"), 4, 2, 4),
    "all-reduce of two": Strategy(Sync("all_reduce"), 2, 0, 2),
    "all-reduce of three": Strategy(Sync("all_reduce"), 3, 0, 4),
    "backup": Strategy(Sync("backup", backups=1), 4, 1, 4),
    "async": Strategy(Sync("async", max_staleness=2), 4, 2, 1),
}
DEEP = """
model m {
  input x: f32[batch, 64]
  h = x
  repeat 12 as layer {
    h = dense(h, 64) |> tanh
  }
  loss = mean(h)
}
data d = npz("d.npz") -> (x)
train {
  data = d
  batch = 64
  optimizer = sgd(lr = 0.1)
}
"""
LARGE_IN = "four and two ps"
STAGED = """
model m {
  input x: f32[batch, 6]
  input y: f32[batch, 2]
  stem = dense(x, 8) |> relu
  body = dense(stem, 4) |> relu
  head = dense(body, 2)
  loss = mean(mse(head, y))
}
data d = npz("d.npz") -> (x, y)
train {
  data = d
  batch = 8
  clip_norm = 1.0
  optimizer = adam(lr = 1e-3)
}
place {
  stage on worker:0 { stem }
  stage on worker:1 { body, head }
}
"""
PLAIN = STAGED[: STAGED.index("place")]

SHARED = STAGED.replace("  stem = dense(x", "  param w: f32[6, 6] = 0.5\n  stem = dense(x @ w")
SHARED = SHARED.replace("dense(body, 2)", "dense(concat([body, y], 1) @ w, 2)")


def plan_for(source: Source, strategy: Strategy | tuple[int, int], shards: int = 4) -> ClusterPlan:
    sink = Sink()
    checked = check(source, sink)
    assert checked.settings is not None
    if isinstance(strategy, tuple):
        strategy = choose(checked.placing, *strategy, checked.batch, shards, sink)
    return cluster_plan_of(checked, sink, Options(), lambda *_: None, strategy)[1]


@cache
def plan_of_text(text: str, workers: int, ps: int, shards: int = 4) -> ClusterPlan:
    return plan_for(Source("m.flow", text), (workers, ps), shards)


def in_rows() -> ClusterPlan:
    return plan_of_text(PLAIN + "place {\n  shard stem axis 0 over ps\n}\n", 2, 2)


def with_ps() -> ClusterPlan:
    return plan_of_text(PLAIN, 2, 2)


def staged() -> ClusterPlan:
    return plan_of_text(STAGED, 2, 0)


def models_and_strategies() -> list[ParameterSet]:
    """Each in every way; networks for pictures in one, or none, and else as a long proof."""
    found = []
    for model in MODELS:
        for name, strategy in STRATEGIES.items():
            long = model.stem in SMALL and name != LARGE_IN or model.stem in LARGEST
            found.append(pytest.param(
                model, strategy, id=f"{model.stem}-{name}", marks=[pytest.mark.soak] * long))
    return found


@pytest.mark.parametrize(("model", "strategy"), models_and_strategies())
def test_the_plan_of_every_model_is_sound_and_survives_its_file(
    model: Path, strategy: Strategy
) -> None:
    source = read_source(model, Sink())
    assert source is not None
    sink = Sink()
    checked = check(source, sink)
    if checked.settings is None or checked.batch % strategy.shards:
        pytest.skip("not to be trained, or not in so many shards")
    if checked.placing.stages:
        pytest.skip("in stages, of which there are tests below")
    plan = plan_for(source, strategy)
    assert read_cluster_plan(write_cluster_plan(plan)) == plan


@pytest.mark.parametrize(("workers", "ps"), [(2, 0), (4, 0), (2, 1), (4, 2)])
def test_a_model_in_stages_has_a_sound_plan(workers: int, ps: int) -> None:
    plan = plan_of_text(STAGED, workers, ps)
    roles = [part.role for part in plan.parts if part.role.startswith("stage")]
    assert roles == ["stage:0", "stage:1"]
    check_cluster_plan(plan)


@pytest.mark.parametrize("stages", [2, 3, 4])
def test_stages_that_the_compiler_cuts_are_about_equally_long(stages: int) -> None:
    wide = DEEP + f"place {{\n  pipeline stages = {stages}\n}}\n"
    plan = plan_of_text(wide, stages, 0)
    flops = [part.plan.programs["gradient"].flops for part in plan.parts]
    assert len(flops) == stages
    assert max(flops) < 2 * sum(flops) / stages


def test_more_stages_than_a_model_has_ops_are_refused() -> None:
    text = PLAIN + "place {\n  pipeline stages = 500\n}\n"
    with pytest.raises(Stop):
        plan_of_text(text, 500, 0)


@pytest.mark.parametrize(("workers", "ps"), [(2, 0), (4, 0), (6, 0), (2, 1), (4, 2)])
def test_a_parameter_that_two_stages_use_is_no_problem(workers: int, ps: int) -> None:
    plan = plan_of_text(SHARED.replace("batch = 8", "batch = 12"), workers, ps, 6)
    assert sum("w" in part.owns for part in plan.parts) == 1


def test_a_plan_for_many_workers_is_no_larger_than_for_few() -> None:
    few, many = (
        plan_for(Source("m.flow", PLAIN.replace("batch = 8", "batch = 1024")), (n, 2), 1024)
        for n in (4, 256)
    )
    assert len(tasks_of(many)) == 258
    assert len(many.parts) == len(few.parts)
    assert len(write_cluster_plan(many)) < 1.01 * len(write_cluster_plan(few))


def test_the_plan_is_the_same_in_processes_with_different_hash_seeds() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_cluster_plan import *\n"
        "print(cluster_plan_hash(with_ps()), cluster_plan_hash(staged()))\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            cwd=Path(__file__).parent.parent, env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert hashes == {f"{cluster_plan_hash(with_ps())} {cluster_plan_hash(staged())}\n"}


def test_an_edited_file_is_refused() -> None:
    text = write_cluster_plan(with_ps())
    with pytest.raises(PlanError, match="hash"):
        read_cluster_plan(text.replace('"replicas": 2', '"replicas": 3'))


@pytest.mark.parametrize("key", ["sync", "parts", "channels", "batch", "shards"])
def test_a_file_with_anything_in_a_field_is_refused(key: str) -> None:
    for value in (None, -1, "x", [], {}, [[]], [{}], {"mode": []}):
        body = json.loads(write_cluster_plan(with_ps()))
        if type(body[key]) is type(value) and not value:
            continue
        body[key] = value
        del body["hash"]
        with pytest.raises(PlanError):
            read_cluster_plan(json.dumps({**body, "hash": digest(body)}))


def accident(draw: random.Random, body: Any) -> None:
    """One value of a file, not in the programs of its parts, becomes another."""
    at: Any = body
    while True:
        key = draw.choice(sorted(at) if isinstance(at, dict) else range(len(at)))
        inner = at[key]
        if not isinstance(inner, (dict, list)) or not inner or key == "plan" or draw.random() < 0.2:
            break
        at = inner
    values: list[Any] = [None, 0, 1, 3, 64, -1, 1 << 40, 1 << 61, "x", "ps:0", "worker", [], {}]
    if isinstance(at, list) and draw.random() < 0.5:
        draw.choice((at.pop, at.append))(draw.randrange(len(at)))
    else:
        at[key] = draw.choice(values)


@pytest.mark.parametrize("name", ["with_ps", "in_rows", "staged"])
def test_whatever_a_peer_sends_is_a_plan_or_a_plan_error(name: str) -> None:
    text = write_cluster_plan({"with_ps": with_ps, "in_rows": in_rows, "staged": staged}[name]())
    draw, refused = random.Random(11), 0
    for _ in range(120):
        body = json.loads(text)
        del body["hash"]
        accident(draw, body)
        try:
            read_cluster_plan(json.dumps({**body, "hash": digest(body)}))
        except PlanError:
            refused += 1
    assert refused > 80


# --- promises, each broken ------------------------------------------------------------------------

Break = Callable[[ClusterPlan], ClusterPlan]


def part(plan: ClusterPlan, role: str, change: Callable[[Part], Part]) -> ClusterPlan:
    return replace(plan, parts=tuple(change(p) if p.role == role else p for p in plan.parts))


def channel(plan: ClusterPlan, kind: str, change: Callable[[Channel], Channel]) -> ClusterPlan:
    first = next(c for c in plan.channels if c.kind == kind)
    return replace(plan, channels=tuple(change(c) if c is first else c for c in plan.channels))


def stops(role: str, program: str, change: Callable[[list[StopAt]], list[StopAt]]) -> Break:
    def broken(p: Part) -> Part:
        return replace(p, stops={**p.stops, program: tuple(change(list(p.stops[program])))})

    return lambda plan: part(plan, role, broken)


def first_of(action: str, kind: str, then: Callable[[StopAt], list[StopAt]]) -> Callable[
    [list[StopAt]], list[StopAt]
]:  # fmt: skip
    def change(found: list[StopAt]) -> list[StopAt]:
        place = next(k for k, s in enumerate(found) if s.action == action and kind in s.channel)
        return found[:place] + then(found[place]) + found[place + 1 :]

    return change


def without_sums(plan: ClusterPlan) -> ClusterPlan:
    """The gradients of one ps go nowhere."""
    gone = next(c.name for c in plan.channels if c.kind == "gradients")
    return without(plan, {gone})


def with_stale_value(plan: ClusterPlan) -> ClusterPlan:
    """A stage hands on what it has of a variable before it is sent the new value."""
    giver, taker = plan.part("stage:0"), plan.part("stage:1")
    gives, takes = giver.plan.programs["gradient"], taker.plan.programs["gradient"]
    number = next(k for k, b in enumerate(gives.buffers) if b.space == "variables")
    room = Buffer("arena", -(-takes.arena_bytes // 64) * 64, gives.buffers[number].type)
    gives = replace(gives, outputs=(*gives.outputs, Port("shard.stale", number)))
    takes = replace(
        takes, buffers=(*takes.buffers, room), arena_bytes=room.end + 64,
        inputs=(*takes.inputs, Port("shard.stale", len(takes.buffers))))
    more = Channel("stale", "value", "stage:0", "stage:1", (
        Packed("shard.stale", room.type, 0),), -(-room.type.bytes // 64) * 64)

    def having(p: Part) -> Part:
        program, action = (gives, "send") if p is giver else (takes, "receive")
        if p not in (giver, taker):
            return p
        stops = (StopAt(0, action, "stale"), *p.stops["gradient"])  # type: ignore[arg-type]
        return replace(
            p, stops={**p.stops, "gradient": stops},
            plan=replace(p.plan, programs={**p.plan.programs, "gradient": program}))

    return replace(plan, parts=tuple(map(having, plan.parts)), channels=(*plan.channels, more))


def without_piece(plan: ClusterPlan) -> ClusterPlan:
    """The gradients of some rows go nowhere; those who send them say nothing of it."""
    def change(c: Channel) -> Channel:
        kept = tuple(t for t in c.tensors if not t.name.startswith("gradient.stem.dense.weight"))
        return replace(c, tensors=kept) if c.kind == "gradients" and c.consumer == "ps:1" else c

    return replace(plan, channels=tuple(map(change, plan.channels)))


def overlapping(plan: ClusterPlan) -> ClusterPlan:
    """A row that two ps update."""
    def named(name: str) -> str:
        return name.replace("stem.dense.weight[3:6]", "stem.dense.weight[2:5]")

    def change(p: Part) -> Part:
        held = tuple(replace(v, path=named(v.path)) for v in p.plan.variables)
        programs = {
            name: replace(program, inputs=tuple(
                replace(port, name=named(port.name)) for port in program.inputs))
            for name, program in p.plan.programs.items()
        }  # fmt: skip
        return replace(p, plan=replace(p.plan, variables=held, programs=programs))

    channels = tuple(
        replace(c, tensors=tuple(replace(t, name=named(t.name)) for t in c.tensors))
        for c in plan.channels
    )
    return replace(part(plan, "ps:1", change), channels=channels)


def without(plan: ClusterPlan, gone: set[str]) -> ClusterPlan:
    """The plan without some channels, as if they had never been made."""
    parts = tuple(
        replace(p, stops={n: tuple(s for s in found if s.channel not in gone)
                          for n, found in p.stops.items()})
        for p in plan.parts
    )  # fmt: skip
    kept = tuple(c for c in plan.channels if c.name not in gone)
    return replace(plan, channels=kept, parts=parts)


def swap_receives(found: list[StopAt]) -> list[StopAt]:
    """Waits for the gradient before anything is sent to whoever makes it."""
    receives = [replace(s, position=0) for s in found if s.action == "receive"]
    return receives + [s for s in found if s.action != "receive"]


BROKEN: list[tuple[str, Callable[[], ClusterPlan], Break]] = [
    ("no-role", with_ps, lambda p: part(p, "ps:1", lambda q: replace(q, role="cook"))),
    ("no-role", with_ps, lambda p: part(p, "ps:1", lambda q: replace(q, role="ps:0"))),
    ("uneven-shards", with_ps, lambda p: replace(p, shards=3)),
    ("uneven-shards", with_ps, lambda p: part(p, "worker", lambda q: replace(q, replicas=9))),
    ("channel-twice", with_ps, lambda p: replace(p, channels=(*p.channels, p.channels[0]))),
    ("unknown-role", with_ps,
     lambda p: channel(p, "gradients", lambda c: replace(c, consumer="ps:7"))),
    ("payload-overlap", with_ps, lambda p: channel(p, "gradients", lambda c: replace(c, tensors=(
        c.tensors[0], replace(c.tensors[1], offset=c.tensors[0].offset), *c.tensors[2:])))),
    ("payload-overlap", with_ps, lambda p: channel(p, "gradients", lambda c: replace(c, bytes=8))),
    ("tensor-mismatch", with_ps, lambda p: channel(p, "gradients", lambda c: replace(c, tensors=(
        replace(c.tensors[0], name="gradient.nobody"), *c.tensors[1:])))),
    ("unknown-channel", with_ps, stops("worker", "gradient", lambda found: [
        *found, StopAt(0, "send", "nowhere")])),
    ("too-large", with_ps, lambda p: replace(p, parts=p.parts * 2000)),
    ("no-role", with_ps, lambda p: part(p, "ps:1", lambda q: replace(q, replicas=2))),
    ("no-role", staged, lambda p: part(p, "stage:1", lambda q: replace(q, replicas=2))),
    ("uneven-shards", with_ps, lambda p: replace(p, batch=16)),
    ("payload-overlap", with_ps, lambda p: channel(p, "gradients", lambda c: replace(
        c, bytes=1 << 40))),
    ("payload-overlap", with_ps, lambda p: channel(p, "gradients", lambda c: replace(
        c, tensors=()))),
    ("out-of-order", with_ps, stops("worker", "gradient", lambda found: [
        *(s for s in found if s.action == "send"), *(s for s in found if s.action != "send")])),
    ("sent-twice", with_ps, stops("worker", "gradient", first_of(
        "send", "gradients", lambda s: [s, s]))),
    ("received-twice", with_ps, stops("ps:0", "update", first_of(
        "receive", "gradients", lambda s: [s, s]))),
    ("send-without-receive", with_ps, stops("ps:0", "update", first_of(
        "receive", "gradients", lambda s: []))),
    ("receive-without-send", with_ps, stops("worker", "gradient", first_of(
        "send", "gradients", lambda s: []))),
    ("sent-too-early", with_ps, stops("worker", "gradient", first_of(
        "send", "gradients", lambda s: [replace(s, position=0)]))),
    ("received-too-late", with_ps, stops("worker", "gradient", first_of(
        "receive", "variables", lambda s: [replace(s, position=s.position + 1)]))),
    ("owned-by-nobody", with_ps, without_sums),
    ("sent-too-early", lambda: plan_of_text(STAGED, 2, 1), with_stale_value),
    ("owned-by-nobody", in_rows, without_piece),
    ("owned-twice", in_rows, overlapping),
    ("stale-variable", in_rows, lambda p: without(p, {
        c.name for c in p.channels if c.kind == "variables" and c.producer == "ps:1"})),
    ("input-missing", with_ps, lambda p: without(p, {
        c.name for c in p.channels if c.kind == "value"})),
    ("no-ps", lambda: plan_of_text(PLAIN, 2, 0),
     lambda p: replace(p, sync=Sync("async", max_staleness=1))),
    ("no-ps", with_ps, lambda p: replace(p, sync=Sync("backup", backups=2))),
    ("deadlock", staged, stops("stage:0", "gradient", swap_receives)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "sound", "broken"), BROKEN, ids=[f"{k}-{b[0]}" for k, b in enumerate(BROKEN)]
)
def test_a_broken_promise_is_named(
    code: str, sound: Callable[[], ClusterPlan], broken: Break
) -> None:
    check_cluster_plan(sound())
    with pytest.raises(BrokenPromise) as caught:
        check_cluster_plan(broken(sound()))
    assert caught.value.code == code
    assert PROMISES[code] in str(caught.value)


def test_a_variable_that_two_roles_update_is_named() -> None:
    plan = with_ps()
    twin = replace(plan.part("ps:0"), role="ps:2", stops={})
    with pytest.raises(BrokenPromise) as caught:
        check_cluster_plan(replace(plan, parts=(*plan.parts, twin)))
    assert caught.value.code == "owned-twice"


def test_a_worker_that_is_not_told_of_new_values_is_found() -> None:
    plan = with_ps()
    gone = {c.name for c in plan.channels if c.kind == "variables"}
    with pytest.raises(BrokenPromise) as caught:
        check_cluster_plan(without(plan, gone))
    assert caught.value.code == "stale-variable"


def test_every_promise_is_broken_by_some_test() -> None:
    told = {code for code, _, _ in BROKEN} | {"owned-twice", "stale-variable"}
    assert told == set(PROMISES)


# --- what a cluster can and cannot be -------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "ps", "sync", "code"),
    [
        (0, 1, None, "no-worker"),
        (2, 0, Sync("sync"), "no-ps"),
        (2, 0, Sync("backup", backups=1), "no-ps"),
        (2, 1, Sync("backup", backups=2), "unknown-sync"),
        (3, 1, None, "uneven-shards"),
    ],
)
def test_a_cluster_that_does_not_suit_the_model_is_refused(
    workers: int, ps: int, sync: Sync | None, code: str
) -> None:
    sink = Sink()
    checked = check(Source("m.flow", PLAIN), sink)
    with pytest.raises(Stop):
        choose(checked.placing, workers, ps, checked.batch, None, sink, sync)
    assert [d.code for d in sink.errors] == [code]


def test_variables_over_worker_need_no_ps() -> None:
    sink = Sink()
    checked = check(Source("m.flow", PLAIN + "place {\n  variables over worker\n}\n"), sink)
    assert choose(checked.placing, 2, 1, checked.batch, 4, sink).owners == ("worker",)


def test_a_ps_too_many_is_left_out() -> None:
    plan = plan_of_text(PLAIN, 2, 30)
    owners = [part for part in plan.parts if part.role.startswith("ps:")]
    assert 1 < len(owners) < 30
    assert all(part.owns for part in owners)


def test_stages_need_a_multiple_of_as_many_workers() -> None:
    sink = Sink()
    checked = check(Source("m.flow", STAGED), sink)
    with pytest.raises(Stop):
        choose(checked.placing, 3, 0, checked.batch, None, sink)
    assert [d.code for d in sink.errors] == ["no-worker"]


def test_a_stage_without_anything_is_told_at_its_line() -> None:
    sink = Sink()
    checked = check(Source("m.flow", STAGED.replace("{ stem }", "{ }")), sink)
    strategy = choose(checked.placing, 2, 0, checked.batch, 4, sink)
    with pytest.raises(Stop):
        cluster_plan_of(checked, sink, Options(), lambda *_: None, strategy)
    assert [(d.code, d.label and d.label.span.line) for d in sink.errors] == [("empty-stage", 18)]


def test_a_range_in_the_place_section_stands_for_all_names_between() -> None:
    text = """
model m {
  input x: f32[batch, 4]
  stem = dense(x, 8)
  middle = relu(stem)
  repeat 12 as tower {
    middle = dense(middle, 8)
  }
  tail = dense(middle, 1)
  loss = mean(tail)
}
place {
  stage on worker:0 { stem..middle, tower.0..tower.9 }
  stage on worker:1 { tower.10.., tail.. }
}
"""
    first, second = check(Source("m.flow", text), Sink()).placing.stages
    assert [p.first for p in first.patterns] == [
        "stem", "middle", *(f"tower.{k}" for k in range(10))]
    assert [p.first for p in second.patterns] == ["tower.10", "tower.11", "tail"]


@pytest.mark.parametrize(
    ("place", "model", "owners"),
    [
        ("all_reduce", "lenet", ["worker"]),
        ("ps", "lenet", ["ps:0", "ps:1"]),
        ("backup", "fashion_mlp", ["ps:0", "ps:1"]),
        ("tables", "recommender", ["ps:0", "ps:1"]),
        ("stages", "lenet", ["stage:0", "stage:1"]),
    ],
)
def test_the_places_that_are_shipped_suit_their_models(
    place: str, model: str, owners: list[str]
) -> None:
    folder, sink = MODELS[0].parent, Sink()
    section = read_source(folder / "places" / f"{place}.flow", sink)
    source = read_source(folder / f"{model}.flow", sink)
    assert section is not None and source is not None
    options = Options(place=section)
    checked = check(source, sink, options)
    strategy = choose(checked.placing, 2, 2, checked.batch, 4, sink)
    plan = cluster_plan_of(checked, sink, options, lambda *_: None, strategy)[1]
    assert [part.role for part in plan.parts if part.owns] == owners


def test_every_place_that_is_shipped_is_tried() -> None:
    shipped = {path.stem for path in (MODELS[0].parent / "places").glob("*.flow")}
    assert shipped == {"all_reduce", "ps", "backup", "tables", "stages"}
