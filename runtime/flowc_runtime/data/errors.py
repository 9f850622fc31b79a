"""What is wrong with data: one error with a code, and what each code means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

CODES: Mapping[str, str] = {
    "data-missing": "A file, folder, column or array that the data section names is not there, or "
    "cannot be opened. Paths are relative to the folder of the .flow file.",
    "data-damaged": "The bytes are not what their format promises: cut short, a wrong magic "
    "number, a bad checksum, sizes in a header that the file cannot hold.",
    "data-shape": "Files or fields do not fit together: another number of labels than images, "
    "or another number of names than the source has fields.",
    "data-width": "A row of a CSV file has more or fewer cells than the first one.",
    "data-value": "A value that cannot be taken as it stands: text where a number must be, an "
    "unknown class, a number outside the range of its dtype.",
    "data-type": "The stored dtype cannot become the dtype that the model's input asks for "
    "without losing what the numbers say.",
    "data-outside": "The path leaves the project's folder, or is no regular file. A .flow file "
    "reads only below its own folder, unless the user allows another one with --allow-path.",
    "data-extra": "A reader needs a package that is not installed.",
    "data-empty": "There is no example, or not enough of them for one batch.",
    "data-limit": "The data would take far more memory than its size on disk justifies, or "
    "passes a fixed limit.",
    "data-argument": "A source or transform of the data section was called with an argument it "
    "does not take.",
    "data-download": "A data set could not be downloaded, or what came was not the data set.",
}


class DataError(Exception):
    """Bad data: `code` is one of CODES, `path` as the author wrote it, `line` counts from 1.

    `str` gives `path:line: message`, the form that editors understand.
    """

    def __init__(
        self,
        code: str,
        message: str,
        path: str = "",
        line: int | None = None,
        help: str | None = None,
    ):
        super().__init__(code, message, path, line, help)
        self.code = code
        self.message = message
        self.path = path
        self.line = line
        self.help = help

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.message}" if place else self.message


def did_you_mean(name: str, known: list[str], prefix: str = "") -> str | None:
    """A help line that offers the known name nearest to `name`; None where none is near."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"`{prefix}{near[0]}` exists; did you mean that?" if near else None


def megabytes(count: int) -> str:
    """A number of bytes as a reader likes it: `47.0 MB`, `3.1 kB`."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@contextmanager
def damage(path: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turns the errors that a decoder raises over bad bytes into `data-damaged`."""
    try:
        yield
    except EOFError as error:
        raise DataError("data-damaged", "the file ends in the middle", path) from error
    except kinds as error:
        reason = str(error) or type(error).__name__
        raise DataError("data-damaged", f"cannot be read: {reason}", path) from error
