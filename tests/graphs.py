"""Random graphs over the catalog, and values to run them on, for tests of any stage.

    @given(graphs(), st.integers(0, 9))
    def test_a_pass_keeps_the_meaning(graph, seed): ...

Inputs and variables are drawn from a coarse grid, so that rounding seldom changes what a
comparison says; ops that jump (`floor`, `less`) are only applied to values that were not rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Origin, Output, Update
from flowc.graph.scan import emit_scan
from flowc.graph.walk import all_nodes
from flowc_runtime.dims import Dim, symbol
from flowc_runtime.types import TensorType

Draw = Callable[[st.SearchStrategy], object]

SIZES = {"batch": 3}  # what the symbolic dimension is bound to
BATCH = symbol("batch")
_DIMS: tuple[Dim, ...] = (1, 2, 4, BATCH)
_SMOOTH = ("exp", "tanh", "sin", "cos", "erf")
_EXACT_UNARY = ("neg", "abs", "stop_gradient")
_JUMPING = ("sign", "floor", "ceil", "round")
_SMOOTH_BINARY = ("add", "sub", "mul")
_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


@dataclass
class _Maker:
    """A graph under construction, and which of its values carry no rounding."""

    draw: Draw
    builder: Builder = field(default_factory=Builder)
    values: list[Value] = field(default_factory=list)
    exact: set[int] = field(default_factory=set)

    def add(self, value: Value, exact: bool = False) -> Value:
        self.values.append(value)
        if exact:
            self.exact.add(value.ref.node)
        return value

    def pick(self, which: Callable[[Value], bool] = lambda v: True) -> Value:
        """One of the values that fit, twice as often a late one, so that long chains come up."""
        found = [v for v in self.values if which(v)]
        return self.draw(st.sampled_from(found + found[-4:] * 2)) if found else self.values[0]  # type: ignore[return-value]

    def floats(self) -> Value:
        return self.pick(lambda v: v.type.dtype == "f32")

    def like(self, value: Value) -> Value:
        """A value of the same dtype that broadcasts with `value`."""
        return self.pick(
            lambda v: v.type.dtype == value.type.dtype and _broadcasts(v.type, value.type)
        )

    def choose(self, *options: object) -> object:
        return self.draw(st.sampled_from(options))

    def is_exact(self, *values: Value) -> bool:
        return all(v.ref.node in self.exact for v in values)


def _broadcasts(a: TensorType, b: TensorType) -> bool:
    pairs = zip(reversed(a.shape), reversed(b.shape), strict=False)
    return all(x == y or 1 in (x, y) for x, y in pairs)


def _unary(m: _Maker) -> None:
    x = m.floats()
    op = m.choose(*_EXACT_UNARY, *_SMOOTH)
    m.add(m.builder(op, x), exact=op in _EXACT_UNARY and m.is_exact(x))


def _jump(m: _Maker) -> None:
    x = m.pick(lambda v: v.type.dtype == "f32" and m.is_exact(v))
    m.add(m.builder(m.choose(*_JUMPING), x), exact=True)


def _binary(m: _Maker) -> None:
    a = m.floats()
    m.add(m.builder(m.choose(*_SMOOTH_BINARY, "maximum", "minimum"), a, m.like(a)))


def _with_number(m: _Maker) -> None:
    x = m.floats()
    # Not 0.5: NumPy takes the root or the power, as its exponent lies in memory.
    number = m.builder.scalar(m.choose(-1.0, 0.0, 0.75, 1.0, 2.0, 3.0), "f32")
    if m.choose(True, False):
        number = m.builder("broadcast", number, shape=x.type.shape)
    op = m.choose("add", "sub", "mul", "pow")
    operands = (x, number) if op == "pow" or m.choose(True, False) else (number, x)
    m.add(m.builder(op, *operands))


def _divide(m: _Maker) -> None:
    """By a number away from zero, so that nothing overflows."""
    x = m.floats()
    divisor = m.builder("add", m.builder("abs", m.like(x)), m.builder.scalar(1.0, "f32"))
    m.add(m.builder("div", x, divisor))


def _compare(m: _Maker) -> None:
    a = m.pick(lambda v: v.type.dtype == "f32" and m.is_exact(v))
    near = m.pick(lambda v: v.type == a.type and m.is_exact(v))
    m.add(m.builder(m.choose(*_COMPARISONS), a, near), exact=True)


def _choose(m: _Maker) -> None:
    condition = m.pick(lambda v: v.type.dtype == "bool")
    if condition.type.dtype != "bool":
        return
    a = m.pick(lambda v: v.type.dtype == "f32" and _broadcasts(v.type, condition.type))
    other = m.choose(m.builder.scalar(0.0, "f32"), a)
    m.add(m.builder("where", condition, a, other))


def _cast(m: _Maker) -> None:
    x = m.pick(m.is_exact)
    m.add(m.builder("cast", x, dtype=m.choose("f32", "f64", "i32")), exact=True)


def _reduce(m: _Maker) -> None:
    x = m.pick(lambda v: v.type.dtype == "f32" and v.type.rank > 0)
    if x.type.rank == 0:
        return
    axes = m.draw(st.sets(st.integers(0, x.type.rank - 1), min_size=1))
    op = m.choose("reduce_sum", "reduce_max", "reduce_min")
    keep = m.choose(True, False)
    value = m.builder(op, x, axes=tuple(sorted(axes)), keep=keep)  # type: ignore[type-var]
    m.add(value, exact=op != "reduce_sum" and m.is_exact(x))


def _softmax(m: _Maker) -> None:
    x = m.pick(lambda v: v.type.dtype == "f32" and v.type.rank > 0)
    if x.type.rank == 0:
        return
    axes, keep = (x.type.rank - 1,), m.choose(True, False)
    kept = (*x.type.shape[:-1], 1)
    top = m.builder("reshape", m.builder("reduce_max", x, axes=axes, keep=keep), shape=kept)
    power = m.builder("exp", m.builder("sub", x, top))
    total = m.builder("reshape", m.builder("reduce_sum", power, axes=axes, keep=keep), shape=kept)
    m.add(m.builder("div", power, total))


def _move(m: _Maker) -> None:
    x = m.pick()
    exact = m.is_exact(x)
    perm = tuple(m.draw(st.permutations(range(x.type.rank))))  # type: ignore[arg-type]
    ones = m.choose((), (1,))
    moved = m.choose(
        ("transpose", {"perm": perm}),
        ("reshape", {"shape": (*ones, *x.type.shape)}),
        ("reshape", {"shape": (*x.type.shape, *ones)}),
        ("broadcast", {"shape": (2, *x.type.shape)}),
    )
    op, attrs = moved  # type: ignore[misc]
    if len(x.type.shape) < 4:
        m.add(m.builder(op, x, **attrs), exact)


def _split(m: _Maker) -> None:
    """Parts of a tensor, put back where they were."""
    x = m.pick(lambda v: v.type.dtype == "f32" and 4 in v.type.shape)
    if 4 not in x.type.shape:
        return
    axis = x.type.shape.index(4)
    whole: list[Value] = []
    for start, stop in ((0, 1), (1, 4)):
        bounds = {
            "starts": tuple(start if a == axis else 0 for a in range(x.type.rank)),
            "stops": tuple(stop if a == axis else None for a in range(x.type.rank)),
            "steps": (1,) * x.type.rank,
        }
        part = m.builder("tanh", m.builder("slice", x, **bounds))
        whole.append(m.builder("unslice", part, shape=x.type.shape, **bounds))
    m.add(m.builder("add", *whole))


def _matmul(m: _Maker) -> None:
    a = m.pick(lambda v: v.type.dtype == "f32" and v.type.rank >= 2)
    if a.type.rank < 2 or a.type.dtype != "f32":
        return
    b = m.builder("transpose", a, perm=(*range(a.type.rank - 2), a.type.rank - 1, a.type.rank - 2))
    product = m.builder("matmul", *m.choose((a, b), (b, a)))  # type: ignore[misc]
    m.add(m.builder("mul", product, m.builder.scalar(0.125, "f32")))


def _scan(m: _Maker) -> None:
    """A walk over the first dimension, with a carry, a capture, and a yield that may go unused."""
    xs = m.pick(lambda v: v.type.dtype == "f32" and v.type.rank >= 1)
    if xs.type.rank == 0 or xs.type.dtype != "f32":
        return
    row = TensorType("f32", xs.type.shape[1:])
    start = m.builder.constant(0.5, row)
    body = Builder()
    x, carry = body.input("x0", row), body.input("c0", row)
    scale, _ = body.input("k0", TensorType("f32")), body.input("k1", TensorType("f32"))
    mixed = body(
        "tanh", body("add", body("mul", body("mul", x, scale), body.scalar(1.0, "f32")), carry)
    )
    outputs = [Output("c0", mixed.ref), Output("y0", body("exp", mixed).ref), Output("y1", x.ref)]
    captured = [m.builder.scalar(0.75, "f32"), m.builder.scalar(0.25, "f32")]
    results = emit_scan(
        m.builder,
        [xs],
        [start],
        captured,
        body.finish(outputs),
        axes=(0,),
        yield_axes=(0, 0),
        length=xs.type.shape[0],
        reverse=bool(m.choose(True, False)),
    )
    for value in results[: int(m.choose(1, 2, 3))]:  # type: ignore[call-overload]
        m.add(value)


def _recurrent(m: _Maker) -> None:
    """A cell with weights, and sums over the rounds as the gradients of weights have them."""
    whole = m.draw(st.permutations(["time", "n"]))
    sizes = {"time": m.choose(3, BATCH), "n": 2, "k": 4}
    first = sizes[whole[0]], sizes[whole[1]], sizes["k"]  # type: ignore[index]
    xs = m.builder("broadcast", m.builder.scalar(0.5, "f32"), shape=first)
    ramp = m.builder("iota", shape=first, axis=whole.index("time"), dtype="f32")  # type: ignore[attr-defined]
    xs = m.builder("mul", xs, ramp)
    weight = m.builder("iota", shape=(4, 4), axis=0, dtype="f32")
    weight = m.builder("mul", weight, m.builder.scalar(0.125, "f32"))
    turned = bool(m.choose(True, False))
    state, square = TensorType("f32", (2, 4)), TensorType("f32", (4, 4))
    body = Builder()
    x, h, total, column, w = (
        body.input("x0", state), body.input("c0", state), body.input("c1", square),
        body.input("c2", TensorType("f32", (4,))), body.input("k0", square),
    )  # fmt: skip
    scaled = body("mul", w, body.scalar(0.5, "f32"))
    new = body("tanh", body("add", body("matmul", x, scaled, transpose_b=turned), h))
    factors = m.choose((x, new), (new, x), (new, h))
    term = body("matmul", *factors, transpose_a=True)  # type: ignore[misc]
    total = body("add", total, term)
    column = body("add", column, body("reduce_sum", new, axes=(0,), keep=False))
    handed = body("matmul", new, w, transpose_b=turned)
    yields = [Output("y0", handed.ref), Output("y1", new.ref)][: int(m.choose(1, 2))]  # type: ignore[call-overload]
    carries = [Output("c0", new.ref), Output("c1", total.ref), Output("c2", column.ref)]
    starts = [m.builder.constant(0.25, value.type) for value in (h, total, column)]
    m.values += emit_scan(
        m.builder, [xs], starts, [weight], body.finish([*carries, *yields]),
        axes=(whole.index("time"),),  # type: ignore[attr-defined]
        yield_axes=(int(m.choose(0, 1)),) * len(yields),  # type: ignore[call-overload]
        length=sizes["time"],  # type: ignore[arg-type]
        reverse=bool(m.choose(True, False)),
    )  # fmt: skip


_STEPS = (
    _unary, _jump, _binary, _binary, _with_number, _with_number, _divide, _compare, _choose,
    _cast, _reduce, _reduce, _softmax, _move, _move, _split, _matmul, _scan,
    _recurrent,
)  # fmt: skip


@st.composite
def graphs(draw: Draw, max_steps: int = 14) -> Graph:
    """A graph with the symbolic dimension `batch`, some outputs, and updates of some variables."""
    maker = _Maker(draw)
    shapes = st.lists(st.sampled_from(_DIMS), max_size=3).map(tuple)
    for i in range(2):
        maker.add(maker.builder.input(f"x{i}", TensorType("f32", draw(shapes))), exact=True)  # type: ignore[arg-type]
    for i in range(2):
        type = TensorType("f32", draw(shapes))  # type: ignore[arg-type]
        maker.add(maker.builder.variable(f"layer{i}.weight", "param", type), exact=True)
    maker.add(maker.builder.dim(BATCH, "f32"), exact=True)
    variables = maker.values[2:4]
    for i in range(draw(st.integers(1, max_steps))):  # type: ignore[call-overload]
        with maker.builder.at(Origin(path=f"step.{i}")):
            draw(st.sampled_from(_STEPS))(maker)  # type: ignore[operator]
    wanted = draw(st.lists(st.sampled_from(maker.values), min_size=1, max_size=4))
    outputs = [Output(f"output.y{i}", v.ref) for i, v in enumerate(wanted)]  # type: ignore[arg-type, var-annotated]
    return maker.builder.finish(outputs, _updates(draw, maker, variables))


def _updates(draw: Draw, maker: _Maker, variables: list[Value]) -> list[Update]:
    updates = []
    for variable in variables:
        fitting = [v for v in maker.values if v.type == variable.type]
        if draw(st.booleans()):
            value: Value = draw(st.sampled_from(fitting))  # type: ignore[assignment]
            updates.append(Update(variable.ref.node, value.ref))
    return updates


def leaves(graph: Graph, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values of the inputs and variables of a bound graph, on a grid of quarters."""
    random = np.random.default_rng(seed)
    found: Mapping[str, dict[str, np.ndarray]] = {"input": {}, "variable": {}}
    for node in graph.nodes:
        if node.op in found:
            value = random.integers(-6, 7, node.type.sizes) / 4
            name = node.attrs["name" if node.op == "input" else "path"]
            found[node.op][name] = np.array(value, node.type.storage)
    return found["input"], found["variable"]


def ops_of(graph: Graph) -> set[str]:
    return {node.op for node in all_nodes(graph)}
