"""`flowc plan` and `flowc calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run

from flowc.cli.calibrate import calibration_file, known_calibration
from flowc.costs import default_calibration, read_calibration, write_calibration
from flowc_runtime.cluster.memory import bytes_held
from flowc_runtime.cluster.plan import parse_task, tasks_of
from flowc_runtime.cluster.planfile import cluster_plan_hash, read_cluster_plan
from flowc_runtime.cluster.work.table import Ranges
from flowc_runtime.planfile import read_plan

MODEL = """hyper width: int = 32 in 8..4096

model m {
  input x: f32[batch, 8]
  input y: f32[batch, 1]
  hidden = tanh(dense(x, width))
  loss = mean((dense(hidden, 1) - y) ^ 2)
}

data d = csv("d.csv", columns = [0..7, 8..8]) -> (x, y)

train {
  data = d
  batch = 48
  steps = 10
  optimizer = adam(lr = 0.1)
}
"""
HOSTS = """hosts:
  one:
    address: 10.0.0.1:2222
    roles: [worker]
    devices: {cpu:0: {cores: 4, memory: %s}}
  two:
    address: 10.0.0.2:2222
    roles: [worker, ps]
    devices: {cpu:0: {cores: 4, memory: 8 GB}}
links:
  default: {bandwidth: 1 MB/s, latency: 2 ms}
