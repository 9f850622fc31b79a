"""File to text."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path

from flowc.diagnostic import Sink
from flowc.source import Source, Span
from flowc.syntax import messages

MAX_BYTES = 1 << 20


def read_source(path: Path, sink: Sink) -> Source | None:
    """The text of a file, without a byte order mark; None, and a word to the sink, if it is none.

    Raises OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(len(BOM_UTF8) + MAX_BYTES + 1).removeprefix(BOM_UTF8)
    source = Source(str(path), raw.decode("utf-8", "replace"), path.parent)
    bad = _first_bad_byte(raw)
    if len(raw) > MAX_BYTES:
        sink.report(messages.too_long(source, MAX_BYTES))
    elif bad is not None:
        at = len(raw[:bad].decode("utf-8"))
        sink.report(messages.not_text(Span(source, at, at + 1), raw[bad], bad))
    else:
        return source
    return None


def _first_bad_byte(raw: bytes) -> int | None:
    """The offset of the first byte that no text has."""
    zero = raw.find(0)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start if zero < 0 else min(zero, error.start)
    return zero if zero >= 0 else None
