"""The CUDA backend without a GPU: what it writes, in which order it goes, and what it misses."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from flowc_runtime.backend import device_of, require_on_host
from flowc_runtime.cuda import compile
from flowc_runtime.cuda.compile import find_compiler
from flowc_runtime.cuda.driver import open_driver
from flowc_runtime.cuda.kernels import launches_of
from flowc_runtime.cuda.schedule import Turn, schedule
from flowc_runtime.cuda.text import number
from flowc_runtime.device import BackendError
from flowc_runtime.plan import Buffer, Instruction, Program
from flowc_runtime.types import TensorType, parse_type


def buffers(*types: str) -> list[Buffer]:
    """One behind the other in the arena."""
    found, end = [], 0
    for type in map(parse_type, types):
        found.append(Buffer("arena", end, type))
        end += 16384
    return found


# --- text ----------------------------------------------------------------------------------------


def test_a_kernel_of_elements_is_text_that_can_be_read() -> None:
    lines = ("t0 = mul(i0, 0.5)", "o0 = add(t0, i1)")
    add = Instruction("fused", (0, 1), (2,), {"lines": lines, "shape": (3, 4)})
    (launch,) = launches_of(add, buffers("f32[3, 4]", "f32[4]", "f32[3, 4]")) or ()
    assert launch.blocks == 1
    assert launch.kernel.text("k0") == """\
extern "C" __global__ void __launch_bounds__(256) k0(float* I0, float* I1, float* O0)
{
    const unsigned at = blockIdx.x * 256u + threadIdx.x;
    if (at >= 12u) return;
    const unsigned a1 = at % 4;
    const unsigned a0 = at / 4;
    const float i0 = I0[a0 * 4 + a1];
    const float i1 = I1[a1];
    const float t0 = i0 * 0.5f;
    const float o0 = t0 + i1;
    O0[at] = o0;
}"""


def test_rows_are_summed_by_lanes_and_written_by_one_of_them() -> None:
    total = Instruction("reduce_sum", (0,), (1,), {"axes": (1,), "keep": False})
    (launch,) = launches_of(total, buffers("f32[100, 20]", "f32[100]")) or ()
    text = launch.kernel.text("k0")
    assert (launch.blocks, launch.kernel.threads) == (25, 128)  # four rows of 32 lanes each
    assert "o0 = row_sum_f32_32(o0);" in text
    assert "if (live && lane == 0) O0[a0] = o0;" in text


def test_instructions_that_are_alike_have_one_kernel() -> None:
    places = buffers("f32[8]", "f32[8]", "f32[8]")
    first, second = (launches_of(Instruction("exp", (k,), (2,), {}), places) for k in (0, 1))
    assert first is not None and second is not None
    assert first[0].kernel == second[0].kernel and first[0].places != second[0].places


@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [("f32", 0.1, "0.1f"), ("f32", 3, "3.0f"), ("f64", 0.1, "0.1"), ("bool", True, "true"),
     ("i32", -2, "-2"), ("i64", 7, "7LL"), ("f32", float("-inf"), "__int_as_float(0xff800000)")])
def test_numbers_have_the_dtype_of_their_line(dtype: str, value: float, text: str) -> None:
    assert number(dtype, value) == text


def test_what_has_no_kernel_is_left_to_numpy() -> None:
    places = buffers("f32[0, 4]", "f16[4]", "i32[4]", "i32[4]")
    assert launches_of(Instruction("exp", (0,), (0,), {}), places) is None  # nothing to do
    assert launches_of(Instruction("exp", (1,), (1,), {}), places) is None
    assert launches_of(Instruction("pow", (2, 3), (3,), {}), places) is None
    assert launches_of(Instruction("argsort", (2,), (3,), {"axis": 0}), places) is None


def test_a_result_in_the_place_of_an_operand_that_others_read_is_left_to_numpy() -> None:
    """Of a row that is added to each row, some thread would read what another has written."""
    row, rows = (Buffer("arena", 0, parse_type(t)) for t in ("f32[4]", "f32[3, 4]"))
    add = Instruction("fused", (0,), (1,), {"lines": ("o0 = neg(i0)",), "shape": (3, 4)})
    assert launches_of(add, [row, rows]) is None


# --- order ---------------------------------------------------------------------------------------


def turns(*instructions: tuple[Sequence[int], Sequence[int]], lanes: int = 2) -> list[Turn]:
    """Of instructions by their operands and results, over buffers that do not meet."""
    places = [Buffer("arena", 64 * k, TensorType("f32", (4,))) for k in range(9)]
    listed = tuple(Instruction("exp", tuple(r), tuple(w), {}) for r, w in instructions)
    return list(schedule(Program("p", {}, tuple(places), (), (), listed, 0, 0), lanes))


def test_a_chain_stays_in_its_lane() -> None:
    assert turns(([0], [1]), ([1], [2]), ([2], [3])) == [Turn(0, ())] * 3


def test_what_needs_nothing_of_the_others_goes_beside_them() -> None:
    assert turns(([0], [1]), ([2], [3])) == [Turn(0, ()), Turn(1, ())]


def test_a_second_reader_goes_beside_the_first_and_waits_for_what_it_reads() -> None:
    assert turns(([0], [1]), ([1], [2]), ([1], [3])) == [Turn(0, ()), Turn(0, ()), Turn(1, (0,))]


def test_who_reads_of_both_lanes_waits_for_the_other_once() -> None:
    both = turns(([0], [1]), ([2], [3]), ([1, 3], [4]), ([4, 1], [5]))
    assert both == [Turn(0, ()), Turn(1, ()), Turn(1, (0,)), Turn(1, ())]


def test_who_overwrites_waits_for_the_readers() -> None:
    assert turns(([0], [1]), ([2], [3]), ([4], [0]), lanes=3)[2] == Turn(0, ())
    assert turns(([0], [1]), ([0], [2]), ([3], [0]))[2] == Turn(1, (0,))


def test_scratch_is_nobody_elses_while_it_is_used() -> None:
    place = Buffer("arena", 0, TensorType("f32", (4,)))
    other = Buffer("arena", 64, TensorType("f32", (4,)))
    with_scratch = Instruction("exp", (1,), (1,), {}, scratch_offset=0, scratch_bytes=16)
    program = Program(
        "p", {}, (place, other), (), (), (Instruction("exp", (0,), (0,), {}), with_scratch), 0, 0)
    assert schedule(program, 2) == (Turn(0, ()), Turn(0, ()))


# --- what is missing -----------------------------------------------------------------------------


class Broken(MetaPathFinder):
    """An extension that does not load."""

    def __init__(self, why: str):
        self._why = why

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pycuda.driver":
            raise ImportError(self._why)
        return None


@pytest.fixture
def pycuda(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package whose driver is not yet there."""
    package = ModuleType("pycuda")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.delitem(sys.modules, "pycuda.driver", raising=False)
    return package


