"""Sessions: steps over one memory, nothing allocated, nothing changed when a step goes wrong."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from evaluate import evaluate
from programs import execute, fused, plan_of

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Origin, Output, Update
from flowc.graph.scan import emit_scan
from flowc.plan.emit import make_plan
from flowc.source import Source, Span
from flowc_runtime.device import ExecutionError
from flowc_runtime.executor import NonFinite, Session
from flowc_runtime.threads import blas, limit_threads
from flowc_runtime.types import TensorType, parse_type

TEXT = Source("m.flow", "first\nsecond\nthird\n")


def line(number: int, path: str) -> Origin:
    """An origin on a line of the text."""
    start = sum(len(text) + 1 for text in TEXT.lines[: number - 1])
    return Origin(Span(TEXT, start, start + 1), path)


@dataclass(frozen=True)
class Mlp:
    """A two-layer perceptron with mean squared error, its gradient by hand, and plain SGD."""

    batch: int = 16
    inputs: int = 12
    hidden: int = 8
    outputs: int = 3
    rate: float = 0.125

    def graph(self) -> Graph:
        b = Builder()
        x = b.input("x", TensorType("f32", (self.batch, self.inputs)))
        y = b.input("y", TensorType("f32", (self.batch, self.outputs)))
        w1 = b.variable("w1", "param", TensorType("f32", (self.inputs, self.hidden)))
        b1 = b.variable("b1", "param", TensorType("f32", (self.hidden,)))
        w2 = b.variable("w2", "param", TensorType("f32", (self.hidden, self.outputs)))
        shape, out = (self.batch, self.hidden), (self.batch, self.outputs)
        relu = ("t0 = add(i0, i1)", "o0 = maximum(t0, 0.0)")
        h = fused(b, relu, b("matmul", x, w1), b1, shape=shape)[0]
        error = fused(b, ("o0 = sub(i0, i1)",), b("matmul", h, w2), y, shape=out)[0]
        squares = fused(b, ("o0 = mul(i0, i0)",), error, shape=out)[0]
        loss = b("reduce_sum", squares, axes=(0, 1))
        g2 = b("matmul", h, error, transpose_a=True)
        back = ("t0 = greater(i1, 0.0)", "o0 = where(t0, i0, 0.0)")
        dh = fused(b, back, b("matmul", error, w2, transpose_b=True), h, shape=shape)[0]
        g1 = b("matmul", x, dh, transpose_a=True)
        updates = [
            Update(w.ref.node, self._sgd(b, w, g).ref)
            for w, g in ((w1, g1), (b1, b("reduce_sum", dh, axes=(0,))), (w2, g2))
        ]
        return b.finish([Output("loss", loss.ref)], updates)

    def _sgd(self, b: Builder, w: Value, g: Value) -> Value:
        lines = (f"t0 = mul(i1, {self.rate / self.batch})", "o0 = sub(i0, t0)")
        return fused(b, lines, w, g, shape=w.type.sizes)[0]

    def step(self, held: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
        """The same step in plain NumPy; changes `held`."""
        h = np.maximum(x @ held["w1"] + held["b1"], 0)
        error = h @ held["w2"] - y
        dh = np.where(h > 0, error @ held["w2"].T, 0)
        rate = np.float32(self.rate / self.batch)
        held["w2"] = held["w2"] - rate * (h.T @ error)
        held["w1"] = held["w1"] - rate * (x.T @ dh)
        held["b1"] = held["b1"] - rate * dh.sum(0)
        return float((error * error).sum())

    def start(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """First weights and one batch."""
        rng = np.random.default_rng(3)
        sizes = {"w1": (self.inputs, self.hidden), "b1": (self.hidden,),
                 "w2": (self.hidden, self.outputs)}  # fmt: skip
        held = {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in sizes.items()}
        x = rng.normal(size=(self.batch, self.inputs)).astype(np.float32)
        return held, x, rng.normal(size=(self.batch, self.outputs)).astype(np.float32)


def open_mlp(mlp: Mlp) -> tuple[Session, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    session = Session(plan_of(mlp.graph()))
    held, x, y = mlp.start()
    session.load(held)
    inputs = session.inputs("train")
    inputs["x"][...], inputs["y"][...] = x, y
    return session, held, x, y


def test_training_steps_are_those_of_plain_numpy() -> None:
    mlp = Mlp()
    session, held, x, y = open_mlp(mlp)
    for _ in range(20):
        loss = float(session.run("train")["loss"])
        assert loss == pytest.approx(mlp.step(held, x, y), rel=1e-5)
    for path, value in held.items():
        np.testing.assert_allclose(session.variables[path], value, rtol=1e-4, atol=1e-6)


def test_a_steady_step_allocates_nothing_large() -> None:
    session = open_mlp(Mlp(256, inputs=512, hidden=512, outputs=256, rate=1e-6))[0]
    session.run("train")
    session.run("train")
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    session.run("train")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < 64_000  # the tensors have half a megabyte and more


def test_programs_share_the_variables() -> None:
    def graph(update: bool) -> Graph:
        b = Builder()
        w = b.variable("w", "param", parse_type("f32[2]"))
        total = b("reduce_sum", w, axes=(0,))
        updates = [Update(w.ref.node, b("add", w, w).ref)] if update else []
        return b.finish([Output("loss", total.ref)], updates)

    session = Session(make_plan("m", "", {"train": graph(True), "evaluate": graph(False)}))
    session.variables["w"][...] = 1
    losses = [float(session.run(p)["loss"]) for p in ("train", "evaluate", "train", "evaluate")]
    assert losses == [2, 4, 4, 8]


def test_outputs_are_copies() -> None:
    b = Builder()
    w = b.variable("w", "param", parse_type("f32[2]"))
    session = Session(plan_of(b.finish([Output("w", w.ref)])))
    found = session.run("train")["w"]
    session.variables["w"][...] = 5
    np.testing.assert_array_equal(found, [0, 0])


def test_seed_and_step_reach_the_program() -> None:
    b = Builder()
    seed, step = b.input("seed", parse_type("i64[]")), b.input("step", parse_type("i64[]"))
    x = b("random_uniform", seed, step, shape=(4,), dtype="f32", stream=1)
    session = Session(plan_of(b.finish([Output("x", x.ref)])))
    assert session.inputs("train") == {}
    drawn = [tuple(session.run("train", seed=s, step=t)["x"])
             for s, t in ((1, 1), (1, 2), (2, 1), (1, 1))]  # fmt: skip
    assert len(set(drawn)) == 3 and drawn[0] == drawn[3]


def test_constants_of_every_dtype_reach_the_program() -> None:
    b = Builder()
    types = {"f64": 0.1, "f16": 0.1, "i64": -(2**40), "u8": 200, "bool": True}
    outputs = [Output(dtype, b.scalar(value, dtype).ref) for dtype, value in types.items()]
    table = b.append("const", (), {"value": ((1, 2), (3, 4))}, (parse_type("i32[2, 2]"),))[0]
    half = b.append("const", (), {"value": 1.5}, (parse_type("bf16[]"),))[0]
    outputs += [Output("table", table.ref), Output("bf16", b("cast", half, dtype="f32").ref)]
    found = Session(plan_of(b.finish(outputs))).run("train")
    for dtype, value in types.items():
        assert found[dtype] == np.array(value, found[dtype].dtype)
    assert found["table"].tolist() == [[1, 2], [3, 4]] and found["bf16"] == 1.5


# --- what callers get wrong ---------------------------------------------------------------------


def test_an_unknown_program_is_named() -> None:
    session = open_mlp(Mlp())[0]
    with pytest.raises(ValueError, match="no program `fly`, only train"):
        session.run("fly")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"w9": np.zeros(3, np.float32)}, "no variable `w9`"),
        ({"b1": np.zeros(9, np.float32)}, r"`b1` is float32\[8\], not float32\[9\]"),
        ({"b1": np.zeros(8)}, r"`b1` is float32\[8\], not float64\[8\]"),
    ],
)
def test_values_that_do_not_fit_change_no_variable(
    values: dict[str, np.ndarray], message: str
) -> None:
    session, held, *_ = open_mlp(Mlp())
    with pytest.raises(ValueError, match=message):
        session.load({"w2": np.zeros((8, 3), np.float32), **values})
    np.testing.assert_array_equal(session.variables["w2"], held["w2"])


# --- scans --------------------------------------------------------------------------------------


def scan_graph(length: int, reverse: bool, axis: int = 1) -> Graph:
    """Two carries that read each other, a sequence along `axis`, a capture, and two yields."""
    b, body = Builder(), Builder()
    row = parse_type("f32[3]")
    x, c0, c1, k = (body.input(name, row) for name in ("x0", "c0", "c1", "k0"))
    sums = body("add", body("mul", x, k), c1)
    outputs = [Output("c0", sums.ref), Output("c1", c0.ref), Output("y0", c0.ref),
               Output("y1", body("reduce_sum", sums, axes=(0,)).ref)]  # fmt: skip
    shape = (3, length) if axis else (length, 3)
    xs = b.input("xs", TensorType("f32", shape))
    starts = [b.input("s0", row), b.input("s1", row)]
    results = emit_scan(
        b, [xs], starts, [b.input("k", row)], body.finish(outputs),
        axes=(axis,), yield_axes=(1, 0), length=length, reverse=reverse,
    )  # fmt: skip
    return b.finish([Output(f"y{n}", v.ref) for n, v in enumerate(results)])


@pytest.mark.parametrize("length", [0, 1, 5])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan_walks_its_sequence(length: int, reverse: bool, axis: int) -> None:
    graph = scan_graph(length, reverse, axis)
    rng = np.random.default_rng(0)
    inputs = {
        n.attrs["name"]: rng.integers(-4, 5, n.type.sizes).astype(np.float32)
        for n in graph.nodes if n.op == "input"
    }  # fmt: skip
    found, wanted = execute(graph, inputs, {}), evaluate(graph, inputs, {})
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_scan_may_hold_a_scan() -> None:
    inner, outer, b = Builder(), Builder(), Builder()
    x, c = inner.input("x0", parse_type("f32[]")), inner.input("c0", parse_type("f32[]"))
    k = inner.input("k0", parse_type("f32[]"))
    inside = inner.finish([Output("c0", inner("add", inner("mul", x, k), c).ref)])
    row, total = outer.input("x0", parse_type("f32[3]")), outer.input("c0", parse_type("f32[]"))
    (sums,) = emit_scan(outer, [row], [total], [total], inside, axes=(0,), yield_axes=(), length=3)
    around = outer.finish([Output("c0", sums.ref), Output("y0", total.ref)])
    xs = b.input("xs", parse_type("f32[2, 3]"))
    results = emit_scan(
        b, [xs], [b.scalar(1.0, "f32")], [], around, axes=(0,), yield_axes=(0,), length=2
    )
    graph = b.finish([Output(f"y{n}", v.ref) for n, v in enumerate(results)])
    inputs = {"xs": np.arange(6, dtype=np.float32).reshape(2, 3)}
    found, wanted = execute(graph, inputs, {}), evaluate(graph, inputs, {})
    assert [v.tolist() for v in found.values()] == [v.tolist() for v in wanted.values()]


# --- steps that go wrong ------------------------------------------------------------------------


def risky() -> Graph:
    """`log` on line 2, fused with a product; `gather` on line 3; an update that adds 1."""
    b = Builder()
    x, w = b.input("x", parse_type("f32[4]")), b.variable("w", "param", parse_type("f32[4]"))
    index = b.input("index", parse_type("i32[2]"))
    y = fused(b, ("t0 = mul(i0, i1)",  "o0 = neg(t0)"), x, w, shape=(4,))[0]
    with b.at(line(2, "net.gate")):
        lines = ("t0 = sub(0.0, i0)", "t1 = log(t0)", "o0 = mul(t1, 2.0)")
        y = fused(b, lines, y, shape=(4,))[0]
    with b.at(line(3, "net.table")):
        y = b("gather", y, index)
    new = b("add", w, b.scalar(1.0, "f32"))
    loss = b("reduce_sum", y, axes=(0,))
    return b.finish([Output("loss", loss.ref)], [Update(w.ref.node, new.ref)])


def open_risky() -> Session:
    session = Session(plan_of(risky()))
    session.variables["w"][...] = 1
    inputs = session.inputs("train")
    inputs["x"][...], inputs["index"][...] = 1, 0
    return session


def test_a_loss_that_is_nan_names_the_first_op_and_its_line() -> None:
    session = open_risky()
    session.inputs("train")["x"][0] = -1
    with pytest.raises(NonFinite) as caught:
        session.run("train")
    blamed = caught.value
    assert (blamed.op, blamed.at, blamed.path) == ("log", "m.flow:2:1", "net.gate")
    assert "NaN" in blamed.detail


def test_a_loss_that_is_infinite_names_the_first_op() -> None:
    session = open_risky()
    session.inputs("train")["x"][0] = 0
    with pytest.raises(NonFinite, match=r"m.flow:2:1: log in net.gate: made an infinity"):
        session.run("train")


def test_what_is_masked_again_is_not_blamed() -> None:
    """An infinity that a later op removes is no reason; the NaN elsewhere is."""
    b = Builder()
    x = b.input("x", parse_type("f32[2]"))
    with b.at(line(1, "mask")):
        removed = b("minimum", b("log", b("mul", x, b.scalar(0.0, "f32"))), b.scalar(0.0, "f32"))
        removed = b("exp", removed)
    with b.at(line(3, "bad")):
        bad = b("log", x)
    loss = b("reduce_sum", b("add", removed, bad), axes=(0,))
    session = Session(plan_of(b.finish([Output("loss", loss.ref)])))
    session.inputs("train")["x"][...] = [1, -1]
    with pytest.raises(NonFinite, match="m.flow:3:1: log in bad"):
        session.run("train")


def test_nan_in_a_variable_is_named_as_such() -> None:
    session = open_risky()
    session.variables["w"][2] = np.nan
    session.inputs("train")["index"][...] = 2
    with pytest.raises(NonFinite, match=r"param in w: held NaN before this step already"):
        session.run("train")


def test_nan_in_the_data_is_named_as_such() -> None:
    session = open_risky()
    session.inputs("train")["x"][0] = np.nan
    with pytest.raises(NonFinite, match=r"input in x: the data hold NaN"):
        session.run("train")


def test_the_op_inside_a_scan_is_named() -> None:
    b, body = Builder(), Builder()
    x, c = body.input("x0", parse_type("f32[]")), body.input("c0", parse_type("f32[]"))
    with body.at(line(2, "cell")):
        root = body("sqrt", x)
    with b.at(line(3, "loop")):
        (last,) = emit_scan(
            b, [b.input("xs", parse_type("f32[3]"))], [b.scalar(0.0, "f32")], [],
            body.finish([Output("c0", body("add", root, c).ref)]),
            axes=(0,), yield_axes=(), length=3,
        )  # fmt: skip
    session = Session(plan_of(b.finish([Output("loss", last.ref)])))
    session.inputs("train")["xs"][...] = [1, -1, 4]
    with pytest.raises(NonFinite, match="m.flow:2:1: sqrt in cell: made NaN"):
        session.run("train")


def test_a_refused_value_names_its_line_and_the_legal_range() -> None:
    session = open_risky()
    session.inputs("train")["index"][1] = 9
    with pytest.raises(ExecutionError, match=r"m.flow:3:1: gather in net.table: index 9 .* 0..3"):
        session.run("train")


@pytest.mark.parametrize("broken", ["nan", "index"])
def test_a_step_that_goes_wrong_changes_no_variable_and_the_next_one_is_right(
    broken: str,
) -> None:
    session = open_risky()
    inputs = session.inputs("train")
    good = {name: view.copy() for name, view in inputs.items()}
    inputs["x" if broken == "nan" else "index"][0] = -1
    with pytest.raises(ExecutionError):
        session.run("train")
    np.testing.assert_array_equal(session.variables["w"], np.ones(4))
    for name, view in inputs.items():
        view[...] = good[name]
    session.run("train")
    np.testing.assert_array_equal(session.variables["w"], np.full(4, 2))


# --- threads ------------------------------------------------------------------------------------


def test_the_blas_can_be_told_how_many_threads_to_use() -> None:
    before = blas()
    if not before.controlled:
        pytest.skip("this NumPy's BLAS has no switch")
    assert before.threads is not None
    try:
        assert limit_threads(1)
        assert blas().threads == 1
    finally:
        limit_threads(before.threads)


def test_no_threads_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        limit_threads(0)
