"""File to text."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path

from flowc.diagnostic import Sink
from flowc.source import Source
from flowc.syntax import messages

MAX_BYTES = 1 << 20


def read_source(path: Path, sink: Sink) -> Source | None:
    """The text of a file, without a byte order mark; None, and a word to the sink, if it is none.

    Raises OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(len(BOM_UTF8) + MAX_BYTES + 1).removeprefix(BOM_UTF8)
    source = Source(str(path), raw.decode("utf-8", "replace"), path.parent)
    trouble = _why_no_text(raw)
    if len(raw) > MAX_BYTES:
        sink.report(messages.too_long(source, MAX_BYTES))
    elif trouble:
        sink.report(messages.not_text(source, trouble))
    else:
        return source
    return None


def _why_no_text(raw: bytes) -> str | None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte {raw[error.start]:#04x} at offset {error.start}"
    return f"a zero byte at offset {raw.index(0)}" if 0 in raw else None
