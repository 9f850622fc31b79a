"""What `flowc doctor` looks at: each check is a function that finds one thing and says it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from flowc import __version__
from flowc_runtime.cores import usable_cores

Level = Literal["OK", "INFO", "WARN", "FAIL"]

OLDEST_PYTHON = (3, 11)
CORE = ("click", "lark", "numpy", "platformdirs", "rich", "ruamel.yaml", "safetensors",
        "tensorboardX")  # fmt: skip
LITTLE_DISK_BYTES = 10**9
LITTLE_MEMORY_BYTES = 10**9
GPU_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
GPU_SECONDS = 10


@dataclass(frozen=True)
class Finding:
    """One line of the report; `fix` says what to do about it."""

    level: Level
    name: str
    text: str
    fix: str = ""


def python() -> Finding:
    text = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("FAIL", "Python", text, "flowc needs Python 3.11 or later")
    return Finding("OK", "Python", text)


def installation() -> Finding:
    return Finding("OK", "flowc", f"{__version__} ({Path(__file__).parent.parent})")


def packages() -> Finding:
    found = {name: _version(name) for name in CORE}
    missing = [name for name, number in found.items() if number is None]
    if missing:
        fix = "install flowc again: pip install --force-reinstall flowc"
        return Finding("FAIL", "packages", f"{', '.join(missing)}: not installed", fix)
    return Finding("OK", "packages", ", ".join(f"{n} {number}" for n, number in found.items()))


def blas() -> Finding:
    """The BLAS decides how fast matrix products are."""
    from flowc_runtime.threads import blas as find

    found = find()
    text = f"{found.name} {found.version}".strip()
    if not found.controlled:
        fix = "set OMP_NUM_THREADS before the start to choose the number of threads"
        return Finding("WARN", "BLAS", f"{text}, whose threads cannot be set", fix)
    return Finding("OK", "BLAS", f"{text}, up to {found.threads} threads")


def cores() -> Finding:
    limit = os.environ.get("OMP_NUM_THREADS")
    text = f"{usable_cores()} usable ({platform.machine()})"
    return Finding("OK", "cores", f"{text}, OMP_NUM_THREADS={limit}" if limit else text)


def memory() -> Finding:
    free, total = available_memory(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    text = f"{_gigabytes(free)} free of {_gigabytes(total)}"
    if free < LITTLE_MEMORY_BYTES:
        return Finding("WARN", "memory", text, "close something, or train with a smaller batch")
    return Finding("OK", "memory", text)


def available_memory() -> int:
    """Bytes that a process can still have; a container may allow less than the machine has."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdigit():
        free = min(free, max(0, int(limit[0]) - int(used[0])))
    return free


def disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{_gigabytes(free)} free in this folder"
    if free < LITTLE_DISK_BYTES:
        return Finding("WARN", "disk", text, "make room: checkpoints are written under runs/")
    return Finding("OK", "disk", text)


def folders() -> Finding:
    """Where downloads and crash reports go."""
    from platformdirs import user_cache_path, user_state_path

    cache = os.environ.get("FLOWC_CACHE_DIR")
    paths = [Path(cache) if cache else user_cache_path("flowc"), user_state_path("flowc")]
    locked = [str(path) for path in paths if not _writable(path)]
    if locked:
        fix = "set FLOWC_CACHE_DIR and XDG_STATE_HOME to folders that can be written to"
        return Finding("WARN", "folders", f"not writable: {', '.join(locked)}", fix)
    return Finding("OK", "folders", ", ".join(map(str, paths)))


def pillow() -> Finding:
    number = _version("pillow")
    if number is None:
        fix = 'pip install "flowc[images]"'
        return Finding("INFO", "images", "Pillow is not installed; `images(...)` needs it", fix)
    return Finding("OK", "images", f"Pillow {number}")


def gpu() -> Finding:
    cards = _cards()
    if not cards:
        return Finding("INFO", "GPU", "none found; models run on the CPU")
    return Finding("OK", "GPU", "; ".join(cards))


def pycuda() -> Finding:
    number = _version("pycuda")
    if number is not None:
        return _driver(number)
    if not _cards():
        return Finding("INFO", "pycuda", "not installed, and of no use without a GPU")
    fix = 'pip install "flowc[cuda]" (needs the CUDA toolkit)'
    return Finding("INFO", "pycuda", "not installed", fix)


def _driver(pycuda: str) -> Finding:
    from flowc_runtime.cuda.driver import open_driver
    from flowc_runtime.device import BackendError

    try:
        open_driver()
    except BackendError as missing:
        return Finding("INFO", "pycuda", f"{pycuda}, but {missing.message}", missing.help or "")
    return Finding("OK", "pycuda", pycuda)


CHECKS: tuple[Callable[[], Finding], ...] = (
    python, installation, packages, blas, cores, memory, disk, folders, pillow, gpu, pycuda,
)  # fmt: skip


def examine() -> list[Finding]:
    """Every check's finding; one that breaks is a finding too."""
    return [_finding(check) for check in CHECKS]


def _finding(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # a broken NumPy, say: that is what the doctor is called for
        return Finding("FAIL", check.__name__, f"{type(error).__name__}: {error}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cards() -> list[str]:
    """The NVIDIA cards, as their driver's own tool lists them."""
    if shutil.which(GPU_QUERY[0]) is None:
        return []
    try:
        answer = subprocess.run(
            GPU_QUERY, capture_output=True, text=True, timeout=GPU_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.splitlines()


def _writable(path: Path) -> bool:
    """Whether the folder can be written to, or made; nothing is made here."""
    nearest = next(p for p in (path, *path.parents) if p.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
