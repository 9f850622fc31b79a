"""Machine code computes what NumPy does: random kernels, functions at their edges, kept objects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_runs import Way, by_numpy, natively, share_all
from programs import fused
from test_fused import kernels, made_up

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output
from flowc_runtime.types import TensorType

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from flowc_runtime import kept

TESTS = Path(__file__).parents[1]
HOLES = """
import ctypes, mmap
import numpy as np
from flowc.graph.builder import Builder
from flowc.graph.graph import Output
from flowc_runtime.types import parse_type
from native_runs import run_on
b = Builder()
x = value = b.input("x", parse_type("f32[1000]"))
for op in 4 * ("tanh", "exp", "log1p"):
    value = b(op, value)
graph = b.finish([Output("y", value.ref)])
inputs = {"x": np.linspace(0.1, 1, 1000, dtype=np.float32)}
wanted = run_on(1, graph, inputs)["y"]  # compiled, and kept
libc, wall_bytes = ctypes.CDLL(None), 1 << 33
libc.mmap.restype = ctypes.c_void_p
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
reserve = lambda size: libc.mmap(None, ctypes.c_size_t(size), 0, 0x4022, -1, 0)
wall = reserve(wall_bytes)
while reserve(mmap.PAGESIZE) > wall:
    pass
libc.munmap(wall + wall_bytes - mmap.PAGESIZE, mmap.PAGESIZE)
assert (run_on(1, graph, inputs)["y"] == wanted).all()
"""

SIZES = (1, 2, 3, 5, 16, 17, 70)  # shorter than a vector, ragged, longer than several
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3.4e38, -3.4e38, 1e-8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone."""
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path)
    share_all(monkeypatch)
    return tmp_path / "kernels"


@settings(max_examples=150, deadline=None)
@given(graph=kernels(SIZES), seed=st.integers(0, 9))
def check_random_kernel(graph: Graph, seed: int) -> None:
    inputs = made_up(graph, seed)
    found, wanted = natively(graph, inputs), by_numpy(graph, inputs)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-6, err_msg=name)


def test_any_kernel_is_what_numpy_computes() -> None:
    check_random_kernel()


def values(lines: tuple[str, ...], *operands: np.ndarray, run: Way) -> list:
    b = Builder()
    dtypes = {"float32": "f32", "float64": "f64", "bool": "bool", "int32": "i32", "uint8": "u8"}
    types = [TensorType(dtypes[str(a.dtype)], a.shape) for a in operands]
    given = [b.input(f"x{k}", t) for k, t in enumerate(types)]
    results = fused(b, lines, *given, shape=np.broadcast_shapes(*(a.shape for a in operands)))
    graph = b.finish([Output(f"y{k}", v.ref) for k, v in enumerate(results)])
    found = run(graph, {f"x{k}": a for k, a in enumerate(operands)})
    return [found[f"y{k}"] for k in range(len(results))]


