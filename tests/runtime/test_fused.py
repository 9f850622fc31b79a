"""Expression kernels: their lines as text, their types, and block by block what the lines say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from evaluate import evaluate
from graphs import Draw
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import assert_agree, execute, fused

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output
from flowc_runtime import blocking
from flowc_runtime.expression import (
    ROW_OPS,
    BadExpression,
    Expression,
    Line,
    parse_expression,
    parse_line,
)
from flowc_runtime.numpy_device.calls import UFUNCS, elementwise_calls
from flowc_runtime.ops import CATALOG
from flowc_runtime.types import TensorType, parse_type

FLOAT_UNARY = ("neg", "abs", "exp", "tanh", "erf", "sqrt", "floor", "stop_gradient")
FLOAT_BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")

# --- text ---------------------------------------------------------------------------------------

names = st.builds(lambda kind, k: f"{kind}{k}", st.sampled_from("ito"), st.integers(0, 99))
numbers = st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False), st.booleans())


@settings(deadline=None)
@given(st.sampled_from(sorted(UFUNCS)), st.lists(names | numbers, min_size=1, max_size=3))
def test_a_line_is_read_as_it_was_written(op: str, args: list[str | float | bool]) -> None:
    line = Line("t0", op, tuple(args))
    assert parse_line(str(line)) == line
    assert [type(a) for a in parse_line(str(line)).args] == [type(a) for a in args]


def test_attributes_stand_in_braces() -> None:
    line = parse_line("t3 = cast(i0, {dtype=f64})")
    assert line == Line("t3", "cast", ("i0",), {"dtype": "f64"})
    assert str(line) == "t3 = cast(i0, {dtype=f64})"


@settings(deadline=None)
@given(st.text(alphabet="ito019.=(){}, addexpf-\n", max_size=40))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        assert parse_line(str(parse_line(text))) == parse_line(text)
    except BadExpression as refusal:
        assert str(refusal)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "0 lines"),
        (("t0 = neg(i0)",), "the results are not o0"),
        (("o1 = neg(i0)",), "the results are not o0"),
        (("o0 = neg(t0)",), "t0 is read before it is assigned"),
        (("o0 = neg(o0)",), "o0 is read before it is assigned"),
        (("t0 = neg(i0)", "t0 = exp(i0)", "o0 = neg(t0)"), "t0 is assigned twice"),
        (("i0 = neg(i0)",), "is no line"),
        (("o0 = matmul(i0, i0)",), "no elementwise op `matmul`"),
        (("o0 = reduce_sum(i0)",), "no elementwise op `reduce_sum`"),
        (("o0 = neg(i0); import os",), "is no line"),
        (("o0 = add(i0, 0x10)",), "neither a name nor a number"),
        (("o0 = cast(i0, {dtype=f32, dtype=f64})",), "attribute twice"),
    ],
)
def test_lines_that_are_no_kernel_are_refused(lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadExpression, match=message):
        parse_expression(lines)


# --- types --------------------------------------------------------------------------------------


def types_of(*lines: str, operands: Sequence[str], shape: tuple[int, ...]) -> list[str]:
    given = tuple(map(parse_type, operands))
    return [str(t) for t in parse_expression(lines).result_types(given, shape)]


def test_types_follow_the_rules_of_the_ops() -> None:
    lines = ("t0 = greater(i0, i1)", "o0 = row_max(i0)", "o1 = where(t0, i0, 1)", "o2 = neg(i1)")
    found = types_of(*lines, operands=["f32[2, 3]", "f32[3]"], shape=(2, 3))
    assert found == ["f32[2, 1]", "f32[2, 3]", "f32[3]"]


@pytest.mark.parametrize(
    ("line", "operands", "message"),
    [
        ("o0 = add(i0, i1)", ["f32[2, 3]", "f64[2, 3]"], "f64"),
        ("o0 = add(i0, i1)", ["f32[2, 3]"], "i1 is read, but the operands end before it"),
        ("o0 = add(i0, i1)", ["f32[2, 3]", "f32[2]"], "does not broadcast to the shape"),
        ("o0 = neg(i0)", ["f32[5, 2, 3]"], "does not broadcast to the shape"),
        ("o0 = add(i0)", ["f32[2, 3]"], "takes 2 arguments"),
        ("o0 = add(1, 2.0)", ["f32[2, 3]"], "only numbers"),
        ("o0 = add(i0, 0.5)", ["i32[2, 3]"], "0.5 is no i32"),
        ("o0 = add(i0, true)", ["f32[2, 3]"], "true is no f32"),
        ("o0 = neg(i0, {dtype=f32})", ["f32[2, 3]"], "no such attribute"),
        ("o0 = row_sum(i0)", ["f32[2, 1]"], "holds no rows of the iteration shape"),
        ("o0 = row_sum(i0)", ["bool[2, 3]"], "no row of numbers"),
        ("o0 = row_sum(2.0)", ["f32[2, 3]"], "takes one name"),
    ],
)
def test_types_that_do_not_fit_are_refused(
    line: str, operands: list[str], message: str
) -> None:
    with pytest.raises(BadExpression, match=message):
        types_of(line, operands=operands, shape=(2, 3))


def test_an_operand_may_be_overwritten_by_the_line_that_reads_it_last() -> None:
    lines = ("t0 = mul(i0, i1)", "o0 = add(i2, t0)", "o1 = sub(i1, o0)")
    expression = parse_expression(lines)
    can = [(i, o) for i in range(3) for o in range(2) if expression.may_overwrite(i, o)]
    assert can == [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1)]


# --- values -------------------------------------------------------------------------------------


@st.composite
def kernels(draw: Draw, sizes: Sequence[int] = (1, 2, 3, 5)) -> Graph:
    """A fused kernel over a random shape, operands that broadcast, rows, several results."""
    b = Builder()
    shape = tuple(draw(st.lists(st.sampled_from(sizes), max_size=4)))  # type: ignore[arg-type]
    types = []
    for _ in range(draw(st.integers(1, 4))):  # type: ignore[call-overload]
        skipped = draw(st.integers(0, len(shape)))
        dims = [draw(st.sampled_from([1, n])) for n in shape[skipped:]]  # type: ignore[misc]
        types.append(TensorType("f32", tuple(dims)))  # type: ignore[arg-type]
    types[0] = TensorType("f32", shape)
    # negated, so that they are values that end here, and results may take their places
    operands = [b("neg", b.input(f"x{k}", t)) for k, t in enumerate(types)]
    expression = _expression(draw, types, shape)
    results = fused(b, expression.text, *operands, shape=shape)
    return b.finish([Output(f"y{k}", v.ref) for k, v in enumerate(results)])


def _expression(draw: Draw, types: Sequence[TensorType], shape: tuple[int, ...]) -> Expression:
    known = {f"i{k}": t for k, t in enumerate(types)}
    lines: list[Line] = []
    results = temporaries = 0
    for _ in range(draw(st.integers(1, 12))):  # type: ignore[call-overload]
        if draw(st.booleans()):
            name, temporaries = f"t{temporaries}", temporaries + 1
        else:
            name, results = f"o{results}", results + 1
        lines.append(Line(name, *_call(draw, known, shape)))
        whole = Expression((*lines, *_end(lines, results)))
        known = whole.types(tuple(types), shape)
        known = {n: t for n, t in known.items() if n[0] == "i" or n in {x.name for x in lines}}
    return Expression((*lines, *_end(lines, results)))


def _end(lines: Sequence[Line], results: int) -> list[Line]:
    """A kernel needs a result: the last temporary, if nothing else."""
    return [] if results else [Line("o0", "cast", (lines[-1].name,), {"dtype": "f32"})]


def _call(
    draw: Draw, known: dict[str, TensorType], shape: tuple[int, ...]
) -> tuple[str, tuple[str | float, ...]]:
    floats = [n for n, t in known.items() if t.dtype == "f32"]
    args = [draw(st.sampled_from(floats)) for _ in range(3)]
    rows = [n for n in floats if known[n].shape[-1:] == shape[-1:] != ()]
    kind = draw(st.integers(0, 5))
    if kind == 0 and rows:
        return draw(st.sampled_from(sorted(ROW_OPS))), (draw(st.sampled_from(rows)),)  # type: ignore[return-value]
    if kind == 1:
        return draw(st.sampled_from(FLOAT_UNARY)), (args[0],)  # type: ignore[return-value]
    if kind == 2:
        # No -0.0: NumPy does not say which of both zeros is the larger, and 1 / 0 tells.
        number = draw(st.sampled_from([0.0, 0.5, 2, -3]))
        # For an exponent of 0.5 that it stretches NumPy takes the root, and for one in memory the
        # power, with other last bits and sign of zero: only numbers are the same in any block.
        if draw(st.booleans()):
            return "pow", (args[0], number)
        pair = (args[0], number) if draw(st.booleans()) else (number, args[0])
        return draw(st.sampled_from(FLOAT_BINARY)), pair  # type: ignore[return-value]
    truths = [n for n, t in known.items() if t.dtype == "bool"]
    if kind == 3 and truths:
        other = draw(st.sampled_from([0.0, 1.0, args[1]]))
        chosen = (args[0], other) if draw(st.booleans()) else (other, args[0])
        return "where", (draw(st.sampled_from(truths)), *chosen)  # type: ignore[return-value]
    if kind == 4:
        return draw(st.sampled_from(["less", "equal"])), (args[0], args[1])  # type: ignore[return-value]
    return draw(st.sampled_from(FLOAT_BINARY)), (args[0], args[1])  # type: ignore[return-value]


def made_up(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Small f32 numbers for all inputs, zero and equal ones among them."""
    rng = np.random.default_rng(seed)
    return {
        n.attrs["name"]: rng.integers(-6, 7, n.type.sizes).astype(np.float32) / 4
        for n in graph.nodes if n.op == "input"
    }  # fmt: skip


