"""`flowc inspect`: any stage of a model, and whatever flowc makes, as text, JSON or picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowc.cli import exits
from flowc.cli.command import command
from flowc.cli.models import diagnosing, read_model, write_text
from flowc.cli.options import MODEL_FILE, define_option, json_option
from flowc_runtime.backend import BACKENDS

if TYPE_CHECKING:
    from flowc.driver import Checked
    from flowc.views.picture import Picture
    from flowc_runtime.plan import Plan

STAGES = ("tree", "graph", "gradients", "update", "optimised", "plan")
PROGRAMS = ("train", "evaluate", "predict", "init")
SCHEMA = "flowc.inspect/1"


class Depth(click.ParamType):  # type: ignore[type-arg]  # (it takes one from click 8.2 on)
    """How many names deep a picture tells nodes apart: a number from 1, or `all`."""

    name = "N|all"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if value == "all":
            return 0
        if isinstance(value, int):
            return value
        if not str(value).isdigit() or int(value) < 1:
            self.fail(f"`{value}` is neither `all` nor a number from 1", param, ctx)
        return int(value)


@dataclass(frozen=True)
class Request:
    """What is to be shown of a file, and how: `form` is `text`, `json`, `dot` or `svg`."""

    form: str
    stage: str | None
    program: str | None
    depth: int | None
    why: str | None
    backend: str | None
    defines: Mapping[str, str]

    @property
    def is_picture(self) -> bool:
        return self.form in ("dot", "svg")


Shown = tuple[str, bool]  # the text, and whether all is well with what it shows


@command(
    "inspect",
    ("flowc inspect model.flow", "parameters, inputs, outputs, settings, programs"),
    ("flowc inspect m.flow --svg -o m.svg", "a picture of the model"),
    ("flowc inspect m.flow --stage optimised", "the graph after all passes"),
    ("flowc inspect m.flow --why dense.weight", "its shape's reasons, its uses, its memory"),
    ("flowc inspect m.flow --backend native", "which instructions have machine code"),
    ("flowc inspect runs/latest", "what a run has measured and saved"),
)
@click.argument("file", type=click.Path(path_type=Path), default=MODEL_FILE, metavar="[FILE]")
@click.option("--stage", type=click.Choice(STAGES), help="Show a model at this stage.")
@click.option("--program", type=click.Choice(PROGRAMS), help="Show only this program.")
@click.option("--why", metavar="NAME", help="Say where a name's type, sizes and place come from.")
@click.option("--backend", type=click.Choice(BACKENDS),
              help="Say which instructions run on the backend's own code.")  # fmt: skip
@click.option("--dot", "form", flag_value="dot", help="Draw a graph for Graphviz.")
@click.option("--svg", "form", flag_value="svg", help="Draw a graph as a picture.")
@click.option("--depth", type=Depth(), help="How many names deep a picture tells nodes apart.")
@click.option("-o", "--out", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
              help="Write there, not to stdout.")  # fmt: skip
@define_option
@json_option
@click.pass_context
def inspect(
    ctx: click.Context,
    file: Path,
    stage: str | None,
    program: str | None,
    why: str | None,
    backend: str | None,
    form: str | None,
    depth: int | None,
    out: Path | None,
    defines: dict[str, str],
    as_json: bool,
) -> None:
    """Show a model, a plan or a checkpoint.

    FILE is a model (.flow), a plan (plan.json), weights (.safetensors), a checkpoint, or a run
    folder.
    """
    if as_json and form:
        raise click.UsageError(f"--json and --{form} print different things; choose one")
    form = form or ("json" if as_json else "text")
    request = Request(form, stage, program, depth, why, backend, defines)
    _refuse_idle_options(request)
    text, sound = _shown(file, request)
    if out is None or out == Path("-"):
        click.echo(text, nl=False)
    else:
        write_text(out, text)
    if not sound:
        ctx.exit(exits.MISTAKE)


def _refuse_idle_options(request: Request) -> None:
    """An option that would do nothing is a mistake on the command line."""
    if request.depth is not None and not request.is_picture:
        raise click.UsageError("--depth is for pictures: add --svg or --dot")
    if request.why is not None and (request.stage or request.is_picture):
        raise click.UsageError("--why answers in text or JSON, for no stage of its own")
    if request.backend is not None and (request.stage or request.why or request.is_picture):
        raise click.UsageError("--backend answers in text or JSON, for no stage and no name")
    if request.stage == "tree" and (request.program or request.is_picture):
        raise click.UsageError("the tree is of the whole text, and text: it has no picture")


def _shown(file: Path, request: Request) -> Shown:
    from flowc.views.kinds import kind_of

    kind, path = kind_of(file)
    only = (request.stage, request.why, request.backend, request.defines)
    if kind != "model" and any(only):
        raise click.UsageError(
            f"--stage, --why, --backend and -D are for models; {file} is a {kind}")
    if kind == "model":
        return _model(path, request), True
    if kind == "plan":
        return _plan(path, request), True
    if request.is_picture or request.program:
        raise click.UsageError(f"--program and pictures are for models and plans, not a {kind}")
    return _saved(kind, path, request)


# --- models -----------------------------------------------------------------------------------


def _model(path: Path, request: Request) -> str:
    if request.stage or request.is_picture:
        return _stage(path, request)
    checked, plan = _compiled(path, request)
    if request.why is not None:
        return _why(checked, plan, request)
    from flowc.views.stages import of_program

    if request.backend is not None:
        return _backend(of_program(plan, request.program), request)
    from flowc.views.models import model_facts, model_text

    facts = model_facts(checked, of_program(plan, request.program))
    return _rendered("model", facts, model_text, request)


def _backend(plan: Plan, request: Request) -> str:
    from flowc.views.backends import backend_facts, backend_text
    from flowc_runtime.backend import device_of

    assert request.backend is not None
    facts = backend_facts(plan, device_of(request.backend))
    return _rendered("backend", facts, backend_text, request)


def _why(checked: Checked, plan: Plan, request: Request) -> str:
    from flowc.views.errors import unknown_name
    from flowc.views.stages import of_program
    from flowc.views.why import known_names, why
    from flowc.views.why_text import why_text

    assert request.why is not None
    answers = why(checked, of_program(plan, request.program), request.why)
    if not answers:
        raise unknown_name(request.why, known_names(checked, plan))
    return _rendered("why", {"answers": answers}, lambda facts: why_text(facts["answers"]), request)


def _compiled(path: Path, request: Request) -> tuple[Checked, Plan]:
    from flowc.driver import Options, compile

    with diagnosing() as sink:
        return compile(read_model(path, sink), sink, Options(request.defines))


def _stage(path: Path, request: Request) -> str:
    """One stage of the compiler. What comes after it may go wrong: it is shown all the same."""
    from flowc.diagnostic import Stop
    from flowc.views.stages import find_stage

    stage = request.stage or _drawn_stage(request)
    seen: dict[str, Any] = {}
    try:
        _drive(path, stage, request, seen)
    except Stop:
        if stage not in seen and f"{request.program or 'train'}.{stage}" not in seen:
            raise
    name = find_stage(seen, stage, request.program)
    return _stage_result(path, name, seen[name], request)


def _drawn_stage(request: Request) -> str:
    """The stage of a picture where none is named: the earliest that the program has."""
    return "optimised" if request.program in ("predict", "init") else "graph"


def _drive(path: Path, stage: str, request: Request, seen: dict[str, Any]) -> None:
    """Runs the compiler as far as the stage needs."""
    from flowc.driver import Options, check, compile

    options = Options(request.defines)
    with diagnosing() as sink:
        run = check if stage in ("tree", "graph") else compile
        run(read_model(path, sink), sink, options, seen.__setitem__)


def _stage_result(path: Path, name: str, result: Any, request: Request) -> str:
    from flowc.views.stages import of_program, picture_of, stage_facts, stage_text

    if request.is_picture:
        title = f"{path.name}: {name}"
        return _drawn(picture_of(result, title, request.program, request.depth), request)
    shown = of_program(result, request.program) if name == "plan" else result
    if request.form == "json":
        return _json("stage", {"stage": name, **stage_facts(shown)})
    return stage_text(shown)


# --- what flowc has made ----------------------------------------------------------------------


def _plan(path: Path, request: Request) -> str:
    from flowc.views.plans import plan_facts, read_plan_file
    from flowc.views.stages import of_program, picture_of, stage_text

    plan = read_plan_file(path)
    if request.is_picture:
        return _drawn(picture_of(plan, path.name, request.program, request.depth), request)
    shown = of_program(plan, request.program)
    if request.form == "json":
        return _json("plan", plan_facts(shown))
    return stage_text(shown)


def _saved(kind: str, path: Path, request: Request) -> Shown:
    """Tensors on disk, or a run; not well is a checkpoint that is damaged."""
    from flowc.views import checkpoints as view

    reads: Callable[[Path], dict[str, Any]] = getattr(view, f"{kind}_facts")
    renders: Callable[[dict[str, Any]], str] = getattr(view, f"{kind}_text")
    facts = reads(path)
    return _rendered(kind, facts, renders, request), facts.get("sound", True)


# --- forms ------------------------------------------------------------------------------------


def _rendered(
    kind: str, facts: dict[str, Any], as_text: Callable[[dict[str, Any]], str], request: Request
) -> str:
    return _json(kind, facts) if request.form == "json" else as_text(facts)


def _json(kind: str, facts: Mapping[str, Any]) -> str:
    return json.dumps({"schema": SCHEMA, "kind": kind, **facts}, indent=2) + "\n"


def _drawn(picture: Picture, request: Request) -> str:
    if request.form == "dot":
        from flowc.views.dot import dot

        return dot(picture)
    from flowc.views.svg import svg

    return svg(picture)
