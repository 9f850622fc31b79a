"""How many threads NumPy's BLAS uses: set and read through the library's own functions.

Environment variables such as OPENBLAS_NUM_THREADS work only before NumPy is loaded; these
functions work at any time. They affect the whole process.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

# The names under which builds export OpenBLAS's functions: NumPy's wheels, 64-bit and plain ones.
_OPENBLAS = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")
_LIBRARY = re.compile(r"\S*(openblas|blis|mkl_rt)\S*\.(so|dylib|dll|pyd)[.\d]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Blas:
    """The BLAS that NumPy computes with. `threads` is None where it cannot be asked."""

    name: str
    version: str
    library: str | None
    threads: int | None

    @property
    def controlled(self) -> bool:
        """Whether `limit_threads` has an effect."""
        return self.threads is not None


def limit_threads(count: int) -> bool:
    """Lets BLAS use `count` threads from now on; False if this BLAS cannot be told.

    Then the environment variables OMP_NUM_THREADS and OPENBLAS_NUM_THREADS, set before the
    process starts, are the way.
    """
    if count < 1:
        raise ValueError(f"{count} threads; at least one is needed")
    library = _loaded()
    setter = library and _function(library, "set_num_threads")
    if not setter:
        return False
    setter(ctypes.c_int(count))
    return True


def blas() -> Blas:
    """What is known of the BLAS, for the user who asks why a step is slow."""
    build = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    library = _loaded()
    getter = library and _function(library, "get_num_threads")
    return Blas(
        str(build.get("name", "unknown")),
        str(build.get("version", "")),
        library._name if library else None,
        int(getter()) if getter else None,
    )


@cache
def _loaded() -> ctypes.CDLL | None:
    """The BLAS library that this process has loaded."""
    for path in (*_mapped_libraries(), *_bundled_libraries()):
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        if _function(library, "set_num_threads"):
            return library
    return None


def _function(library: ctypes.CDLL, name: str) -> ctypes._NamedFuncPointer | None:
    for pattern in _OPENBLAS:
        found = getattr(library, pattern.format(name), None)
        if found is not None:
            return found  # type: ignore[no-any-return]
    return None


def _mapped_libraries() -> list[str]:
    """The BLAS libraries in this process's address space, where the system tells (Linux)."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    paths = (line[line.find("/") :] for line in lines if "/" in line)
    return sorted({path for path in paths if _LIBRARY.search(path)})


def _bundled_libraries() -> list[str]:
    """The BLAS libraries that came in NumPy's wheel."""
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    return sorted(str(f) for folder in folders for f in folder.glob("*") if _LIBRARY.search(f.name))
