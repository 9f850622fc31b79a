"""Trains on the stand-in for a GPU with one line of flowc changed, and says whether it is noticed.

`python planted.py MODULE LINE INSTEAD SEED...`: the line must stand in the module just once.
Prints `equal` where every seed gives what NumPy gives, else `wrong`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class Planted(MetaPathFinder, Loader):
    """Finds one module, and loads it with a line changed."""

    def __init__(self, module: str, line: str, instead: str):
        self._module, self._line, self._instead = module, line, instead

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._module:
            return None
        found = PathFinder.find_spec(name, path)
        assert found is not None and found.origin is not None
        self._origin = found.origin
        return importlib.util.spec_from_loader(name, self, origin=found.origin)

    def exec_module(self, module: ModuleType) -> None:
        text = Path(self._origin).read_text()
        assert text.count(self._line) == 1, f"`{self._line}` stands there {text.count(self._line)}x"
        code = compile(text.replace(self._line, self._instead), self._origin, "exec")
        exec(code, module.__dict__)


def main(module: str, line: str, instead: str, *seeds: str) -> None:
    sys.meta_path.insert(0, Planted(module, line, instead))
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from scenario import differs

    print("wrong" if any(differs(int(seed)) for seed in seeds) else "equal")


if __name__ == "__main__":
    main(*sys.argv[1:])
