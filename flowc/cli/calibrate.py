"""`flowc calibrate`: measures what work costs on this host, for predictions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowc.cli.clusters import Where, cluster_options
from flowc.cli.command import command
from flowc.cli.jobs import allow_option, measured_backend_option, threads_option
from flowc.cli.models import diagnosing, read_model, write_text
from flowc.cli.options import define_option, json_option

if TYPE_CHECKING:
    from flowc.costs import Calibration
    from flowc.planning.compiled import Compiled

MODEL_SECONDS = 10.0


@command(
    "calibrate",
    ("flowc calibrate", "measure this host, within a minute"),
    ("flowc calibrate m.flow", "and the model's own instructions, one by one"),
    ("flowc calibrate m.flow --local 2", "and those of its parts on two workers"),
)
@click.argument("model", type=click.Path(path_type=Path), required=False)
@define_option
@cluster_options
@threads_option
@measured_backend_option
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=MODEL_SECONDS,
              show_default=True, help="How long to run the model's step.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE",
              help="Keep it there, not with those that `flowc plan` finds.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Forget what was measured before.")
@click.option("--neighbour", is_flag=True, hidden=True,
              help="Only keep a core busy, for a measurement beside it.")  # fmt: skip
@allow_option
@json_option
def calibrate(
    model: Path | None,
    defines: dict[str, str],
    cluster: str | None,
    local: int | None,
    workers: int | None,
    ps: int | None,
    insecure: bool,
    place: Path | None,
    sync: str | None,
    threads: int,
    backend: str,
    seconds: float,
    out: Path | None,
    fresh: bool,
    neighbour: bool,
    allow: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Measure what work costs on this host.

    `flowc plan` predicts the time of a step from it. Kernels of all ops are timed at several
    sizes, alone and with all cores busy, and small trainings over two cores say what it costs
    tasks to meet. With a MODEL its own instructions are timed in place as well, for tight
    predictions of that model; where its data are not at hand, made-up ones serve. The file holds
    facts of this host. Nothing else should run meanwhile.
    """
    where = Where(cluster, local, ps, sync, place, workers, insecure)
    compiled = _compiled(model, defines, where)
    if neighbour:
        _be_neighbour(compiled, threads, backend, allow)
    target = out or calibration_file(backend=backend)
    found = known_calibration(target, threads) if not fresh else None
    if found is None or model is None:
        found = _host(threads, backend)
    if compiled is not None:
        found = _model(compiled, model, defines, where, threads, backend, seconds, allow, found)
    _store(target, found)
    _tell(found, target, as_json)


def _compiled(model: Path | None, defines: dict[str, str], where: Where) -> Compiled | None:
    from flowc.planning.compiled import compile_for

    if model is None:
        if defines or where.cluster is not None or where.local is not None:
            raise click.UsageError("-D, --local and --cluster are for a model, and none is named")
        return None
    with diagnosing() as sink:
        source = read_model(model, sink)
        return compile_for(
            source, sink, defines, where.read(sink), where.parsed_sync(),
            where.place_section(sink))


# --- measuring --------------------------------------------------------------------------------


def _host(threads: int, backend: str) -> Calibration:
    from flowc.planning.measure import measure_host
    from flowc.planning.meeting import measure_meeting
    from flowc.planning.neighbours import crowd

    arguments = ["calibrate", "--threads", str(threads), "--backend", backend]
    return measure_meeting(measure_host(threads, crowd(arguments, threads), backend), backend)


def _model(
    compiled: Compiled, model: Path | None, defines: dict[str, str], where: Where, threads: int,
    backend: str, seconds: float, allow: tuple[Path, ...], found: Calibration,
) -> Calibration:
    from flowc.planning.measure import measure_model
    from flowc.planning.neighbours import crowd

    arguments = ["calibrate", str(model), "--threads", str(threads), "--backend", backend]
    for name, value in defines.items():
        arguments += ["-D", f"{name}={value}"]
    given = {"--cluster": where.cluster, "--local": where.local, "--ps": where.ps,
             "--sync": where.sync, "--place": where.place}  # fmt: skip
    for option, chosen in given.items():
        arguments += [option, str(chosen)] if chosen is not None else []
    for folder in allow:
        arguments += ["--allow-path", str(folder)]
    others = crowd(arguments, threads)
    return measure_model(compiled, allow, seconds, threads, found, others, backend)


