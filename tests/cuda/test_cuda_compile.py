"""The kernels of all models compile for GPUs, and keep what they compute in registers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_cuda_models import plan_of
from zoo import models

from flowc_runtime.cuda.compile import FLAGS, CompileError, Nvcc, Nvrtc, find_compiler
from flowc_runtime.cuda.kernel import Kernel, module_text
from flowc_runtime.cuda.kernels import launches_of
from flowc_runtime.device import BackendError

ADDING = Kernel(
    (("I0", "f32"), ("O0", "f32")), ("O0[threadIdx.x] = I0[threadIdx.x] + expf(1.0f);",))


def kernels_of(model: str) -> list[Kernel]:
    """Of all its programs, each once."""
    return list(dict.fromkeys(
        launch.kernel for program in plan_of(model).programs.values()
        for i in program.instructions for launch in launches_of(i, program.buffers) or ()))


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("model", models())
def test_all_kernels_compile_without_spills(model: str, arch: str, tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc, which compiles for GPUs that are not there")
    source, kernels = tmp_path / "kernels.cu", kernels_of(model)
    source.write_text(module_text(kernels))
    done = subprocess.run(
        ["nvcc", "-cubin", f"-arch={arch}", *FLAGS, "-w", "-Xptxas=-v", "-o",
         str(tmp_path / "kernels.cubin"), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spilled = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert len(spilled) >= len(kernels) and set(spilled) == {("0", "0")}


def test_nvcc_makes_what_a_driver_loads() -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc")
    assert Nvcc(nvcc).compile(module_text([ADDING]), "sm_90").startswith(b"\x7fELF")
    with pytest.raises(CompileError, match="nothing"):
        Nvcc(nvcc).compile("nothing", "sm_90")


def test_nvrtc_makes_what_a_driver_loads() -> None:
    try:
        compiler = find_compiler()
    except BackendError as missing:
        pytest.skip(missing.message)
    if not isinstance(compiler, Nvrtc):
        pytest.skip("no NVRTC")
    assert compiler.compile(module_text([ADDING]), "sm_90").startswith(b"\x7fELF")
    with pytest.raises(CompileError, match="nothing"):
        compiler.compile("nothing", "sm_90")
