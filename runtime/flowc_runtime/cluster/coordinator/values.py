"""The coordinator's values of all variables: the live ones, and those that are being collected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import Load, Values

PIECE_BYTES = 1 << 20
_ROWS = re.compile(r"(?P<path>.*)\[(?P<start>\d+):(?P<stop>\d+)\]")

Array = np.ndarray


class AtHand:
    """`live` are the views by path that a session works on. A path may name rows: `table[0:6]`."""

    def __init__(self, live: Mapping[str, Array]):
        self._live = live
        self._collected: dict[str, Array] = {}
        self._changed: set[str] = set()

    def loads(self, generation: int, step: int, paths: Sequence[str]) -> Iterator[Load]:
        """The live values of these variables in pieces."""
        for path in paths:
            flat = _bytes(rows_of(self._live, path))
            for offset in range(0, max(1, flat.size), PIECE_BYTES):
                piece = flat[offset : offset + PIECE_BYTES]
                last = path == paths[-1] and offset + PIECE_BYTES >= flat.size
                yield Load(generation, step, path, offset, piece.tobytes(), last)

    def keep(self, values: Values) -> None:
        """A piece of a variable that is collected; ClusterError where it does not fit."""
        if not self._collected:
            self._collected = {path: np.empty_like(view) for path, view in self._live.items()}
        try:
            flat = _bytes(rows_of(self._collected, values.path))
        except KeyError:
            flat = np.empty(0, np.uint8)
        self._changed.add(values.path)
        end = values.offset + len(values.data)
        if not 0 <= values.offset <= end <= flat.size:
            raise ClusterError("task-bug", f"a task sent too much of the variable `{values.path}`")
        flat[values.offset : end] = np.frombuffer(values.data, np.uint8)

    def settle(self) -> None:
        """What was collected is live from now on."""
        for path in self._changed:
            np.copyto(rows_of(self._live, path), rows_of(self._collected, path))
        self._changed.clear()


def rows_of(variables: Mapping[str, Array], path: str) -> Array:
    """The variable, or rows of it; KeyError."""
    if path in variables:
        return variables[path]
    rows = _ROWS.fullmatch(path)
    if rows is None:
        raise KeyError(path)
    return variables[rows["path"]][int(rows["start"]) : int(rows["stop"])]


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)
