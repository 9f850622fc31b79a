"""From CUDA C to machine code of a GPU: by NVRTC where it is found, otherwise by nvcc."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from flowc_runtime.device import BackendError
from flowc_runtime.kept import kept_code

# NumPy rounds every product; what is to be added to one without rounding says so in the text.
FLAGS = ("-fmad=false", "-std=c++17")
NVRTC = tuple(f"libnvrtc.so.{version}" for version in (13, 12))


class CompileError(Exception):
    """A kernel of ours does not compile: a bug of flowc."""


class Compiler(Protocol):
    @property
    def version(self) -> str:
        """All that its code depends on but the text and the GPU."""
        ...

    def compile(self, text: str, arch: str) -> bytes:
        """What the driver loads as a module; raises CompileError."""
        ...


def code_of(text: str, arch: str, compiler: Compiler) -> bytes:
    """Machine code, kept for the next process."""
    key = "\n".join([compiler.version, arch, *FLAGS])
    return kept_code(text, key, "cubin", lambda text: compiler.compile(text, arch))


def find_compiler() -> Compiler:
    """Raises BackendError."""
    for name in _nvrtc_names():
        try:
            return Nvrtc(name)
        except OSError:
            continue
    if (nvcc := shutil.which("nvcc")) is not None:
        return Nvcc(nvcc)
    raise BackendError(
        "cuda-compiler", "there is no compiler of kernels: neither NVRTC nor nvcc",
        "pip install nvidia-cuda-nvrtc, or put the nvcc of a CUDA toolkit on the PATH")


def _nvrtc_names() -> list[str]:
    """Where the loader finds it, and where NVIDIA's packages put it."""
    folders = [Path(folder) / "nvidia" for folder in sys.path]
    installed = [
        str(path) for folder in folders for name in NVRTC for path in folder.glob(f"*/lib/{name}")]
    return [*NVRTC, *installed]


class Nvcc:
    """The compiler of the CUDA toolkit."""

    def __init__(self, path: str):
        self._path = path
        self.version = self._run(["--version"]).stdout

    def compile(self, text: str, arch: str) -> bytes:
        with TemporaryDirectory() as folder:
            source, target = Path(folder) / "kernels.cu", Path(folder) / "kernels.cubin"
            source.write_text(text)
            done = self._run(
                ["-cubin", f"-arch={arch}", *FLAGS, "-w", "-o", str(target), str(source)])
            if done.returncode:
                raise CompileError(done.stderr)
            return target.read_bytes()

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self._path, *arguments], capture_output=True, text=True)


class Nvrtc:
    """The compiler as a library; OSError where it cannot be loaded."""

    def __init__(self, name: str):
        for part in Path(name).parent.glob("libnvrtc-builtins.so*") if "/" in name else ():
            ctypes.CDLL(str(part), ctypes.RTLD_GLOBAL)  # it does not look for it beside itself
        self._library = ctypes.CDLL(name)
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = f"nvrtc {major.value}.{minor.value}"

    def compile(self, text: str, arch: str) -> bytes:
        program = ctypes.c_void_p()
        created = (ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
        self._call("nvrtcCreateProgram", *created)
        try:
            options = [option.encode() for option in (f"-arch={arch}", *FLAGS)]
            listed = (ctypes.c_char_p * len(options))(*options)
            if self._library.nvrtcCompileProgram(program, len(options), listed):
                raise CompileError(self._read(program, "nvrtcGetProgramLog").decode())
            return self._read(program, "nvrtcGetCUBIN")
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _read(self, program: ctypes.c_void_p, name: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"{name}Size", program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        self._call(name, program, content)
        return content.raw

    def _call(self, name: str, *args: object) -> None:
        if code := getattr(self._library, name)(*args):
            raise CompileError(f"{name} answers {code}")
