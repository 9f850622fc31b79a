"""Work: what an instruction asks of a processor, in quantities that seconds can be fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType

from flowc_runtime.blocking import Blocking, Dims, blocking
from flowc_runtime.expression import ROW_OPS, Line, parse_expression
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Attrs, Types
from flowc_runtime.plan import Buffer, Instruction
from flowc_runtime.types import TensorType

CACHE_BYTES = 1 << 20  # of a core: what is touched beyond it comes from further away
QUANTITIES = ("calls", "parts", "flops", "bytes", "far_bytes")
ROUND = "round"  # of a scan: what it costs besides its body and its copies


@dataclass(frozen=True, slots=True)
class Work:
    """Quantities of one kind of work. `key` is an op of the catalog, of the planner, or ROUND.

    `calls` are calls into NumPy; `parts` the inner loops that they make (matrices of a batched
    product, rows of a reduction, runs of a copy); `far_bytes` those of `bytes` that belong to
    a working set which no core's own cache holds.
    """

    key: str
    calls: float = 1
    parts: float = 0
    flops: float = 0
    bytes: float = 0
    far_bytes: float = 0

    @property
    def amounts(self) -> tuple[float, ...]:
        """In the order of QUANTITIES."""
        return (self.calls, self.parts, self.flops, self.bytes, self.far_bytes)

    def times(self, count: float) -> Work:
        return replace(
            self, calls=count * self.calls, parts=count * self.parts, flops=count * self.flops,
            bytes=count * self.bytes, far_bytes=count * self.far_bytes)  # fmt: skip


def copying(bytes: int, tensors: int = 1) -> Work:
    """Tensors copied from one place to another: read and written."""
    return Work("copy", tensors, 0, 0, 2 * bytes, _far(2 * bytes))


def adding(bytes: int, tensors: int = 1) -> Work:
    """Tensors added to others of their size: two read, one written."""
    return Work("add", tensors, 0, bytes / 4, 3 * bytes, _far(3 * bytes))


def works_of(instruction: Instruction, buffers: Sequence[Buffer]) -> tuple[Work, ...]:
    """The works of one execution of an instruction whose buffers are these."""
    operands = tuple(buffers[k].type for k in instruction.operands)
    results = tuple(buffers[k].type for k in instruction.results)
    if instruction.op == "fused":
        return tuple(_fused(instruction, operands, results))
    if instruction.op == "copy":
        return (copying(results[0].bytes),)
    if instruction.body is not None:
        return tuple(_scan(instruction, operands, results))
    if CATALOG[instruction.op].elementwise:
        return (_elementwise(instruction.op, operands, results[0]),)
    return (_by_kind(instruction, operands, results),)


def _by_kind(instruction: Instruction, operands: Types, results: Types) -> Work:
    """An op of the catalog that is not elementwise."""
    op, attrs, flops = instruction.op, instruction.attrs, instruction.flops
    parts = PARTS.get(op, _one_part)(operands, results, attrs)
    if op.startswith("reduce_") and operands[0].rank - 1 in attrs["axes"]:
        op = f"{op} of rows"
    if op == "transpose" and attrs["perm"][-1] != len(attrs["perm"]) - 1:
        flops = prod(results[0].sizes)  # elements that are gathered one by one
    return Work(op, 1, parts, flops, instruction.bytes, _far(instruction.bytes))


def _far(bytes: float, working_set: float | None = None) -> float:
    return bytes if (bytes if working_set is None else working_set) > CACHE_BYTES else 0


# --- elementwise ------------------------------------------------------------------------------


def _elementwise(op: str, operands: Types, result: TensorType) -> Work:
    bytes = sum(t.bytes for t in (*operands, result))
    elements = prod(result.sizes)
    whole = all(t.shape == result.shape or prod(t.sizes) == 1 for t in operands)
    parts = 0 if whole else _outer(result)
    return Work(op, 1, parts, elements, bytes, _far(bytes))


def _outer(type: TensorType) -> int:
    """The rows of a tensor."""
    return prod(type.sizes[:-1])


def _fused(instruction: Instruction, operands: Types, results: Types) -> Iterator[Work]:
    expression = parse_expression(instruction.attrs["lines"])
    walk = blocking(expression, operands, results, instruction.attrs["shape"])
    count = prod(-(-n // b) if b else 1 for n, b in zip(walk.shape, walk.block, strict=True))
    working_set = _block_bytes(walk)
    for line in expression.lines:
        yield _line(line, walk, working_set).times(count)


def _block_bytes(walk: Blocking) -> int:
    """What a block's operands, results and temporaries come to."""
    outside = sum(
        prod(_clip(dims, walk)) * walk.types.get(name, walk.types["o0"]).storage.itemsize
        for name, dims in walk.dims.items() if name[0] in "io"
    )
    return outside + walk.kernel_scratch


