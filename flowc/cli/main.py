"""The command `flowc`: what it says on its own, the options of all commands, where each one is."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from flowc import __version__
from flowc.cli import exits
from flowc.cli.command import CONTEXT, Entry, LazyGroup

COMMANDS = {
    "new": Entry("flowc.cli.new", "new", "Make a folder with a small model that runs as it is."),
    "check": Entry("flowc.cli.check", "check", "Find the mistakes in models; nothing is run."),
    "fmt": Entry("flowc.cli.fmt", "fmt", "Bring .flow texts into the one style."),
    "compile": Entry("flowc.cli.compile", "compile", "Compile a model to a plan."),
    "plan": Entry("flowc.cli.plan", "plan", "Say what each device will compute, hold and send."),
    "profile": Entry("flowc.cli.profile", "profile", "Say where the seconds of a step go."),
    "calibrate": Entry("flowc.cli.calibrate", "calibrate", "Measure what work costs on this host."),
    "inspect": Entry("flowc.cli.inspect", "inspect", "Show a model, a plan or a checkpoint."),
    "train": Entry("flowc.cli.train", "train", "Train a model on its data."),
    "eval": Entry("flowc.cli.evaluate", "evaluate", "Measure a trained model on data."),
    "predict": Entry("flowc.cli.predict", "predict", "Ask a trained model about examples."),
    "import": Entry("flowc.cli.import_", "import_",
                    "Make a text of an ONNX model, and a file of its weights."),
    "export": Entry("flowc.cli.export", "export", "Write a trained model for other tools."),
    "explain": Entry("flowc.cli.explain", "explain", "Tell more about the code of a message."),
    "doctor": Entry("flowc.cli.doctor", "doctor", "Look over this machine and installation."),
    "data": Entry("flowc.cli.data", "data", "List and download public data sets."),
    "cluster": Entry("flowc.cli.cluster", "cluster",
                     "Check a cluster file and its hosts, and make certificates."),
    "worker": Entry("flowc.cli.worker", "worker", "Take part in a training over several tasks."),
    "completion": Entry("flowc.cli.completion", "completion", "Print a shell's completion script."),
}

START_HERE = (
    ("flowc new hello && cd hello", "make a small model with its own data"),
    ("flowc check", "is the text right?"),
    ("flowc train", "train it, and be told where the run is"),
    ("flowc explain CODE", "more about any message"),
)
PRIVACY = "flowc sends nothing anywhere: no telemetry, no update check, no login."


class Flowc(LazyGroup):
    """The group of all commands; every end that is not a result passes through `ending`."""

    examples_title = "Start here"

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise  # click's own endings
        except (Exception, KeyboardInterrupt) as error:
            from flowc.cli.ending import end

            debug = bool(ctx.params.get("debug"))
            ctx.exit(end(error, debug, ctx.color))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text(PRIVACY)


@click.group(
    cls=Flowc,
    entries=COMMANDS,
    examples=START_HERE,
    invoke_without_command=True,
    context_settings={**CONTEXT, "auto_envvar_prefix": "FLOWC"},
)
@click.option("-C", "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False),
              help="Go to this folder first.")  # fmt: skip
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto",
              help="Colours; `auto`: on a terminal.")  # fmt: skip
@click.option("--debug", is_flag=True, help="Show a traceback with every error.")
@click.version_option(__version__, prog_name="flowc", message="%(prog)s %(version)s")
@click.pass_context
def flowc(ctx: click.Context, folder: str | None, color: str, debug: bool) -> None:
    """A model is a text: flowc checks it, compiles it to a plan, and trains it."""
    ctx.color = wants_color(color, os.environ)
    if folder is not None:
        ctx.with_resource(contextlib.chdir(folder))
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def wants_color(choice: str, environ: Mapping[str, str]) -> bool | None:
    """Whether to write colours; None: wherever the stream is a terminal.

    The option decides, then NO_COLOR, FORCE_COLOR and CLICOLOR_FORCE, then what the terminal is.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR") or environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    if environ.get("TERM") == "dumb" or environ.get("CI"):
        return False
    return None


def run() -> NoReturn:
    """The console script."""
    try:
        flowc.main(prog_name="flowc")
    except KeyboardInterrupt:
        _leave(exits.INTERRUPTED)
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else exits.OK)
    _leave(exits.OK)


def _leave(status: int) -> NoReturn:
    """Ends the process; where gRPC was used, without taking the interpreter down piece by piece.

    That would stop gRPC's threads wherever they are, and then free its calls, which take locks:
    where a thread had stopped with such a lock, the process never ended.
    """
    if "grpc" not in sys.modules:
        raise SystemExit(status)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
