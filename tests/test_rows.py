"""Parameters split by rows over ps tasks: the same bits as whole, wherever the rows are."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from cluster_runs import finished, training

from flowc.diagnostic import Sink, Stop
from flowc.driver import Options, check, cluster_plan_of
from flowc.place.strategy import Strategy
from flowc.source import Source
from flowc_runtime.cluster.plan import (
    ClusterPlan,
    Sync,
    place_of,
    rows_name,
    rows_type,
    whole_and_rows,
)
from flowc_runtime.plan import Buffer
from flowc_runtime.types import parse_type

ROWS = 301
TABLE = """
model table {
  input user: i32[batch]
  input rating: f32[batch]
  layer embed = embedding(rows = ROWS, width = 9)
  layer narrow = embedding(rows = ROWS, width = 1)
  layer vector = embedding(rows = 1, width = 9)
  hidden = embed(user) + vector(user * 0) |> dense(8) |> relu
  estimate = hidden |> dense(1) |> squeeze(-1)
  loss = mean((estimate + squeeze(narrow(user), -1) - rating) ^ 2)
}
data train = csv("ratings.csv", columns = [0, 1]) -> (user, rating)
train {
  data = train |> shuffle
  batch = 24
  shards = 4
  steps = STEPS
  optimizer = adam(lr = 0.01)
  SETTINGS
  checkpoint_every = EVERY
  seed = 3
}
place {
  shard embed axis 0 over ps
  shard narrow.table axis 0 over ps
  shard hidden.dense.bias axis 0 over ps
  shard vector axis 0 over ps
}
""".replace("ROWS", str(ROWS))
MIXING = """
optimizer mixing(lr: float = 0.1) {
  next param = param - lr * cumsum(grad, axis = 0)
}
"""
TWO = Strategy(Sync("sync"), 2, 2, 4)
THREE = Strategy(Sync("sync"), 2, 3, 4)


def text_of(settings: str = "", steps: int = 60, every: int = 20) -> str:
    filled = TABLE.replace("STEPS", str(steps)).replace("EVERY", str(every))
    return filled.replace("SETTINGS", settings)


def model_in(folder: Path, settings: str = "", steps: int = 60, every: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(5)
    rows = [f"{draw.randrange(ROWS)},{draw.random():.3f}\n" for _ in range(600)]
    (folder / "ratings.csv").write_text("user,rating\n" + "".join(rows))
    path = folder / "table.flow"
    path.write_text(text_of(settings, steps, every))
    return path


def plan_of(text: str, strategy: Strategy) -> ClusterPlan:
    sink = Sink()
    checked = check(Source("table.flow", text), sink)
    return cluster_plan_of(checked, sink, Options(), lambda *_: None, strategy)[1]


# --- names ----------------------------------------------------------------------------------------


def test_a_name_with_rows_says_of_what() -> None:
    assert whole_and_rows("embed.table:m[3:60]") == ("embed.table:m", (3, 60))
    assert whole_and_rows(rows_name("w", (0, 2))) == ("w", (0, 2))
    for plain in ("embed.table", "w[1]", "w[a:b]", "w[1:2][3:4]", "[1:2]"):
        assert whole_and_rows(plain) == (plain, None)


@pytest.mark.parametrize("name", ["w[0:5]", "w[2:2]", "w[3:2]", "v[0:1]", "w[0:4][0:1]"])
def test_rows_that_are_not_there_have_no_place(name: str) -> None:
    places = {"w": Buffer("arena", 64, parse_type("f32[4, 3]"))}
    assert place_of(places, name) is None


def test_rows_lie_within_the_whole() -> None:
    whole = Buffer("arena", 64, parse_type("f32[4, 3]"))
    assert place_of({"w": whole}, "w[1:3]") == Buffer("arena", 76, parse_type("f32[2, 3]"))
    own = Buffer("arena", 0, parse_type("f32[2, 3]"))
    assert place_of({"w": whole, "w[1:3]": own}, "w[1:3]") == own


def test_a_scalar_has_no_rows() -> None:
    with pytest.raises(ValueError, match="no rows 0 up to 1"):
        rows_type(parse_type("f32[]"), (0, 1))


# --- plans ----------------------------------------------------------------------------------------


def test_each_ps_owns_its_rows_and_their_slots() -> None:
    plan = plan_of(text_of(), TWO)
    first, second = plan.part("ps:0").owns, plan.part("ps:1").owns
    for slot in ("", ":m", ":v"):
        assert f"embed.table{slot}[0:151]" in first
        assert f"embed.table{slot}[151:301]" in second
        assert f"narrow.table{slot}[151:301]" in second
        assert f"hidden.dense.bias{slot}[0:4]" in first


def test_a_worker_holds_the_whole_and_is_sent_all_of_it() -> None:
    plan = plan_of(text_of(), THREE)
    assert {"embed.table", "narrow.table"} <= plan.received("worker")
    assert plan.loads("worker") == ()
    sent = [t.name for c in plan.channels if c.kind == "variables" for t in c.tensors]
    assert sorted(n for n in sent if n.startswith("embed")) == [
        "embed.table[0:101]", "embed.table[101:201]", "embed.table[201:301]"]


def test_what_has_one_row_and_what_no_pattern_covers_stays_whole() -> None:
    plan = plan_of(text_of(), TWO)
    owned = [path for part in plan.parts for path in part.owns]
    assert "vector.table" in owned
    assert "hidden.dense.weight" in owned


def test_a_single_ps_has_the_whole() -> None:
    assert "embed.table" in plan_of(text_of(), Strategy(Sync("sync"), 2, 1, 4)).part("ps:0").owns


def test_the_norm_of_a_table_costs_a_number_a_row() -> None:
    plan = plan_of(text_of("clip_norm = 1.0"), TWO)
    between = [t.type for c in plan.channels if c.kind == "value" for t in c.tensors
               if c.producer == "ps:1"]
    assert max(type.size for type in between) <= ROWS


def test_an_optimizer_that_mixes_rows_is_told_where_it_does() -> None:
    text = MIXING + text_of().replace("adam(lr = 0.01)", "mixing()")
    sink = Sink()
    checked = check(Source("table.flow", text), sink)
    with pytest.raises(Stop):
        cluster_plan_of(checked, sink, Options(), lambda *_: None, TWO)
    assert {d.code for d in sink.errors} == {"cannot-split"}
    first = sink.errors[0]
    assert "`cumsum` of its update mixes them" in first.message
    assert first.label is not None
    assert "shard" in first.label.span.source.text.splitlines()[first.label.span.line - 1]


# --- trainings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", ["", "clip_norm = 0.05", "clip_value = 0.01"])
def test_the_weights_are_those_of_one_process(tmp_path: Path, settings: str) -> None:
    alone = finished(model_in(tmp_path / "alone", settings))["weights_sha256"]
    model = model_in(tmp_path / "rows", settings)
    assert finished(model, "--local", "2", "--ps", "3")["weights_sha256"] == alone


def test_rows_survive_the_death_of_their_owner(tmp_path: Path) -> None:
    alone = finished(model_in(tmp_path / "alone", steps=1200, every=100))["weights_sha256"]
    with training(model_in(tmp_path / "rows", steps=1200, every=100),
                  "--local", "2", "--ps", "2") as run:  # fmt: skip
        run.until_step(120)
        os.kill(run.tasks()["ps:1"], signal.SIGKILL)
        assert run.end()["weights_sha256"] == alone


@pytest.mark.parametrize("sync", ["async(2)", "backup(1)"])
def test_rows_are_updated_where_not_everybody_is_waited_for(tmp_path: Path, sync: str) -> None:
    end = finished(model_in(tmp_path), "--local", "2", "--ps", "2", "--sync", sync)
    assert end["step"] == 60


@pytest.mark.parametrize("cluster", [("2", "0"), ("2", "2"), ("4", "0"), ("4", "1")])
def test_a_table_that_two_stages_use_is_the_same_in_both(
    tmp_path: Path, cluster: tuple[str, str]
) -> None:
    def staged(folder: Path) -> Path:
        path = model_in(folder, "clip_norm = 0.05")
        text = path.read_text().replace(
            "hidden |> dense(1) |> squeeze(-1)",
            "sum((hidden |> dense(9)) * embed(user), over = -1)")
        stages = "place {\n  stage on worker:0 { hidden }\n  stage on worker:1 { estimate }\n"
        rows = "  shard embed axis 0 over ps\n" if cluster[1] != "0" else ""
        path.write_text(text[: text.index("place {")] + stages + rows + "}\n")
        return path

    alone = finished(staged(tmp_path / "alone"))["weights_sha256"]
    workers, ps = cluster
    end = finished(staged(tmp_path / "stages"), "--local", workers, "--ps", ps)
    assert end["weights_sha256"] == alone
