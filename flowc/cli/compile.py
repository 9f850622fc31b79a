"""`flowc compile`: a model's plan, and what its text is at every stage on the way there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowc.cli.command import command
from flowc.cli.models import diagnosing, read_model, write_text
from flowc.cli.options import define_option, json_option, model_argument

if TYPE_CHECKING:
    from flowc_runtime.plan import Plan

STAGES = ("tree", "graph", "gradients", "update", "optimised", "plan")
DEFAULT_FOLDER = Path("build")
HASH_DIGITS = 12  # of the folder's name

Seen = list[tuple[str, Any]]  # the stages' names, as the driver calls them, and their results


@command(
    "compile",
    ("flowc compile", "model.flow of this folder, into build/"),
    ("flowc compile m.flow -o out -D hidden=256", "with another hyperparameter"),
    ("flowc compile m.flow --emit optimised", "what the passes make of the graphs"),
)
@model_argument
@define_option
@click.option("-o", "--out", type=click.Path(path_type=Path, allow_dash=True), metavar="DIR",
              help="The folder for plan.json and a text per device; `-`: plan.json to stdout. "
              "By default build/MODEL-HASH; with --emit, nothing is written.")  # fmt: skip
@click.option("--emit", "stages", type=click.Choice(STAGES), multiple=True,
              help="Print this stage to stdout; may be given again.")  # fmt: skip
@json_option
def compile(
    model: Path,
    defines: dict[str, str],
    out: Path | None,
    stages: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compile a model to a plan.

    The plan is what a device holds and executes; the same text gives the same bytes. A summary
    goes to stderr.
    """
    to_stdout = [bool(stages), as_json, out == Path("-")]
    if sum(to_stdout) > 1:
        raise click.UsageError("--emit, --json and `-o -` all print to stdout; choose one")
    seen, plan = _compile(model, defines)
    for stage in stages:
        click.echo(emitted(stage, seen), nl=False)
    files = _files(plan)
    folder = _folder(out, plan, bool(stages))
    if folder is not None:
        _write(folder, files)
    if out == Path("-"):
        click.echo(files["plan.json"], nl=False)
    _tell(plan, folder, as_json)


def _compile(model: Path, defines: dict[str, str]) -> tuple[Seen, Plan]:
    from flowc.driver import Options
    from flowc.driver import compile as drive

    seen: Seen = []
    with diagnosing() as sink:
        source = read_model(model, sink)
        _, plan = drive(source, sink, Options(defines), lambda *stage: seen.append(stage))
    return seen, plan


def _files(plan: Plan) -> dict[str, str]:
    from flowc_runtime.planfile import plan_text, write_plan

    device = plan.device.replace(":", "-")
    return {"plan.json": write_plan(plan), f"{device}.txt": plan_text(plan)}


def _folder(out: Path | None, plan: Plan, emits: bool) -> Path | None:
    """Where the files go, if anywhere: a name made from the content, unless one is given."""
    from flowc_runtime.planfile import plan_hash

    if out == Path("-") or (out is None and emits):
        return None
    return out or DEFAULT_FOLDER / f"{plan.model}-{plan_hash(plan)[:HASH_DIGITS]}"


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_text(folder / name, text)


# --- stages -----------------------------------------------------------------------------------


def emitted(stage: str, seen: Seen) -> str:
    """The text of a stage. Where several programs pass it, each has its name above it."""
    from flowc.views.stages import stage_text

    found = [(name, value) for name, value in seen if name.rpartition(".")[2] == stage]
    if not found:
        raise click.UsageError(f"there is no `{stage}`: the model is not trained")
    if len(found) == 1:
        return stage_text(found[0][1])
    return "\n".join(f"# {name}\n{stage_text(value)}" for name, value in found)


# --- the summary ------------------------------------------------------------------------------


def _tell(plan: Plan, folder: Path | None, as_json: bool) -> None:
    from flowc.cli.summary import plan_facts, plan_summary

    facts = plan_facts(plan) | {"folder": folder and str(folder)}
    if as_json:
        from flowc.cli.printing import print_json

        print_json("compile", facts)
        return
    lines = [*plan_summary(facts), *([f"written to {folder}"] if folder else [])]
    click.echo("\n".join(lines), err=True)