def refusal() -> BackendError:
    with pytest.raises(BackendError) as refused:
        open_driver()
    assert refused.value.help
    return refused.value


def test_without_pycuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    refused = refusal()
    assert refused.code == "cuda-missing" and "`pycuda`" in refused.message
    assert refused.help == "pip install 'flowc[cuda]'"


@pytest.mark.parametrize(
    ("why", "said"),
    [("libcuda.so.1: cannot open shared object file", "cannot be loaded"),
     ("_driver.so: undefined symbol: cuCtxCreate_v4", "older than the CUDA")])
def test_without_a_driver_or_with_an_old_one(
    why: str, said: str, pycuda: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [Broken(why), *sys.meta_path])
    refused = refusal()
    assert refused.code == "cuda-driver" and said in refused.message and why in refused.message


class Driver(ModuleType):
    """PyCUDA's module, on a machine with so many GPUs."""

    class Error(Exception):
        pass

    def __init__(self, devices: int):
        super().__init__("pycuda.driver")
        self._devices = devices
        self.Device = self

    def init(self) -> None:
        if self._devices < 0:
            raise self.Error("cuInit failed: no CUDA-capable device is detected")

    def count(self) -> int:
        return self._devices


@pytest.mark.parametrize(
    ("devices", "said"), [(-1, "no CUDA-capable device is detected"), (0, "the driver finds none")])
def test_without_a_gpu(
    devices: int, said: str, pycuda: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycuda.driver", Driver(devices))
    refused = refusal()
    assert refused.code == "cuda-device" and said in refused.message


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile, "_nvrtc_names", lambda: ["libnvrtc.so.0"])
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackendError) as refused:
        find_compiler()
    assert refused.value.code == "cuda-compiler"


def test_shards_are_not_for_it() -> None:
    require_on_host("native", "shards are computed")
    with pytest.raises(BackendError, match="numpy or native, not yet with cuda"):
        require_on_host("cuda", "shards are computed")


def test_what_has_kernels_can_be_told_without_a_gpu() -> None:
    program = Program("p", {}, tuple(buffers("f32[4]", "f32[4]")), (), (),
                      (Instruction("exp", (0,), (1,), {}),), 32768, 0)  # fmt: skip
    assert device_of("cuda").runs_on(program) == ("cuda",)
