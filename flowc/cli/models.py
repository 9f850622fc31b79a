"""Models on the command line: which files are meant, their texts, and what is said about them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from flowc.cli.options import MODEL_FILE
from flowc.diagnostic import Diagnostic, Sink, Stop
from flowc.source import Source


def model_files(paths: Sequence[Path]) -> list[Path]:
    """The files that are meant: those named, those in named folders, or `model.flow`.

    Raises OSError where there is none.
    """
    if not paths:
        _must_be_there(Path(MODEL_FILE))
        return [Path(MODEL_FILE)]
    return list(dict.fromkeys(file for path in paths for file in _files_of(path)))


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        _must_be_there(path)
        return [path]
    found = (f for f in path.rglob("*.flow") if f.is_file() and not _hidden(f, path))
    files = sorted(f for f in found if not _kept_by_run(f, path))
    if not files:
        raise FileNotFoundError(errno.ENOENT, "holds no .flow file", str(path))
    return files


def _kept_by_run(file: Path, folder: Path) -> bool:
    """Whether a run folder keeps this text, as a copy of what it was trained from."""
    between = file.relative_to(folder).parents
    return any((folder / parent / "run.json").is_file() for parent in between)


def _must_be_there(path: Path) -> None:
    if path.exists():
        return
    reason = "no such file"
    if path == Path(MODEL_FILE):
        reason += " here; name a model, or start one with `flowc new NAME`"
    raise FileNotFoundError(errno.ENOENT, reason, str(path))


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def read_model(path: Path, sink: Sink) -> Source:
    """The text of a model; raises OSError if there is none, Stop if it is no text."""
    from flowc.syntax.read import read_source

    _must_be_there(path)
    source = read_source(path, sink)
    if source is None:
        raise Stop
    return source


@contextmanager
def diagnosing() -> Iterator[Sink]:
    """A sink whose diagnostics are shown on stderr when the block is left, well or not."""
    sink = Sink()
    try:
        yield sink
    finally:
        show(sink.diagnostics)


def show(diagnostics: Iterable[Diagnostic]) -> None:
    from flowc.render import render_text

    shown = list(diagnostics)
    if shown:
        click.echo(render_text(shown, color=True), err=True)  # click knows who can show colours


def write_text(path: Path, text: str) -> None:
    """Replaces the file at once, so that no reader meets half of it; OSError names the file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(text.encode())
        if path.exists():
            beside.chmod(path.stat().st_mode)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise type(error)(error.errno, error.strerror, str(path)) from None
