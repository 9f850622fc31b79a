"""Properties of every op of the catalog, found through the catalog and tried on its samples."""

import tracemalloc
import zlib
from dataclasses import dataclass, replace

import numpy as np
import pytest

from flowc.graph.builder import Builder
from flowc_runtime.ops import CATALOG, FAMILIES
from flowc_runtime.ops.op import Forward, Op, Reject, Sample
from flowc_runtime.ops.rules import INTS
from flowc_runtime.types import DTYPES, FLOATS, TensorType, parse_type

LARGE_BYTES = 512 * 1024
BLOCK_BYTES = 160 * 1024  # what a kernel may allocate: NumPy's own buffers, blocks of booleans
MOST_ELEMENTS = 2000  # of a tensor in the slower checks
PROBES = 40  # elements of each operand that central differences are taken for


@dataclass(frozen=True)
class Use:
    """An op with concrete operands: one sample of the catalog, with values drawn."""

    op: Op
    sample: Sample
    number: int
    types: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"{self.op.name}-{self.number}"

    def operands(self) -> list[np.ndarray]:
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        return [self._operand(rng, i) for i in range(len(self.types))]

    def _operand(self, rng: np.random.Generator, position: int) -> np.ndarray:
        type, low, high = self.types[position], self.sample.low, self.sample.high
        if position in self.sample.values:
            return np.array(self.sample.values[position], type.storage).reshape(type.sizes)
        if type.dtype == "bool":
            return np.array(rng.random(type.sizes) < 0.5)
        if type.dtype == "bf16":
            return np.array(rng.integers(0x3C00, 0x4000, type.sizes), type.storage)
        if type.kind == "int":
            return np.array(rng.integers(low, high, type.sizes, endpoint=True), type.storage)
        return np.array(rng.uniform(low, high, type.sizes), type.storage)

    def results(self) -> tuple[TensorType, ...]:
        return self.op.infer(self.types, self.sample.attrs)


def uses_of(op: Op) -> list[Use]:
    return [
        Use(op, sample, i, tuple(parse_type(t) for t in sample.types))
        for i, sample in enumerate(op.samples)
    ]


KERNELS = [op for op in CATALOG.values() if op.kernel]
USES = [use for op in KERNELS for use in uses_of(op)]
IN_PLACE = [(use, i) for use in USES for i in use.op.in_place if use.types[i] == use.results()[0]]
LARGE = [use for use in USES if sum(t.bytes for t in (*use.types, *use.results())) >= LARGE_BYTES]
ELEMENTWISE = [use for use in USES if use.op.elementwise]


def scratch_for(use: Use, garbage: int = 0xA5) -> np.ndarray:
    """Aligned as the executor's arena is, and exactly as long as the op declared."""
    size = use.op.scratch_bytes(use.types, use.results(), use.sample.attrs)
    room = np.full(size + 64, garbage, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size]


def results_for(use: Use, garbage: int) -> list[np.ndarray]:
    return [filled(type, garbage) for type in use.results()]


def filled(type: TensorType, garbage: int) -> np.ndarray:
    byte = garbage % 2 if type.dtype == "bool" else garbage
    return np.full(type.bytes, byte, np.uint8).view(type.storage).reshape(type.sizes)


def call(use: Use, outs: list[np.ndarray], ins: list[np.ndarray], garbage: int = 0xA5) -> None:
    with np.errstate(all="ignore"):
        use.op.kernel(outs, ins, use.sample.attrs, scratch_for(use, garbage))


def run(use: Use, ins: list[np.ndarray], garbage: int = 0xA5) -> list[np.ndarray]:
    outs = results_for(use, garbage)
    call(use, outs, ins, garbage)
    return outs


