"""How a command ends when it does not end well: one message on stderr, one exit code."""

from __future__ import annotations

import errno
import os
import platform
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import click

from flowc import __version__
from flowc.cli import exits
from flowc.diagnostic import Diagnostic, Severity, Stop

DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
MISSING = (errno.ENOENT, errno.ENOTDIR)

# The codes of the runtime's errors that do not simply mean that model or data are wrong.
EXITS = {
    "data-missing": exits.NO_INPUT,
    "data-outside": exits.NOT_ALLOWED,
    "data-download": exits.UNAVAILABLE,
    "disk-full": exits.IO,
    "checkpoint-unwritable": exits.IO,
    "run-busy": exits.UNAVAILABLE,
    "run-none": exits.NO_INPUT,
    "run-unwritable": exits.CANNOT_CREATE,
    "cert-exists": exits.CANNOT_CREATE,
    "host-unknown": exits.UNAVAILABLE,
    "host-unreachable": exits.UNAVAILABLE,
    "host-refused": exits.UNAVAILABLE,
    "host-unauthenticated": exits.NOT_ALLOWED,
    "host-not-flowc": exits.PROTOCOL,
    "host-other-version": exits.PROTOCOL,
    "task-busy": exits.UNAVAILABLE,
    "task-not-started": exits.UNAVAILABLE,
    "task-dies": exits.UNAVAILABLE,
    "task-lost": exits.UNAVAILABLE,
    "task-stuck": exits.UNAVAILABLE,
    "peer-unreachable": exits.UNAVAILABLE,
    "task-bug": exits.BUG,
    "ray-missing": exits.UNAVAILABLE,
    "ray-unreachable": exits.UNAVAILABLE,
    "ray-no-room": exits.UNAVAILABLE,
    "listen-insecure": exits.CONFIG,
    "listen-failed": exits.UNAVAILABLE,
    "onnx-missing": exits.UNAVAILABLE,
    "native-missing": exits.UNAVAILABLE,
    "cuda-missing": exits.UNAVAILABLE,
    "cuda-driver": exits.UNAVAILABLE,
    "cuda-device": exits.UNAVAILABLE,
    "cuda-compiler": exits.UNAVAILABLE,
    "onnx-outside": exits.NOT_ALLOWED,
    "tls-missing": exits.NO_INPUT,
    "tls-key-readable": exits.CONFIG,
}


@runtime_checkable
class Coded(Protocol):
    """The runtime's errors: of data, checkpoints and run folders."""

    code: str
    message: str
    help: str | None


@runtime_checkable
class Noted(Protocol):
    """An error that has more to say than one line."""

    notes: tuple[str, ...]


class _Exit(Protocol):
    exit_code: int


@runtime_checkable
class Told(Protocol):
    """An error whose event was shown when it happened."""

    event: _Exit


def end(error: BaseException, debug: bool = False, color: bool | None = None) -> int:
    """Says on stderr why the command ends, and gives its exit code."""
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    match error:
        case KeyboardInterrupt() | click.Abort():
            return exits.INTERRUPTED
        case Stop():
            return _exit_of_stop(error)  # `diagnosing` has shown the diagnostics
        case Told():
            return error.event.exit_code
        case Coded():
            notes = error.notes if isinstance(error, Noted) else ()
            say(str(error), error.code, error.help, color=color, notes=notes)
            return _exit_of(error)
        case OSError():
            say(_reason(error), color=color)
            return _exit_of_system(error)
        case MemoryError():
            say("not enough memory", help="try a smaller batch", color=color)
            return exits.MISTAKE
    return _crash(error, color)


def say(
    message: str,
    code: str | None = None,
    help: str | None = None,
    color: bool | None = None,
    severity: Severity = "error",
    notes: tuple[str, ...] = (),
) -> None:
    """What is wrong at no place of a `.flow` text, in the form that diagnostics have."""
    if code is None:
        hue = "red" if severity == "error" else "yellow"
        head = click.style(severity, fg=hue, bold=True)
        lines = [head + click.style(f": {message}", bold=True)]
        text = "\n".join([*lines, f"  = help: {help}"] if help else lines)
    else:
        from flowc.render import render_text

        told = Diagnostic(code, message, notes=notes, help=help, severity=severity)
        text = render_text([told], color=True)
    click.echo(text, err=True, color=color)


def _exit_of_stop(error: Stop) -> int:
    from flowc.cluster.wrong import WrongCluster

    return exits.CONFIG if isinstance(error, WrongCluster) else exits.MISTAKE


def _exit_of(error: Coded) -> int:
    cause = error.__cause__ if isinstance(error, Exception) else None
    if isinstance(cause, OSError) and cause.errno in DISK_TROUBLE:
        return exits.IO
    return EXITS.get(error.code, exits.MISTAKE)


def _exit_of_system(error: OSError) -> int:
    return exits.NO_INPUT if error.errno in MISSING else exits.IO


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    reason = reason[:1].lower() + reason[1:]
    return f"{error.filename}: {reason}" if error.filename else reason


def _crash(error: BaseException, color: bool | None) -> int:
    try:
        where = f"report written to {_report(error)}, please attach it to an issue"
    except OSError as unwritten:
        where = f"and no report could be written ({_reason(unwritten)})"
    help = "`flowc --debug COMMAND` shows the traceback here"
    say(f"internal error (this is a bug in flowc): {where}", help=help, color=color)
    return exits.BUG


def _report(error: BaseException) -> Path:
    """Writes all that a maintainer asks for into the user's state folder; nothing leaves it."""
    from platformdirs import user_state_path

    folder = user_state_path("flowc", ensure_exists=True)
    path = folder / f"crash-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    facts = (
        f"flowc {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {sys.argv}",
        "",
        "".join(traceback.format_exception(error)),
    )
    path.write_text("\n".join(facts), encoding="utf-8")
    return path