def _be_neighbour(
    compiled: Compiled | None, threads: int, backend: str, allow: tuple[Path, ...]
) -> None:
    from flowc.planning.measure import keep_busy, keep_model_busy
    from flowc.planning.neighbours import be_neighbour

    if compiled is None:
        be_neighbour(lambda: keep_busy(backend, threads))
    else:
        be_neighbour(keep_model_busy(compiled, allow, backend, threads))


# --- where it is kept -------------------------------------------------------------------------


def calibration_folder() -> Path:
    """Where calibrations are kept: one file a host and backend.

    Each schema has a folder: what an earlier version has measured troubles nobody.
    """
    from platformdirs import user_cache_path

    from flowc.costs.calibration import SCHEMA

    cache = os.environ.get("FLOWC_CACHE_DIR")
    name = SCHEMA.removeprefix("flowc.").replace("/", "-")
    return (Path(cache) if cache else user_cache_path("flowc")) / name


def calibration_file(host: str | None = None, backend: str = "numpy") -> Path:
    """That of a host, this one where none is named."""
    from flowc_runtime.calibrate.host import host_name

    return calibration_folder() / file_name(str(host or host_name()), backend)


def file_name(host: str, backend: str) -> str:
    """`HOST.json` for NumPy, and `HOST.BACKEND.json` for others."""
    return f"{host}.json" if backend == "numpy" else f"{host}.{backend}.json"


def stored_calibration(path: Path) -> Calibration | None:
    """None where there is no file; raises CalibrationError."""
    from flowc.costs import CalibrationError, read_calibration

    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(str(path), str(error)) from error
    return None if text is None else read_calibration(text, str(path))


def known_calibration(path: Path, threads: int) -> Calibration | None:
    """What was measured before, if it was in the same way and can be read."""
    from flowc.costs import CalibrationError

    try:
        found = stored_calibration(path)
    except CalibrationError:
        return None  # what is measured now takes its place
    return found if found is not None and found.host.threads == threads else None


def _store(path: Path, found: Calibration) -> None:
    from flowc.costs import write_calibration

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, write_calibration(found))


def _tell(found: Calibration, path: Path, as_json: bool) -> None:
    if as_json:
        from flowc.cli.printing import print_json

        print_json("calibrate", _facts(found, path))
        return
    from flowc.cluster.units import rate_text
    from flowc.planning.units import time_text

    host = found.host
    click.echo(f"{host.name}: {host.cpu}, {host.cores} cores, NumPy {host.numpy} with {host.blas}, "
               f"backend {host.backend}")  # fmt: skip
    click.echo(f"  {len(found.rates)} kinds of work, {len(found.instructions)} instructions of "
               f"models, {host.threads} thread(s)")  # fmt: skip
    click.echo(f"  with all cores busy: {found.crowding:.2f} times as long")
    click.echo(f"  a core goes to another task in {time_text(found.meeting.switch_seconds)}, which "
               f"reads what others wrote at {rate_text(found.meeting.bytes_per_s)}")  # fmt: skip
    click.echo(f"  the work of tasks varies by {found.meeting.spread:.0%} from step to step")
    click.echo(f"kept in {path}", err=True)


def _facts(found: Calibration, path: Path) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "host": asdict(found.host),
        "file": str(path),
        "kinds": len(found.rates),
        "instructions": len(found.instructions),
        "crowding": found.crowding,
        "mixing": found.mixing,
        "loop_seconds": found.loop_seconds,
        "switch_seconds": found.meeting.switch_seconds,
        "shared_bytes_per_s": found.meeting.bytes_per_s,
        "spread": found.meeting.spread,
    }