@pytest.mark.parametrize("block", [1, 4, 131072])
def test_a_kernel_computes_block_by_block_what_its_lines_say(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "BLOCK_ELEMENTS", block)

    @settings(max_examples=80, deadline=None)
    @given(kernels(), st.integers(0, 9))
    def check(graph: Graph, seed: int) -> None:
        inputs = made_up(graph, seed)
        assert_agree(execute(graph, inputs, {}), evaluate(graph, inputs, {}))

    check()


def run(lines: tuple[str, ...], *operands: np.ndarray) -> list[np.ndarray]:
    b = Builder()
    dtypes = {"float16": "f16", "float32": "f32", "bool": "bool", "int32": "i32"}
    types = [TensorType(dtypes[str(a.dtype)], a.shape) for a in operands]
    values = [b.input(f"x{k}", t) for k, t in enumerate(types)]
    results = fused(b, lines, *values, shape=np.broadcast_shapes(*(a.shape for a in operands)))
    graph = b.finish([Output(f"y{k}", v.ref) for k, v in enumerate(results)])
    found = execute(graph, {f"x{k}": a for k, a in enumerate(operands)}, {})
    return [found[f"y{k}"] for k in range(len(results))]


def test_a_result_may_be_wider_than_the_value_of_its_line() -> None:
    b = Builder()
    x = b.input("x", parse_type("f32[2, 3]"))
    attrs = {"lines": ("t0 = exp(i0)", "o0 = row_sum(t0)"), "shape": (2, 3)}
    (y,) = b.append("fused", (x.ref,), attrs, (x.type,))
    graph = b.finish([Output("y", y.ref)])
    inputs = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    rows = np.exp(inputs["x"]).sum(1, keepdims=True)
    np.testing.assert_allclose(execute(graph, inputs, {})["y"], np.repeat(rows, 3, 1), rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0,)])
