"""The table of predicted and measured step times, for every model in models/.

    python benchmarks/predicted.py [--seconds 6] [--workers 2] [--write] [MODEL ...]

Each model is calibrated (its instructions are timed one by one), predicted, and then trained for
some seconds, in one process and with --workers over as many workers and a ps of this machine.
Networks for photographs are smaller than published (see made_up.py), and where the data are not in
the repository they are made up. Calibration and training alternate, because machines drift; medians
count. With --write the table is put between the markers of docs/explanation/predicted-time.md,
unless something else has kept the machine busy meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from made_up import SIZES, with_data

from flowc.cluster import local
from flowc.costs import Calibration, CostModel
from flowc.diagnostic import Sink
from flowc.distributed import over
from flowc.jobs import Setup, TrainingJob, prepare_training, run_training
from flowc.planning.compiled import Compiled, compile_for
from flowc.planning.measure import measure_host, measure_model
from flowc.planning.meeting import measure_meeting
from flowc.planning.neighbours import crowd
from flowc.planning.text import table
from flowc.planning.units import time_text
from flowc.predict import predict, predict_alone
from flowc.source import Source
from flowc.syntax.read import read_source
from flowc_runtime.backend import ON_HOST
from flowc_runtime.events import Event, StepDone
from flowc_runtime.training import StopSignal

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "predicted-time.md"
BEGIN, END = "<!-- predicted.py -->", "<!-- end -->"
ROUNDS, ROUNDS_OVER = 5, 3  # of calibrating and training: in one process, over several tasks
WARM_UP = 0.2  # of the speeds that are told
MOST_STEPS = 1_000_000
BUSY = 0.1  # of all cores: with more than that beside us, no figure is worth keeping


@dataclass(frozen=True)
class Row:
    model: str
    where: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--backend", choices=ON_HOST, default="numpy")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    names = sorted(path.stem for path in (ROOT / "models").glob("*.flow"))
    chosen = [name for name in names if not given.models or name in given.models]
    host = measure_meeting(measure_host(1, None, given.backend), given.backend)
    rows, busiest = list[Row](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        models = with_data(ROOT / "models", Path(folder))
        for name in chosen:
            busiest = max(busiest, busy_beside())
            rows += rows_of(models / f"{name}.flow", given.seconds, given.workers, host)
    lines = list(markdown(rows))
    print("\n".join(lines))
    print(f"other programs used up to {busiest:.0%} of the cores")
    if given.write and given.backend != "numpy":
        raise SystemExit("the table in the docs is of NumPy: nothing is written")
    if given.write and busiest > BUSY:
        raise SystemExit("the machine was not quiet: nothing is written")
    if given.write:
        write(lines, host)


def busy_beside(seconds: float = 1.0) -> float:
    """The share of all cores' time that others use while this process sleeps; 0 if unknown."""
    def used() -> tuple[int, int]:
        times = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]))
        return sum(times) - times[3] - times[4], sum(times)

    try:
        busy, total = used()
        time.sleep(seconds)
        later = used()
    except OSError:
        return 0.0
    return (later[0] - busy) / max(1, later[1] - total)


def rows_of(path: Path, seconds: float, workers: int, host: Calibration) -> Iterator[Row]:
    yield one_process(path, seconds, host)
    if workers:
        yield some_workers(path, seconds, workers, host)


def one_process(path: Path, seconds: float, host: Calibration) -> Row:
    source, sizes = source_of(path), SIZES.get(path.stem, {})
    compiled = compile_for(source, Sink(), sizes, None, None)
    job = prepare_training(source, Sink(), Setup(sizes, 1, backend=host.host.backend))
    each = seconds / ROUNDS / 2

    def predicted() -> float:
        known = measure_model(compiled, (), each, 1, host, None, host.host.backend)
        return predict_alone(compiled.alone, CostModel(known), compiled.shards).step_seconds

    return alternating(path.stem, "one process", predicted, lambda: trained(job, each), ROUNDS)


def some_workers(path: Path, seconds: float, workers: int, host: Calibration) -> Row:
    source, sizes = source_of(path), SIZES.get(path.stem, {})
    cluster, backend = local(workers, 1), host.host.backend
    compiled = compile_for(source, Sink(), sizes, cluster, None)
    arguments = ["calibrate", source.name, "--local", str(workers), "--backend", backend]
    for name, value in sizes.items():
        arguments += ["-D", f"{name}={value}"]
    each = seconds / ROUNDS_OVER / 2

    def predicted() -> float:
        known = measure_model(compiled, (), each, 1, host, crowd(arguments, 1), backend)
        return step_over(compiled, CostModel(known))

    def measured() -> float:
        setup = Setup(sizes, 1, runs=over(cluster), backend=backend)
        return trained(prepare_training(source, Sink(), setup), each)

    return alternating(path.stem, f"{workers} workers, 1 ps", predicted, measured, ROUNDS_OVER)


def source_of(path: Path) -> Source:
    source = read_source(path, Sink())
    assert source is not None
    return source


def step_over(compiled: Compiled, costs: CostModel) -> float:
    assert compiled.parts and compiled.tasks and compiled.cluster
    found = predict(compiled.parts, compiled.tasks, compiled.cluster.link, lambda host: costs)
    return found.step_seconds


def alternating(
    model: str, where: str, predicted: Callable[[], float], measured: Callable[[], float],
    rounds: int,
) -> Row:
    """So many times each, in turns, so that both meet the machine in the same moods."""
    pairs = [(predicted(), measured()) for _ in range(rounds)]
    return Row(model, where, *(statistics.median(side) for side in zip(*pairs, strict=True)))


def trained(job: TrainingJob, seconds: float) -> float:
    """The median seconds of a step while the model is trained, without validation."""
    options = replace(job.options, total_steps=MOST_STEPS, log_every=None,
                      checkpoint_every=MOST_STEPS)  # fmt: skip
    job = replace(job, validation=None, options=options)
    stop, speeds = StopSignal(), list[float]()
    until = time.monotonic() + seconds

    def see(event: Event) -> None:
        nonlocal until
        if isinstance(event, StepDone):
            if event.steps_per_second and event.step > 20:
                speeds.append(event.steps_per_second)
            if time.monotonic() > until and len(speeds) > 5:
                stop.reason = "terminate"

    run_training(job, None, see, False, stop)
    return 1 / statistics.median(speeds[int(WARM_UP * len(speeds)):])


def markdown(rows: list[Row]) -> Iterator[str]:
    cells = [("| model", "| where", "| predicted", "| measured", "| difference |"),
             ("| ---", "| ---", "| ---:", "| ---:", "| ---: |")]
    cells += [
        (f"| {r.model}", f"| {r.where}", f"| {time_text(r.predicted)}",
         f"| {time_text(r.measured)}", f"| {r.error:+.0%} |")
        for r in rows
    ]
    yield from table(cells, "<<<<<")


def write(lines: list[str], host: Calibration) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    facts = f"{host.host.cpu}, {host.host.cores} cores, NumPy {host.host.numpy}, one thread each."
    PAGE.write_text("\n".join([f"{before}{BEGIN}", "", facts, "", *lines, "", f"{END}{after}"]),
                    encoding="utf-8")  # fmt: skip


if __name__ == "__main__":
    main()