security: {insecure: true}
"""
HEADINGS = ("task", "worker:0", "worker:1", "ps:0", "link", "predicted step", "critical path")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWC_CACHE_DIR", str(tmp_path / "cache"))
    Path("model.flow").write_text(MODEL)
    return tmp_path


def facts(*args: str) -> dict:  # type: ignore[type-arg]
    result = run("plan", "--json", *args)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def hosts(memory: str = "8 GB") -> str:
    Path("hosts.yaml").write_text(HOSTS % memory)
    return "hosts.yaml"


# --- one process ------------------------------------------------------------------------------


def test_without_a_cluster_the_plan_of_one_process_is_told() -> None:
    found = facts()
    (device,) = found["devices"]
    assert found["schema"] == "flowc.plan/1"
    assert (found["model"], found["batch"], found["links"]) == ("m", 48, [])
    assert device["parameters"] == 8 * 32 + 32 + 32 + 1
    assert device["programs"]["train"]["ops"] > 0
    assert found["prediction"]["step_seconds"] > 0


def test_peak_bytes_are_those_that_the_run_allocates() -> None:
    Path("p.json").write_text(run("plan", "-o", "-").stdout)
    assert facts()["devices"][0]["bytes"]["total"] == read_plan(
        Path("p.json").read_text()).bytes_held  # fmt: skip


# --- a cluster --------------------------------------------------------------------------------


def test_every_device_link_and_the_step_are_told() -> None:
    result = run("plan", "--local", "2")
    assert result.exit_code == 0
    for heading in HEADINGS:
        assert heading in result.stdout


def test_each_task_holds_what_its_part_allocates() -> None:
    assert run("plan", "--local", "3", "-o", "p.json").exit_code == 0
    plan = read_cluster_plan(Path("p.json").read_text())
    ranges: Ranges = {
        str(t): plan.dealt(t.role, plan.part(t.role).replicas)[t.replica] for t in tasks_of(plan)}
    for device in facts("--local", "3")["devices"]:
        held = bytes_held(plan, parse_task(device["task"]), ranges)
        assert device["bytes"]["total"] == held.total


def test_the_same_text_gives_the_same_output() -> None:
    assert run("plan", "--local", "2").output == run("plan", "--local", "2").output


def test_no_path_of_this_machine_is_told(folder: Path) -> None:
    assert str(folder) not in run("plan", "--local", "2", "--json").output


def test_the_written_plan_is_the_one_that_is_told() -> None:
    run("plan", "--local", "2", "-o", "p.json")
    plan = read_cluster_plan(Path("p.json").read_text())
    assert facts("--local", "2")["plan_sha256"] == cluster_plan_hash(plan)


def test_a_cluster_that_does_not_pay_is_warned_of_with_its_link() -> None:
    result = run("plan", "--cluster", hosts())
    assert result.exit_code == 0
    assert "warning[no-speed-up]" in result.stderr
    assert "the link" in result.stderr
    found = facts("--cluster", "hosts.yaml")["prediction"]
    assert found["speed_up"] < 1
    assert set(found["limiting_link"]) == {"one", "two"}


def test_a_plan_that_does_not_fit_says_what_fills_the_host() -> None:
    result = run("plan", "--cluster", hosts("1 MiB"), "-D", "width=4096")
    assert result.exit_code == 1
    assert "error[does-not-fit]" in result.stderr
    assert "on one, which has 1.0 MB" in " ".join(result.stderr.split())
    assert "help:" in result.stderr


def examples() -> None:
    Path("d.csv").write_text("a,b,c,d,e,f,g,h,i\n" + "0,1,2,3,4,5,6,7,8\n" * 96)


def test_nor_is_it_trained_by() -> None:
    examples()
    result = run("train", "--cluster", hosts("1 MiB"), "-D", "width=4096")
    assert result.exit_code == 1
    assert "error[does-not-fit]" in result.stderr
    assert not Path("runs").exists()


def test_after_a_training_predicted_and_measured_step_time_stand_side_by_side() -> None:
    examples()
    numpy = ("train", "--backend", "numpy", "--steps")
    result = run(*numpy, "60", "--json", "-D", "train.log_every=10")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in told[-2:]] == ["step_time", "end"]
    assert told[-2]["predicted"] == facts()["prediction"]["step_seconds"]
    assert told[-2]["measured"] > 0
    assert "a step took" in run(*numpy, "60", "-D", "train.log_every=10").stdout


@pytest.mark.parametrize("damaged", [b"{", b"\xff"])
def test_a_training_ends_well_where_the_measured_costs_are_damaged(damaged: bytes) -> None:
    examples()
    calibration_file().parent.mkdir(parents=True, exist_ok=True)
    calibration_file().write_bytes(damaged)
    result = run("train", "--backend", "numpy", "--json", "--steps", "4")
    assert result.exit_code == 0, result.output
    warning, end = (json.loads(line) for line in result.stdout.splitlines()[-2:])
    assert (warning["event"], warning["code"]) == ("warning", "calibration-damaged")
    assert end["event"] == "end"


def test_hosts_of_tf_config_need_a_word_about_security(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "TF_CONFIG", '{"cluster": {"worker": ["10.0.0.1:2"], "ps": ["10.0.0.2:2"]}}')
    refused = run("plan", "--cluster", "TF_CONFIG")
    assert (refused.exit_code, "--insecure" in refused.stderr) == (78, True)
    assert run("plan", "--cluster", "TF_CONFIG", "--insecure").exit_code == 0


def test_a_wrong_cluster_file_ends_with_its_messages() -> None:
    Path("hosts.yaml").write_text("hosts: 3\n")
    assert run("plan", "--cluster", "hosts.yaml").exit_code == 78


def test_a_model_that_is_not_trained_has_no_step() -> None:
    Path("model.flow").write_text(MODEL.partition("train {")[0])
    result = run("plan")
    assert (result.exit_code, "no-train" in result.stderr) == (1, True)


# --- differences ------------------------------------------------------------------------------


def test_a_plan_does_not_differ_from_itself() -> None:
    run("plan", "--local", "2", "-o", "p.json")
    result = run("plan", "--local", "2", "--diff", "p.json", "--exit-code")
    assert (result.exit_code, result.stdout) == (0, "no difference from p.json\n")


def test_other_sizes_differ_in_variables_channels_and_instructions() -> None:
    run("plan", "--local", "2", "-o", "p.json")
    result = run("plan", "--local", "2", "-D", "width=64", "--diff", "p.json", "--exit-code")
    assert result.exit_code == 2
    assert "worker: hidden.dense.weight: f32[8, 32] -> f32[8, 64]" in result.stdout
    assert "channel gradients.worker-ps:0.0: " in result.stdout
    assert "worker: gradient: " in result.stdout


def test_another_number_of_workers_differs_in_replicas_and_shards() -> None:
    run("plan", "--local", "2", "-o", "p.json")
    result = run("plan", "--local", "3", "--diff", "p.json")
    assert result.exit_code == 0
    assert "worker: replicas: 2 -> 3" in result.stdout
    assert "shards: 2 -> 3" in result.stdout


def test_another_way_to_meet_differs_in_roles() -> None:
    run("plan", "--local", "2", "-o", "p.json")
    result = run("plan", "--local", "2", "--sync", "all_reduce", "--diff", "p.json", "--json")
    differences = json.loads(result.stdout)["differences"]
    assert "sync: sync -> all_reduce" in differences
    assert "- role ps:0" in differences


def test_a_plan_of_one_process_differs_from_one_of_a_cluster() -> None:
    run("plan", "-o", "p.json")
    result = run("plan", "--local", "2", "--diff", "p.json", "--exit-code")
    assert result.exit_code == 2
    assert result.stdout == "was a plan for one process, is a plan for a cluster\n"


def test_a_file_that_is_no_plan_is_refused() -> None:
    Path("p.json").write_text('{"flowc_cluster_plan": 1}')
    result = run("plan", "--local", "2", "--diff", "p.json")
    assert (result.exit_code, "plan-damaged" in result.stderr) == (1, True)


@pytest.mark.parametrize("args", [["--exit-code"], ["--json", "-o", "-"]])
def test_options_that_do_not_go_together_are_refused(args: list[str]) -> None:
    assert run("plan", *args).exit_code == 2


# --- calibrations -----------------------------------------------------------------------------


def test_without_a_calibration_the_seconds_are_called_assumed() -> None:
    assert facts()["costs"] == {"measured": 0.0, "fitted": 0.0, "assumed": 1.0}
    assert "assumed" in run("plan").stdout


def test_a_calibration_of_this_host_is_found() -> None:
    path = calibration_file()
    path.parent.mkdir(parents=True)
    path.write_text(write_calibration(default_calibration()))
    assert facts()["costs"]["fitted"] == 1.0


def test_a_calibration_can_be_named() -> None:
    Path("slow.json").write_text(write_calibration(default_calibration()))
    assert facts("--calibration", "slow.json")["costs"]["fitted"] == 1.0


def test_a_damaged_calibration_is_named() -> None:
    Path("slow.json").write_text("{}")
    result = run("plan", "--calibration", "slow.json")
    assert (result.exit_code, "calibration-damaged" in result.stderr) == (1, True)


def test_a_damaged_calibration_is_measured_anew(tmp_path: Path) -> None:
    (path := tmp_path / "here.json").write_text(write_calibration(default_calibration()))
    threads = default_calibration().host.threads
    assert known_calibration(path, threads) == default_calibration()
    path.write_text('{"schema": "flowc.calibration/1"}')
    assert known_calibration(path, threads) is None


@pytest.mark.parametrize(("backend", "other"), [("numpy", "native"), ("native", "numpy")])
def test_calibrating_a_model_makes_its_figures_measured(
    monkeypatch: pytest.MonkeyPatch, backend: str, other: str
) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    path = calibration_file(backend=backend)
    path.parent.mkdir(parents=True)
    known = default_calibration()
    path.write_text(write_calibration(known))
    monkeypatch.setattr("flowc_runtime.cores.usable_cores", lambda: 1)  # no neighbours
    result = run("calibrate", "model.flow", "--local", "2", "--seconds", "0.1", "--json",
                 "--threads", str(known.host.threads), "--backend", backend)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["instructions"] > 5
    assert read_calibration(path.read_text(), "x").rates.keys() == known.rates.keys()
    assert facts("--local", "2", "--backend", backend)["costs"]["measured"] == pytest.approx(1.0)
    assert facts("--local", "2", "--backend", other)["costs"]["assumed"] == 1.0


def test_settings_without_a_model_are_refused() -> None:
    assert run("calibrate", "-D", "width=3").exit_code == 2