def test_a_kernel_over_no_elements_does_nothing(shape: tuple[int, ...]) -> None:
    (y,) = run(("t0 = add(i0, 1.0)", "o0 = maximum(t0, 0.0)"), np.zeros(shape, np.float32))
    assert y.shape == shape


def test_rows_of_f16_are_summed_in_f32() -> None:
    (y,) = run(("o0 = row_sum(i0)",), np.ones((2, 4000), np.float16))
    np.testing.assert_array_equal(y, np.full((2, 1), 4000, np.float16))


def test_where_takes_over_nothing_from_what_was_not_chosen() -> None:
    condition = np.array([True, False, True])
    special = np.array([np.nan, np.inf, -0.0], np.float32)
    kept, other = run(("o0 = where(i0, i1, 0.0)", "o1 = where(i0, -0.0, i1)"), condition, special)
    np.testing.assert_array_equal(kept, [np.nan, 0, -0.0])
    np.testing.assert_array_equal(np.signbit(kept), [False, False, True])
    np.testing.assert_array_equal(other, [-0.0, np.inf, -0.0])
    np.testing.assert_array_equal(np.signbit(other), [True, False, True])


def test_a_tensor_that_holds_zeros_now_is_not_taken_for_the_number_0() -> None:
    b = Builder()
    condition, zeros = b.input("c", parse_type("bool[3]")), b.variable("z", "param", F32)
    x = b.input("x", parse_type("f32[3]"))
    (y,) = fused(b, ("o0 = where(i0, i1, i2)",), condition, x, zeros, shape=(3,))
    inputs = {"c": np.array([True, False, True]), "x": np.ones(3, np.float32)}
    found = execute(b.finish([Output("y", y.ref)]), inputs, {"z": np.array(4, np.float32)})
    np.testing.assert_array_equal(found["y"], [1, 4, 1])


F32 = TensorType("f32")


@pytest.mark.parametrize("op", sorted(UFUNCS))
def test_a_direct_call_gives_what_the_kernel_of_the_catalog_gives(op: str) -> None:
    rule = CATALOG[op]
    for sample in rule.samples:
        types = tuple(map(parse_type, sample.types))
        rng = np.random.default_rng(1)
        args = [
            np.asarray(rng.uniform(sample.low, sample.high, t.sizes)).astype(t.storage)
            for t in types
        ]
        (result,) = rule.infer(types, sample.attrs)
        found, wanted = (np.zeros(result.sizes, result.storage) for _ in range(2))
        scratch = np.zeros(rule.scratch_bytes(types, (result,), sample.attrs), np.uint8)
        for call in elementwise_calls(op, found, args, sample.attrs, scratch):
            call()
        assert rule.kernel is not None
        rule.kernel((wanted,), args, sample.attrs, scratch)
        np.testing.assert_array_equal(found, wanted)
