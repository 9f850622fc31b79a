"""Names of an ONNX model as names of the language: kept as far as they are legal."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowc.lower.builtins import BUILTINS

RESERVED = frozenset(
    "and or not in except true false if else as scan repeat assert return yield".split()
)
LONGEST = 40
_NOISE = re.compile(r"(_output_\d+|:0)+$")


class Names:
    """Gives each value a name of its own."""

    def __init__(self, library: Iterable[str]):
        self.taken = {*RESERVED, "batch", "loss", "seed", "step", *BUILTINS, *library}

    def new(self, wish: str, otherwise: str = "value") -> str:
        """A name that nothing has yet, as near to the wish as the language allows."""
        base = legal(wish) or legal(otherwise) or "value"
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name


def legal(wish: str) -> str:
    """The wish with `_` for what no name can hold; empty where no letter would come first.

    Of a name that is a path with slashes, as many tools write them, the last two parts are kept.
    """
    parts = [p for p in _NOISE.sub("", wish).rpartition(";")[2].split("/") if p]
    text = re.sub(r"[^A-Za-z0-9_]+", "_", "_".join(parts[-2:]))
    text = re.sub(r"__+", "_", text).strip("_")
    text = text[-LONGEST:].lstrip("_0123456789") if len(text) > LONGEST else text
    return text if text and not text[0].isdigit() else ""