def units_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Floats between them, of those that are finite and of one sign."""
    finite = np.isfinite(a) & np.isfinite(b) & (np.sign(a) == np.sign(b))
    return np.abs(a[finite].view(np.int32).astype(int) - b[finite].view(np.int32).astype(int))


@pytest.mark.parametrize(
    ("op", "exact", "low", "high"),
    [("exp", np.exp, -90, 88.7), ("log", np.log, 1e-38, 1e38), ("log1p", np.log1p, -0.999, 1e6),
     ("tanh", np.tanh, -12, 12), ("sin", np.sin, -100, 100), ("cos", np.cos, -100, 100)])
def test_functions_are_within_units_of_the_last_place(
    op: str, exact: Callable[[np.ndarray], np.ndarray], low: float, high: float
) -> None:
    rng = np.random.default_rng(1)
    near, far = rng.uniform(max(low, -1.5), min(high, 1.5), 50_000), rng.uniform(low, high, 50_000)
    x = np.concatenate([near, far]).astype(np.float32)
    (found,) = values((f"o0 = {op}(i0)",), x, run=natively)
    wanted = exact(x.astype(np.float64)).astype(np.float32)
    assert units_apart(found, wanted).max() <= 4


def test_powers_are_within_units_of_the_last_place() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.01, 20, 10_000), rng.uniform(-8, 8, 10_000)
    x, y = x.astype(np.float32), y.astype(np.float32)
    (found,) = values(("o0 = pow(i0, i1)",), x, y, run=natively)
    assert units_apart(found, np.power(x.astype(float), y).astype(np.float32)).max() <= 4


@pytest.mark.parametrize(
    "op", ["exp", "log", "log1p", "tanh", "sin", "cos", "sqrt", "abs", "sign", "round"])
@pytest.mark.parametrize("count", [1, len(SPECIAL), 100])
def test_special_numbers_give_what_ieee_says(op: str, count: int) -> None:
    x = np.resize(np.array(SPECIAL, np.float32), count)
    (found,) = values((f"o0 = {op}(i0)",), x, run=natively)
    (wanted,) = values((f"o0 = {op}(i0)",), x, run=by_numpy)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("count", [1, len(SPECIAL), 100])
def test_the_power_of_a_half_is_the_root(count: int) -> None:
    """Of -inf that is NaN, of -0.0 itself."""
    x = np.resize(np.array(SPECIAL, np.float32), count)
    (found,) = values(("o0 = pow(i0, 0.5)",), x, run=natively)
    (wanted,) = values(("o0 = pow(i0, 0.5)",), x, run=by_numpy)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found[wanted == 0]), np.signbit(wanted[wanted == 0]))


@pytest.mark.parametrize("op", ["tanh", "sin", "log1p", "sqrt"])
@pytest.mark.parametrize("count", [1, 40])
def test_odd_functions_keep_the_sign_of_zero(op: str, count: int) -> None:
    (found,) = values(
        (f"o0 = {op}(i0)",), np.full(count, -0.0, np.float32), run=natively)
    assert (found == 0).all() and np.signbit(found).all()


def test_a_number_does_not_depend_on_where_it_stands() -> None:
    """In a vector or in the ragged end of a row: the same bits."""
    x = np.full((3, 37), 0.7371, np.float32)
    lines = ("t0 = exp(i0)", "t1 = tanh(t0)", "o0 = log(t1)")
    (found,) = values(lines, x, run=natively)
    assert len(np.unique(found)) == 1


def test_a_row_is_reduced_alike_however_many_there_are() -> None:
    rows = np.random.default_rng(3).normal(size=(9, 1003)).astype(np.float32)
    lines = ("t0 = row_max(i0)", "t1 = sub(i0, t0)", "t2 = exp(t1)", "t3 = row_sum(t2)",
             "o0 = div(t2, t3)")  # fmt: skip
    (all_rows,) = values(lines, rows, run=natively)
    for k, row in enumerate(rows):
        (alone,) = values(lines, row[None], run=natively)
        np.testing.assert_array_equal(alone[0], all_rows[k])


@pytest.mark.parametrize("shape", [(9001,), (3, 5001), (2, 3, 4096)])
def test_a_long_row_is_cut_where_its_elements_do_not_belong_together(
    shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(4)
    x, row = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[-1:])
    lines = ("t0 = tanh(i0)", "o0 = mul(t0, i1)", "o1 = sub(i0, i2)")
    given = x, row.astype(np.float32), np.ones((), np.float32)
    found, wanted = (values(lines, *given, run=way) for way in (natively, by_numpy))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_other_dtypes() -> None:
    counts = np.arange(-40, 41, dtype=np.int32)
    lines = ("t0 = greater(i0, 3)", "t1 = where(t0, i0, 7)", "t2 = cast(t1, {dtype=f32})",
             "o0 = mul(t2, 0.1)", "o1 = logical_not(t0)")  # fmt: skip
    found, wanted = (values(lines, counts, run=way) for way in (natively, by_numpy))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 128)
    lines = ("t0 = cast(i0, {dtype=f32})", "o0 = div(t0, 255.0)")
    found, wanted = (values(lines, pixels, run=way) for way in (natively, by_numpy))
    np.testing.assert_array_equal(found[0], wanted[0])


def test_machine_code_is_kept_and_a_damaged_file_is_not_run(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.linspace(-1, 1, 41, dtype=np.float32)
    lines = ("o0 = tanh(i0)",)
    (first,) = values(lines, x, run=natively)
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o077 == 0 and cache.stat().st_mode & 0o022 == 0
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (again,) = values(lines, x, run=natively)
    np.testing.assert_array_equal(again, first)
    assert kept.read_bytes() == whole
    kept.chmod(0o666)  # others could have written it
    values(lines, x, run=natively)
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="holes are made as Linux has it")
def test_code_runs_wherever_its_parts_lie(tmp_path: Path) -> None:
    """In an address space where what is small fits into a hole, and what is larger gigabytes away.
    """
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", HOLES], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_cache_it_runs_too(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    (found,) = values(("o0 = neg(i0)",), np.ones(3, np.float32), run=natively)
    np.testing.assert_array_equal(found, -np.ones(3))


def test_a_row_s_value_is_stored_wide_after_what_its_place_held_was_read() -> None:
    """The second result is one number a row, stored for each element where the first operand was.
    """
    wide, narrow = TensorType("f32", (2, 5)), TensorType("f32", (2, 1))
    b = Builder()
    operands = [b("neg", b.input(f"x{k}", t)) for k, t in enumerate((wide, narrow))]
    attrs = {"lines": ("t0 = exp(i0)", "o0 = row_sum(t0)", "o1 = neg(i1)"), "shape": (2, 5)}
    results = b.append("fused", tuple(v.ref for v in operands), attrs, (narrow, wide))
    graph = b.finish([Output(f"y{k}", v.ref) for k, v in enumerate(results)])
    inputs = {"x0": np.arange(10, dtype=np.float32).reshape(2, 5) / 8, "x1": np.ones((2, 1), "f")}
    found, wanted = natively(graph, inputs), by_numpy(graph, inputs)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)
