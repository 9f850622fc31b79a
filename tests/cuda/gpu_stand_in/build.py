"""Builds what stands in for a GPU: a driver, and kernels of CUDA C as code of this processor.

Run as a program it also builds PyCUDA against the CUDA toolkit at hand and installs it here. What
is built is kept in the user's cache.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_cache_path

PYCUDA = "2026.1"
HERE = Path(__file__).parent
CACHE = user_cache_path("flowc") / "stand-in"
# A GPU rounds each product where the text does not say otherwise, and integers wrap around.
FLAGS = (
    "-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-ffp-contract=off", "-fwrapv",
    "-fno-gnu-unique", "-march=native")
# The extension must be linked with a driver in which it finds a symbol, or it will not ask for
# one when it is loaded.
EMPTY_DRIVER = "int cuInit(unsigned flags) { return 100; }"
SITE = """\
USE_SHIPPED_BOOST = True
CUDA_ROOT = {root!r}
CUDA_INC_DIR = [{include!r}]
CUDA_ENABLE_CURAND = False
CUDADRV_LIB_DIR = [{driver!r}]
CXXFLAGS = ["-O1", "-g0", "-w"]
"""


class StandInCompiler:
    """Kernels as functions of this processor: the threads of a block are fibers."""

    def __init__(self) -> None:
        self.version = _run(["g++", "--version"]) + _digest(HERE / "threads.h")

    def compile(self, text: str, arch: str) -> bytes:
        names = re.findall(r"__global__ void __launch_bounds__\(\d+\) (\w+)", text)
        exported = "\n".join(f"STAND_IN_KERNEL({name})" for name in names)
        with TemporaryDirectory() as folder:
            source, target = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
            source.write_text(f'#include "threads.h"\n#line 1\n{text}{exported}\n')
            _run(["g++", *FLAGS, f"-I{HERE}", "-o", str(target), str(source)])
            return target.read_bytes()


def driver() -> Path:
    """The library, which is to be loaded before PyCUDA."""
    extension = next(Path(_pycuda()).glob("_driver*.so"))
    sources = [HERE / "driver.cpp", HERE / "machine.h", extension]
    folder = CACHE / _digest(*sources)
    if not (folder / "libcuda.so.1").exists():
        with TemporaryDirectory(dir=_made(CACHE)) as work:
            _build_driver(Path(work), extension)
            shutil.copytree(work, folder, dirs_exist_ok=True)
    return folder / "libcuda.so.1"


@cache
def load_driver() -> ctypes.CDLL:
    """Whoever asks for a `libcuda.so.1` in this process is given this one from then on."""
    return ctypes.CDLL(str(driver()), ctypes.RTLD_GLOBAL)


def _build_driver(folder: Path, extension: Path) -> None:
    """Calls that PyCUDA knows, and flowc does not make, answer that they are not supported."""
    ours = set(re.findall(r"^API (cu\w+)", (HERE / "driver.cpp").read_text(), re.MULTILINE))
    asked = _run(["nm", "-D", "--undefined-only", str(extension)])
    others = sorted(set(re.findall(r" (cu[A-Z]\w*)", asked)) - ours)
    rest = folder / "rest.c"
    rest.write_text("".join(f"int {name}(void) {{ return 801; }}\n" for name in others))
    rest_object = str(folder / "rest.o")
    _run(["gcc", "-c", "-fPIC", "-w", "-o", rest_object, str(rest)])
    _run(["g++", *FLAGS, f"-I{toolkit() / 'include'}", str(HERE / "driver.cpp"), rest_object,
          "-ldl", "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so.1")])  # fmt: skip


def toolkit() -> Path:
    """The folder of the CUDA toolkit. What is called `nvcc` may be a script that calls it."""
    said = subprocess.run(
        ["nvcc", "--dryrun", "-c", "none.cu"], capture_output=True, text=True).stderr
    found = re.search(r"^#\$ _HERE_=(.*)$", said, re.MULTILINE)
    if found is None:
        raise SystemExit("nvcc does not say where it is")
    return Path(found[1]).parent


def install_pycuda() -> None:
    """Into the Python that runs this, from a wheel that is built once."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheels = _made(CACHE / "wheels")
    if not list(wheels.glob(f"pycuda-{PYCUDA}-{python}-*.whl")):
        with TemporaryDirectory() as work:
            _build_pycuda(Path(work), wheels)
    (wheel,) = wheels.glob(f"pycuda-{PYCUDA}-{python}-*.whl")
    _pip("install", "--quiet", str(wheel))


def _build_pycuda(folder: Path, wheels: Path) -> None:
    _pip("download", "--quiet", "--no-deps", "--no-binary", "pycuda", "--dest", str(folder),
         f"pycuda=={PYCUDA}")  # fmt: skip
    with tarfile.open(folder / f"pycuda-{PYCUDA}.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    (folder / "driver.c").write_text(EMPTY_DRIVER)
    _run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so"),
          str(folder / "driver.c")])  # fmt: skip
    source, root = folder / f"pycuda-{PYCUDA}", toolkit()
    (source / "siteconf.py").write_text(
        SITE.format(root=str(root), include=str(root / "include"), driver=str(folder)))
    _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(source))


def _pycuda() -> str:
    import pycuda

    return os.path.dirname(pycuda.__file__)


def _pip(*arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:32]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    install_pycuda()
    print(driver())
