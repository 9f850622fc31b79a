"""Functions of f32 by polynomials, for any number of lanes.

Each is reduced to an interval where a short polynomial is within a unit in the last place of the
rounded value, with coefficients from Moshier's Cephes library (expf, logf), and put
together again. Infinite and NaN arguments give what IEEE says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowc_runtime.native.lanes import I32, Lanes, Value

LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # their sum is ln 2; the first has few bits
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
       5.0000001201e-1)  # fmt: skip
EXP_LOWEST, EXP_HIGHEST = -104.0, 89.0  # beyond them it is 0, and infinite
LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
       -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)  # fmt: skip
SQRT_HALF = 0.707106781186547524
SMALLEST_NORMAL, SCALE, SCALE_BITS = 1.17549435e-38, 8388608.0, 23
TANH_HIGHEST = 20.0  # of twice its argument: beyond it is 1
NO_FRACTIONS = 1.5 * 2**23


def exp(lanes: Lanes, x: Value) -> Value:
    """`2**n * exp(r)`, where r is at most half of ln 2."""
    b, number = lanes.b, _numbers(lanes)
    low = b.select(b.fcmp_ordered("<", x, number(EXP_LOWEST)), number(EXP_LOWEST), x)
    clipped = b.select(b.fcmp_ordered(">", low, number(EXP_HIGHEST)), number(EXP_HIGHEST), low)
    n, r = _reduced(lanes, clipped)
    near = _fma(lanes, _polynomial(lanes, EXP, r), b.fmul(r, r), b.fadd(r, number(1.0)))
    # In two steps, since 2**n alone may be no number.
    power = b.sub(n, lanes.bits(number(NO_FRACTIONS)))
    half = b.ashr(power, lanes.constant(I32, 1))
    scaled = b.fmul(near, _power_of_two(lanes, half))
    return b.fmul(scaled, _power_of_two(lanes, b.sub(power, half)))


def _reduced(lanes: Lanes, x: Value) -> tuple[Value, Value]:
    """x as `n ln 2 + r`: n in the lowest bits of a whole number, which begins at that of
    NO_FRACTIONS. Of NaN r is NaN, and n anything."""
    b, number = lanes.b, _numbers(lanes)
    # A number so large has no bits left for fractions: adding it rounds.
    shifted = _fma(lanes, x, number(LOG2_E), number(NO_FRACTIONS))
    n = b.fsub(shifted, number(NO_FRACTIONS))
    r = _fma(lanes, n, number(-LN2_HIGH), x)
    return lanes.bits(shifted), _fma(lanes, n, number(-LN2_LOW), r)


def log(lanes: Lanes, x: Value) -> Value:
    """`e ln 2 + log m`, where m is between the root of a half and that of 2."""
    b, number = lanes.b, _numbers(lanes)
    tiny = b.fcmp_ordered("<", x, number(SMALLEST_NORMAL))
    normal = b.select(tiny, b.fmul(x, number(SCALE)), x)
    bits = lanes.bits(normal)
    bias = b.select(tiny, lanes.constant(I32, 126 + SCALE_BITS), lanes.constant(I32, 126))
    exponent = b.sub(b.lshr(bits, lanes.constant(I32, 23)), bias)
    fraction = b.and_(bits, lanes.constant(I32, 0x007FFFFF))
    m = lanes.floats(b.or_(fraction, lanes.constant(I32, 0x3F000000)))  # from a half up to 1
    below = b.fcmp_ordered("<", m, number(SQRT_HALF))
    e = b.sitofp(b.sub(exponent, b.zext(below, lanes.of(I32))), lanes.type("f32"))
    f = b.fsub(b.select(below, b.fadd(m, m), m), number(1.0))
    square = b.fmul(f, f)
    tail = b.fmul(b.fmul(f, square), _polynomial(lanes, LOG, f))
    tail = _fma(lanes, e, number(LN2_LOW), tail)
    tail = _fma(lanes, square, number(-0.5), tail)
    found = _fma(lanes, e, number(LN2_HIGH), b.fadd(f, tail))
    infinite = b.fcmp_unordered("uge", x, number(float("inf")))  # and NaN: they stay
    found = b.select(infinite, x, found)
    found = b.select(b.fcmp_ordered("==", x, number(0.0)), number(float("-inf")), found)
    return b.select(b.fcmp_ordered("<", x, number(0.0)), number(float("nan")), found)


def log1p(lanes: Lanes, x: Value) -> Value:
    """The log of u = 1 + x, corrected for what rounding took from u (Kahan)."""
    b, number = lanes.b, _numbers(lanes)
    u = b.fadd(x, number(1.0))
    lost = b.fsub(u, number(1.0))
    corrected = b.fmul(log(lanes, u), b.fdiv(x, lost))
    nothing_added = b.fcmp_ordered("==", lost, number(0.0))
    far = b.fcmp_unordered("ueq", lost, x)  # nothing was lost, or both are infinite, or NaN
    return b.select(nothing_added, x, b.select(far, log(lanes, u), corrected))


def tanh(lanes: Lanes, x: Value) -> Value:
    """`e / (e + 2)` with the sign of x, where e is `exp(2 |x|) - 1`, which is exact near 0."""
    b, number = lanes.b, _numbers(lanes)
    size = lanes.call("llvm.fabs", "f32", x)
    twice = b.fadd(size, size)
    clipped = b.select(
        b.fcmp_ordered(">", twice, number(TANH_HIGHEST)), number(TANH_HIGHEST), twice)
    n, r = _reduced(lanes, clipped)
    near = _fma(lanes, _polynomial(lanes, EXP, r), b.fmul(r, r), r)
    power = _power_of_two(lanes, n)
    e = _fma(lanes, power, near, b.fsub(power, number(1.0)))
    found = b.fdiv(e, b.fadd(e, number(2.0)))
    return lanes.call("llvm.copysign", "f32", found, x)  # of -0 too


def _numbers(lanes: Lanes) -> Callable[[float], Value]:
    return lambda value: lanes.number("f32", value)


def _fma(lanes: Lanes, a: Value, b: Value, c: Value) -> Value:
    return lanes.call("llvm.fma", "f32", a, b, c)


def _polynomial(lanes: Lanes, coefficients: Sequence[float], x: Value) -> Value:
    """By Horner's rule, the highest power first."""
    first, *others = (lanes.number("f32", c) for c in coefficients)
    found = first
    for c in others:
        found = _fma(lanes, found, x, c)
    return found


def _power_of_two(lanes: Lanes, n: Value) -> Value:
    """For whole numbers between -126 and 127; higher bits than those of n do not matter."""
    biased = lanes.b.add(n, lanes.constant(I32, 127))
    return lanes.floats(lanes.b.shl(biased, lanes.constant(I32, 23)))
