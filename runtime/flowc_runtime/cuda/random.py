"""Random numbers: the words that `ops/random.py` defines, a thread for each block of four."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from flowc_runtime.cuda.kernel import Kernel, Launch, each_element, own_element, parameters_of
from flowc_runtime.ops.random import PHILOX_FACTORS, PHILOX_ROUNDS, PHILOX_STEPS
from flowc_runtime.plan import Buffer, Instruction

PHILOX = f"""__device__ void philox(unsigned long long* word, unsigned long long key, \
unsigned long long stream)
{{
    for (int round = 0; round < {PHILOX_ROUNDS}; ++round) {{
        const unsigned long long m = {PHILOX_FACTORS[0]}ull, n = {PHILOX_FACTORS[1]}ull;
        const unsigned long long high = __umul64hi(m, word[0]), low = m * word[0];
        const unsigned long long other = __umul64hi(n, word[2]);
        word[0] = other ^ word[1] ^ key;
        word[1] = n * word[2];
        word[2] = high ^ word[3] ^ stream;
        word[3] = low;
        key += {PHILOX_STEPS[0]}ull;
        stream += {PHILOX_STEPS[1]}ull;
    }}
}}"""
UNIFORM_F32 = (
    "for (int n = 0; n < 8; ++n) {",
    "    const unsigned half = (unsigned)(word[n / 2] >> (n % 2 * 32));",
    "    if (at * 8 + n < {elements}u) O0[at * 8 + n] = (half >> 8) * 0x1p-24f;",
    "}",
)
UNIFORM_F64 = (
    "for (int n = 0; n < 4; ++n)",
    "    if (at * 4 + n < {elements}u) O0[at * 4 + n] = (word[n] >> 11) * 0x1p-53;",
)
NORMAL = (
    "for (int n = 0; n < 4; n += 2) {",
    "    const double u = (word[n] >> 11) * 0x1p-53, v = (word[n + 1] >> 11) * 0x1p-53;",
    "    const double radius = sqrt(log(1 - u) * -2), angle = v * 6.283185307179586;",
    "    if (at * 4 + n < {elements}u) O0[at * 4 + n] = radius * cos(angle);",
    "    if (at * 4 + n + 1 < {elements}u) O0[at * 4 + n + 1] = radius * sin(angle);",
    "}",
)


def random_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    seed, step = (buffers[k] for k in instruction.operands)
    result = buffers[instruction.results[0]]
    elements = prod(result.type.sizes)
    uniform = instruction.op == "random_uniform"
    each = 8 if uniform and result.type.dtype == "f32" else 4
    written = (UNIFORM_F32 if each == 8 else UNIFORM_F64) if uniform else NORMAL
    body = (
        *own_element(-(-elements // each)),
        "unsigned long long word[4] = {at + 1ull, 0, 0, (unsigned long long)I1[0]};",
        f"philox(word, (unsigned long long)I0[0], {instruction.attrs['stream']}ull);",
        *(line.replace("{elements}", str(elements)) for line in written),
    )
    kernel = Kernel(parameters_of([seed, step], [result]), body, helpers=(PHILOX,))
    return (Launch(kernel, (seed, step, result), each_element(-(-elements // each))),)