def _line(line: Line, walk: Blocking, working_set: int) -> Work:
    """A line in one block."""
    size = _clip(walk.values[line.name], walk)
    if line.op in ROW_OPS:
        size = _clip(walk.values[line.reads[0]], walk)
    read = [_clip(walk.values[a], walk) for a in line.reads]
    bytes = sum(
        prod(dims) * walk.types[a].storage.itemsize
        for a, dims in zip((line.name, *line.reads), (size, *read), strict=True)
    )
    rows = prod(size[:-1]) if line.op in ROW_OPS or _is_broadcast(size, read) else 0
    return Work(line.op, 1, rows, prod(size), bytes, _far(bytes, working_set))


def _is_broadcast(size: Dims, read: Sequence[Dims]) -> bool:
    """Whether an argument with more than one element is repeated along an axis."""
    return any(dims != size and prod(dims) != 1 for dims in read)


def _clip(dims: Dims, walk: Blocking) -> Dims:
    return tuple(
        b if d == n else d for d, n, b in zip(dims, walk.shape, walk.block, strict=True))


# --- loops ------------------------------------------------------------------------------------


def _scan(instruction: Instruction, operands: Types, results: Types) -> Iterator[Work]:
    """The body's works and the copies in and out, as often as there are rounds."""
    body, attrs = instruction.body, instruction.attrs
    assert body is not None
    rounds = attrs["length"]
    yield Work(ROUND, rounds)
    for inner in body.instructions:
        for work in works_of(inner, body.buffers):
            yield work.times(rounds)
    moved = [*operands[: attrs["sequences"]], *results[attrs["carries"] :]]
    for type in moved:
        if rounds:
            yield copying(type.bytes // rounds).times(rounds)


# --- the inner loops of the catalog's ops -----------------------------------------------------

Count = Callable[[Types, Types, Attrs], float]


def _one_part(operands: Types, results: Types, attrs: Attrs) -> float:
    return 0


def _matrices(operands: Types, results: Types, attrs: Attrs) -> float:
    """Products of matrices; one where `b` is the same for all of a's, which lie in a row."""
    if operands[1].rank == 2 and not attrs["transpose_a"]:
        return 1
    return prod(results[0].sizes[:-2])


def _taps(operands: Types, results: Types, attrs: Attrs) -> float:
    return prod(attrs["window"])


def _reduced(operands: Types, results: Types, attrs: Attrs) -> float:
    """Rows that are reduced one by one, where the last axis is among them."""
    rank = operands[0].rank
    return prod(results[0].sizes) if rank - 1 in attrs["axes"] else 0


def _rows(operands: Types, results: Types, attrs: Attrs) -> float:
    return _outer(results[0])


def _indices(operands: Types, results: Types, attrs: Attrs) -> float:
    return prod(min((t for t in operands if t.kind == "int"), key=lambda t: t.bytes).sizes)


PARTS: Mapping[str, Count] = MappingProxyType(
    {
        "matmul": _matrices,
        "max_pool": _taps, "max_pool_grad": _taps, "avg_pool": _taps, "avg_pool_grad": _taps,
        "reduce_sum": _reduced, "reduce_max": _reduced, "reduce_min": _reduced,
        "reduce_prod": _reduced, "reduce_any": _reduced, "reduce_all": _reduced,
        "argmax": lambda o, r, a: prod(r[0].sizes), "argmin": lambda o, r, a: prod(r[0].sizes),
        "gather": _indices, "scatter_add": _indices, "take_along": _indices, "put_along": _indices,
        "row_totals": _indices, "put_rows": _indices, "gather_along": _indices,
        "scatter_add_along": _indices,
        "argsort": lambda o, r, a: prod(r[0].sizes) / max(1, r[0].sizes[a["axis"]]),
        "transpose": _rows, "slice": _rows, "unslice": _rows, "concat": _rows, "pad": _rows,
        "broadcast": _rows,
    }
)  # fmt: skip