def assert_identical(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for x, y in zip(a, b, strict=True):
        assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("op", CATALOG.values(), ids=lambda op: op.name)
def test_every_op_is_documented_and_named_as_it_is_filed(op: Op) -> None:
    assert CATALOG[op.name] is op
    assert op.doc.endswith(".") and len(op.doc) > 15
    assert all(attr.doc for attr in op.attrs)


@pytest.mark.parametrize("op", KERNELS, ids=lambda op: op.name)
def test_every_kernel_has_at_least_two_samples_with_all_its_attributes(op: Op) -> None:
    assert len(op.samples) >= 2
    for sample in op.samples:
        assert set(sample.attrs) == {attr.name for attr in op.attrs}
        assert op.variadic or len(sample.types) == len(op.operands)


def test_no_two_ops_have_one_name() -> None:
    assert len(CATALOG) == sum(map(len, FAMILIES.values()))


@pytest.mark.parametrize("use", USES, ids=str)
def test_a_kernel_writes_every_element_whatever_was_there_before(use: Use) -> None:
    ins = use.operands()
    assert_identical(run(use, ins, garbage=0x00), run(use, ins, garbage=0xFF))


@pytest.mark.parametrize("use", USES, ids=str)
def test_a_kernel_leaves_its_operands_as_they_are(use: Use) -> None:
    ins = use.operands()
    before = [x.copy() for x in ins]
    run(use, ins)
    assert_identical(ins, before)


@pytest.mark.parametrize(
    ("use", "position"), IN_PLACE, ids=[f"{use}-{position}" for use, position in IN_PLACE]
)
def test_a_result_may_take_over_an_operand_that_the_op_offers(use: Use, position: int) -> None:
    expected = run(use, use.operands())
    ins = use.operands()
    call(use, [ins[position]], ins)
    assert_identical([ins[position]], expected)


@pytest.mark.parametrize("op", KERNELS, ids=lambda op: op.name)
def test_a_kernel_takes_every_dtype_that_its_rule_takes(op: Op) -> None:
    for use in filter(is_small, uses_of(op)):
        for dtype in DTYPES:
            other = retyped(use, dtype)
            if accepted(other):
                ins = other.operands()
                assert_identical(run(other, ins, garbage=0x00), run(other, ins, garbage=0xFF))


def retyped(use: Use, dtype: str) -> Use:
    """The same use with its f32 operands in another dtype."""
    types = tuple(TensorType(dtype, t.shape) if t.dtype == "f32" else t for t in use.types)
    unsigned = replace(use.sample, low=max(1, use.sample.low), high=max(2, use.sample.high))
    return replace(use, types=types, sample=unsigned if dtype in INTS else use.sample)


def accepted(use: Use) -> bool:
    try:
        use.results()
    except Reject:
        return False
    return True


def is_small(use: Use) -> bool:
    return all(t.size <= MOST_ELEMENTS for t in (*use.types, *use.results()))


@pytest.mark.parametrize("use", ELEMENTWISE, ids=str)
def test_an_elementwise_kernel_takes_any_strides(use: Use) -> None:
    ins = use.operands()
    out = filled(use.results()[0], 0xFF)
    room = np.repeat(out[..., None], 3, axis=-1)
    call(use, [room[..., 1]], [spread(x, out.ndim) for x in ins])
    assert_identical([room[..., 1].copy()], run(use, ins))


def spread(x: np.ndarray, rank: int) -> np.ndarray:
    """The same values as a view with gaps, and with the axes that broadcasting would add."""
    gaps = np.repeat(x[..., None], 2, axis=-1)[..., 0]
    return gaps.reshape((1,) * (rank - x.ndim) + x.shape) if x.ndim else gaps


@pytest.mark.parametrize("use", LARGE, ids=str)
def test_a_kernel_allocates_nothing_large(use: Use) -> None:
    ins, outs, scratch = use.operands(), results_for(use, 0), scratch_for(use)
    call(use, outs, ins)
    tracemalloc.start()
    with np.errstate(all="ignore"):
        use.op.kernel(outs, ins, use.sample.attrs, scratch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < BLOCK_BYTES


@pytest.mark.parametrize("op", KERNELS, ids=lambda op: op.name)
def test_the_cost_of_an_op_is_a_number_of_operations_and_of_bytes(op: Op) -> None:
    for use in uses_of(op):
        cost = op.cost(use.types, use.results(), use.sample.attrs)
        assert cost.flops >= 0 and cost.bytes >= 0


def in_double(use: Use) -> Use:
    """The same use with every float in f64, so that differences are meaningful."""
    attrs = {k: "f64" if v in FLOATS else v for k, v in use.sample.attrs.items()}
    types = tuple(TensorType("f64", t.shape) if t.dtype in FLOATS else t for t in use.types)
    return replace(use, sample=replace(use.sample, attrs=attrs), types=types)


def differentiable(use: Use) -> bool:
    """Whether differences say what the gradient is; `stop_gradient` is there to deny that."""
    return (
        use.op.name != "stop_gradient"
        and any(t.dtype == "f64" for t in use.types)
        and all(t.dtype == "f64" for t in use.results())
        and is_small(use)
    )


DIFFERENTIABLE = [use for use in map(in_double, USES) if use.op.gradient and differentiable(use)]


@pytest.mark.parametrize("use", DIFFERENTIABLE, ids=str)
def test_a_gradient_agrees_with_central_differences(use: Use) -> None:
    ins = use.operands()
    cotangents = [np.random.default_rng(7).normal(size=t.sizes) for t in use.results()]
    for position, found in enumerate(gradients(use, ins, cotangents)):
        if use.types[position].dtype != "f64":
            assert found is None
            continue
        flat = ins[position].reshape(-1)
        probes = np.linspace(0, flat.size - 1, min(PROBES, flat.size)).astype(int)
        for i in probes:
            expected = difference(use, ins, flat, i, cotangents)
            actual = 0.0 if found is None else found.reshape(-1)[i]
            assert actual == pytest.approx(expected, rel=1e-6, abs=1e-7), (position, i)


def difference(
    use: Use, ins: list[np.ndarray], flat: np.ndarray, i: int, cotangents: list[np.ndarray]
) -> float:
    """The central difference of the results, weighted by the cotangents, at element `i` of `flat`.

    `flat` is a view of the operand in question.
    """
    value, step = flat[i], 1e-5
    flat[i] = value + step
    above = run(use, ins)
    flat[i] = value - step
    below = run(use, ins)
    flat[i] = value
    pairs = zip(above, below, cotangents, strict=True)
    return sum(float(np.sum((a - b) / (2 * step) * c)) for a, b, c in pairs)


def gradients(
    use: Use, ins: list[np.ndarray], cotangents: list[np.ndarray]
) -> list[np.ndarray | None]:
    """The op's gradient rule, emitted as a graph and evaluated kernel by kernel."""
    build = Builder()
    operands = tuple(build.input(f"x{i}", t) for i, t in enumerate(use.types))
    results = build.emit(use.op.name, operands, use.sample.attrs)
    flows = tuple(build.input(f"g{i}", t) for i, t in enumerate(use.results()))
    found = use.op.gradient(build, Forward(operands, results, use.sample.attrs), flows)
    assert len(found) == len(operands)
    given = {f"x{i}": x for i, x in enumerate(ins)} | {f"g{i}": g for i, g in enumerate(cotangents)}
    values = evaluate(build, given)
    for operand, value in zip(operands, found, strict=True):
        assert value is None or value.type == operand.type
    return [None if v is None else values[v.ref] for v in found]


def evaluate(build: Builder, given: dict[str, np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    values: dict[tuple[int, int], np.ndarray] = {}
    for node in build.nodes:
        if node.op == "input":
            values[node.id, 0] = given[node.attrs["name"]]
        elif node.op == "const":
            values[node.id, 0] = np.array(node.attrs["value"], node.type.storage)
        else:
            types = tuple(build.value(ref).type for ref in node.operands)
            use = Use(CATALOG[node.op], Sample((), node.attrs), 0, types)
            for i, out in enumerate(run(use, [values[ref] for ref in node.operands])):
                values[node.id, i] = out
    return values


@pytest.mark.parametrize(
    ("op", "operands", "expected"),
    [
        ("maximum", [0.0, 0.0], [0, 1]),  # so that a rectifier has the gradient 0 at 0
        ("minimum", [2.0, 2.0], [0, 1]),
        ("abs", [0.0], [0]),
        ("pow", [0.0, 1.0], [1, 0]),
        ("pow", [0.0, 0.0], [0, 0]),
        ("pow", [-3.0, 2.0], [-6, 0]),
    ],
)
def test_a_gradient_is_chosen_as_documented_where_there_is_none(
    op: str, operands: list[float], expected: list[float]
) -> None:
    use = Use(CATALOG[op], Sample(()), 0, (TensorType("f64"),) * len(operands))
    found = gradients(use, [np.array(x) for x in operands], [np.array(1.0)])
    assert [float(x) for x in found if x is not None] == expected


def test_no_gradient_flows_into_what_where_did_not_choose() -> None:
    types = (TensorType("bool", (2,)), TensorType("f64", (2,)), TensorType("f64", (2,)))
    ins = [np.array([True, False]), np.array([1.0, np.nan]), np.array([np.inf, 1.0])]
    found = gradients(Use(CATALOG["where"], Sample(()), 0, types), ins, [np.array([5.0, 7.0])])
    assert found[0] is None
    assert [x.tolist() for x in found if x is not None] == [[5, 0], [0, 7]]
