"""Random tensors by counter: every value is a function of (seed, stream, step, position) alone.

The bits are those of Philox4x64-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
as 1, 2, 3", 2011), which NumPy implements. Words are 64-bit unsigned, counters are written least
significant word first; negative seeds and steps are taken modulo 2^64:

    key = (seed, stream)
    block k = philox4x64_10(counter = (1 + k, 0, 0, step), key),  four words
    word j = block j // 4, lane j % 4

Uniform values in [0, 1), at position i in row-major order:

    f64: (word i >> 11) * 2^-53
    f32: (half i >> 8) * 2^-24, where halves 2*j and 2*j + 1 are the low and high 32 bits of word j

Normal values, from pairs of f64 uniforms u (Box and Muller, 1958), computed in f64 and rounded:

    value 2*k     = sqrt(-2 * log(1 - u[2*k])) * cos(2 * pi * u[2*k + 1])
    value 2*k + 1 = sqrt(-2 * log(1 - u[2*k])) * sin(2 * pi * u[2*k + 1])
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc_runtime.ops.cost import TRANSCENDENTAL_FLOPS, per_result_element
from flowc_runtime.ops.op import Array, Attr, Attrs, Op, Reject, Sample, Types
from flowc_runtime.ops.scratch import Part, carve, scratch_size
from flowc_runtime.types import TensorType

PHILOX_ROUNDS = 10
PHILOX_FACTORS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
PHILOX_STEPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B  # of the keys, from round to round
BLOCK_PAIRS = 8192  # of normal values at a time: the temporaries stay in a cache of 512 KiB
WORD = 1 << 64
DTYPES = ("f32", "f64")

_ATTRS = (
    Attr("shape", "shape of the result"),
    Attr("dtype", "f32 or f64"),
    Attr("stream", "which of the independent streams of the seed, 0 to 2^64 - 1"),
)
_SCALAR = TensorType("i64")


def stream_of(path: str) -> int:
    """The stream that belongs to a name path: 63 bits of its sha256, so that none is negative."""
    digest = hashlib.sha256(path.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, stream: int, step: int) -> np.random.Generator:
    """The words of the module's definition, from word 0 on."""
    key = np.array([seed % WORD, stream % WORD], np.uint64)
    counter = np.array([0, 0, 0, step % WORD], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _infer(types: Types, attrs: Attrs) -> Types:
    for operand, type in enumerate(types):
        if type != _SCALAR:
            raise Reject(f"needs the type {_SCALAR}, but is {type}", operand)
    if attrs["dtype"] not in DTYPES:
        raise Reject(f"random values are {' or '.join(DTYPES)}, not {attrs['dtype']}")
    stream = attrs["stream"]
    if not isinstance(stream, int) or not 0 <= stream < WORD:
        raise Reject(f"needs a stream from 0 to 2^64 - 1, not {stream}")
    return (TensorType(attrs["dtype"], tuple(attrs["shape"])),)


def _start(ins: Sequence[Array], attrs: Attrs) -> np.random.Generator:
    seed, step = ins
    return generator(int(seed), attrs["stream"], int(step))


def _uniform(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    (out,) = outs
    values: Any = out.reshape(-1)
    _start(ins, attrs).random(out=values, dtype=out.dtype)


def _normal(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    values = outs[0].reshape(-1)
    words = _start(ins, attrs)
    uniforms, radius, angle = carve(scratch, _parts(values.size))
    for start in range(0, values.size, 2 * BLOCK_PAIRS):
        block = values[start : start + 2 * BLOCK_PAIRS]
        pairs = (block.size + 1) // 2
        words.random(out=uniforms[: 2 * pairs])
        _box_muller(block, uniforms[: 2 * pairs], radius[:pairs], angle[:pairs])


def _box_muller(out: Array, uniforms: Array, radius: Array, angle: Array) -> None:
    """Normal values into `out`; the last of an odd number leaves its partner unused."""
    np.subtract(1, uniforms[::2], out=radius)  # 1 - u is never 0, where u may be
    np.log(radius, out=radius)
    np.multiply(radius, -2, out=radius)
    np.sqrt(radius, out=radius)
    np.multiply(uniforms[1::2], 2 * np.pi, out=angle)
    cosine, sine = np.split(uniforms, 2)  # over the uniforms, which are used up
    np.cos(angle, out=cosine)
    np.sin(angle, out=sine)
    np.multiply(radius, cosine, out=out[::2], casting="same_kind")
    odd = out.size // 2
    np.multiply(radius[:odd], sine[:odd], out=out[1::2], casting="same_kind")


def _parts(size: int) -> tuple[Part, ...]:
    pairs = min(BLOCK_PAIRS, (size + 1) // 2)
    dtype: np.dtype = np.dtype(np.float64)
    return Part((2 * pairs,), dtype), Part((pairs,), dtype), Part((pairs,), dtype)


def _scratch_normal(types: Types, results: Types, attrs: Attrs) -> int:
    return scratch_size(_parts(int(np.prod(results[0].sizes))))


def _sample(shape: tuple[int, ...], dtype: str, stream: int, seed: int, step: int) -> Sample:
    attrs = {"shape": shape, "dtype": dtype, "stream": stream}
    return Sample(("i64[]", "i64[]"), attrs, values={0: seed, 1: step})


_SAMPLES = (
    _sample((3, 5), "f32", 0, seed=0, step=0),
    _sample((17,), "f64", stream_of("model.dropout"), seed=42, step=7),
    _sample((), "f32", 1, seed=-1, step=1 << 40),
    _sample((2, 0), "f32", 1, seed=3, step=1),
)
_OPERANDS = """`seed` and `step` are i64 scalars. A value depends on them, on `stream` and on its
position in the tensor, and on nothing else: it is the same in every run and after a resume."""

random_uniform = Op(
    name="random_uniform",
    doc=f"""Values uniform in [0, 1): `(bits >> 8) * 2^-24` of 32 random bits for f32,
`(bits >> 11) * 2^-53` of 64 for f64, from Philox4x64-10 with the key (seed, stream) and the counter
(1 + block, 0, 0, step).

{_OPERANDS} It has no derivative.""",
    operands=("seed", "step"),
    infer=_infer,
    kernel=_uniform,
    attrs=_ATTRS,
    cost=per_result_element(TRANSCENDENTAL_FLOPS),
    samples=_SAMPLES,
)

random_normal = Op(
    name="random_normal",
    doc=f"""Values of the standard normal distribution (mean 0, variance 1), by Box and Muller:
`sqrt(-2 * log(1 - u)) * cos(2*pi*v)` and the same with `sin`, for each two values `u, v` that
`random_uniform` gives in f64. Both dtypes are computed in f64 and then rounded; the largest value
possible is 8.6.

{_OPERANDS} It has no derivative.""",
    operands=("seed", "step"),
    infer=_infer,
    kernel=_normal,
    attrs=_ATTRS,
    cost=per_result_element(3 * TRANSCENDENTAL_FLOPS),
    scratch_bytes=_scratch_normal,
    samples=_SAMPLES,
)

OPS = (random_uniform, random_normal)
