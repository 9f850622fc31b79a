"""Plain text for language models: windows of tokens, and the same windows one token later."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from flowc_runtime.data.content import open_content
from flowc_runtime.data.conversion import field_dtype
from flowc_runtime.data.dataset import FIRST, Dataset, Field, Visit
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder
from flowc_runtime.data.names import Known

_MOST_BYTES = 1 << 30


class Windows:
    """Windows of `window` tokens that begin at every `stride`-th token; two fields.

    The first field holds the tokens, the second the token that follows each of them. The
    field's `classes` is the vocabulary: the token's number is the place in it.
    """

    shuffled = False
    slow = False

    def __init__(self, origin: str, fields: tuple[Field, ...], codes: np.ndarray, stride: int):
        self.origin = origin
        self.fields = fields
        self._stride = stride
        window = fields[0].shape[0]
        # A view: row i is codes[i : i + window + 1].
        self._windows = np.lib.stride_tricks.sliding_window_view(codes, window + 1)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """What the tokens 0, 1, … stand for."""
        return self.fields[0].classes

    def __len__(self) -> int:
        return (len(self._windows) - 1) // self._stride + 1

    def read(
        self, indices: np.ndarray, out: Sequence[np.ndarray], visit: Visit = FIRST
    ) -> None:
        rows = self._windows[indices * self._stride]
        out[0][...] = rows[:, :-1]
        out[1][...] = rows[:, 1:]

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        row = self._windows[index * self._stride]
        return row[:-1], row[1:]

    def place(self, index: int) -> str:
        return f"{self.origin}, window {index}"


def read_text(
    folder: Folder,
    path: str,
    window: int,
    stride: int | None,
    vocabulary: str,
    fields: Sequence[str],
    wanted: Mapping[str, str],
    known: Known,
) -> Dataset:
    """The windows of the text at `path`, every `stride` tokens (default: side by side).

    `vocabulary` is "characters" (UTF-8, the distinct characters of the file in their order, or
    those `known` from training) or "bytes" (256 tokens, whatever the file holds).
    """
    with open_content(folder, path) as content:
        data = content.whole(_MOST_BYTES)
    trained = known[fields[0]].classes if fields[0] in known else ()
    codes, names = _VOCABULARIES[vocabulary](data, path, trained)
    if len(codes) <= window:
        message = f"{len(codes)} tokens do not fill one window of {window} and the token after it"
        raise DataError("data-empty", message, path)
    described = tuple(
        Field(name, field_dtype(codes, wanted.get(name, "i32"), name, path), (window,), names)
        for name in fields
    )
    return Windows(path, described, codes, stride or window)


def _bytes(
    data: bytes, path: str, trained: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    return np.frombuffer(data, np.uint8), tuple(chr(code) for code in range(256))


def _characters(
    data: bytes, path: str, trained: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    points = np.frombuffer(_decoded(data, path).encode("utf-32-le"), "<u4")
    present = np.zeros(sys.maxunicode + 1, np.bool_)
    present[np.array(list(map(ord, trained)), np.int64) if trained else points] = True
    _check_known(points, present, path)
    distinct = np.flatnonzero(present)
    numbers = np.zeros(len(present), np.uint8 if len(distinct) <= 256 else np.int32)
    numbers[distinct] = np.arange(len(distinct))
    return numbers[points], tuple(chr(point) for point in distinct)


def _check_known(points: np.ndarray, present: np.ndarray, path: str) -> None:
    strange = np.flatnonzero(~present[points])
    if len(strange):
        at = int(strange[0])
        line = int((points[:at] == ord("\n")).sum()) + 1
        message = f"{chr(points[at])!r} was in no text that was trained"
        raise DataError("data-value", message, path, line)


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte {data[error.start]:#04x} is not UTF-8"
        help = 'vocabulary = "bytes" reads any file'
        raise DataError("data-value", message, path, line, help) from error


_Coder = Callable[[bytes, str, tuple[str, ...]], tuple[np.ndarray, tuple[str, ...]]]
_VOCABULARIES: Mapping[str, _Coder] = {"characters": _characters, "bytes": _bytes}
VOCABULARIES = tuple(_VOCABULARIES)
