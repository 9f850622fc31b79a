"""What is measured where no model is given: ops of the catalog at sizes that models have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Attrs, Types
from flowc_runtime.types import parse_type


@dataclass(frozen=True)
class Case:
    """An op on operands of these types; integers are drawn from 0 up to `below`."""

    op: str
    operands: Types
    attrs: Attrs
    below: int = 2


# Elements of elementwise calls: a single number, within a core's cache, and well beyond it.
ELEMENTS = (1, 4_096, 65_536, 1_000_000)
ROWS = ((128, 10), (2_048, 32), (256, 1_000))

# rows, inner size, columns: thin, square and large products.
PRODUCTS = (
    (1, 64, 64), (32, 8, 1), (20, 8, 8), (32, 64, 64), (32, 256, 1_024), (128, 784, 512),
    (128, 512, 10), (512, 512, 512), (2_048, 256, 64), (2_048, 128, 512),
)  # fmt: skip
# matrices, rows, inner size, columns
BATCHED = ((8, 64, 32, 64), (128, 64, 32, 64), (128, 64, 64, 32))
# images, side, channels, window, filters
CONVOLUTIONS = (
    (8, 8, 1, 3, 4), (32, 28, 1, 5, 20), (64, 28, 1, 5, 20), (32, 12, 20, 5, 50),
    (64, 12, 20, 5, 50), (16, 32, 32, 3, 32), (8, 16, 64, 3, 96),
)  # fmt: skip
POOLS = ((4, 8, 4, 2), (64, 24, 20, 2), (64, 8, 50, 2), (16, 32, 32, 2))
TABLES = ((64, 16, 32), (1_000, 64, 2_048), (5_000, 128, 8_192))  # rows, width, indices
RANDOM = (1, 1_024, 65_536, 400_000)
UNPADDED = ((0, 0), (0, 0))
PLAIN: Mapping[str, Any] = {
    "stride": (1, 1), "padding": UNPADDED, "dilation": (1, 1), "groups": 1,
}  # fmt: skip


def cases() -> Iterator[Case]:
    """All that `flowc calibrate` measures, family by family."""
    yield from _elementwise()
    yield from _reductions()
    yield from _products()
    yield from _convolutions()
    yield from _pooling()
    yield from _resizing()
    yield from _movement()
    yield from _tables()
    yield from _random()


def _case(op: str, *types: str, below: int = 2, **attrs: Any) -> Case:
    optional = CATALOG[op].attrs if op in CATALOG else ()
    given = {a.name: a.default for a in optional if not a.required}
    return Case(op, tuple(map(parse_type, types)), {**given, **attrs}, below)


def _elementwise() -> Iterator[Case]:
    for op in sorted(CATALOG):
        if CATALOG[op].elementwise:
            for count in ELEMENTS:
                yield _line(op, f"{count}")
    for rows, columns in ROWS:
        for op in ("add", "mul"):
            lines = (f"o0 = {op}(i0, i1)",)
            yield _case("fused", f"f32[{rows}, {columns}]", f"f32[{columns}]", lines=lines,
                        shape=(rows, columns))  # fmt: skip
    for op in ("row_sum", "row_max", "row_min"):
        for rows, columns in ((1, 16), *ROWS):
            yield _case("fused", f"f32[{rows}, {columns}]", lines=(f"o0 = {op}(i0)",),
                        shape=(rows, columns))  # fmt: skip
    for count in ELEMENTS:
        yield _case("copy", f"f32[{count}]")


def _line(op: str, shape: str) -> Case:
    """The op as a kernel of one line, as plans have it."""
    kinds = {"where": ("bool", "f32", "f32"), "logical_not": ("bool",),
             "logical_and": ("bool", "bool"), "logical_or": ("bool", "bool"),
             "cast": ("i32",),
             **dict.fromkeys(("bit_and", "bit_or", "bit_xor"), ("i32", "i32"))}  # fmt: skip
    dtypes = kinds.get(op, ("f32",) * len(CATALOG[op].operands))
    names = ", ".join(f"i{k}" for k in range(len(dtypes)))
    attrs = ", {dtype=f32}" if op == "cast" else ""
    size = int(shape)
    return _case("fused", *(f"{d}[{shape}]" for d in dtypes),
                 lines=(f"o0 = {op}({names}{attrs})",), shape=(size,))  # fmt: skip


def _reductions() -> Iterator[Case]:
    ops = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod")
    for op in ops:
        for rows, columns in ((1, 16), *ROWS):
            for axes in ((0,), (1,), (0, 1)):
                yield _case(op, f"f32[{rows}, {columns}]", axes=axes, keep=False)
    for op in ("reduce_any", "reduce_all"):
        for rows, columns in ((1, 16), *ROWS):
            yield _case(op, f"bool[{rows}, {columns}]", axes=(1,), keep=False)
    for op in ("argmax", "argmin"):
        for rows, columns in ((1, 16), *ROWS):
            yield _case(op, f"f32[{rows}, {columns}]", axis=1)
    for rows, columns in ROWS:
        yield _case("cumsum", f"f32[{rows}, {columns}]", axis=1, reverse=False)
        yield _case("argsort", f"f32[{rows}, {columns}]", axis=1)


def _products() -> Iterator[Case]:
    for n, k, m in PRODUCTS:
        yield _case("matmul", f"f32[{n}, {k}]", f"f32[{k}, {m}]")
        yield _case("matmul", f"f32[{k}, {n}]", f"f32[{k}, {m}]", transpose_a=True)
        yield _case("matmul", f"f32[{n}, {k}]", f"f32[{m}, {k}]", transpose_b=True)
    for matrices, n, k, m in BATCHED:
        yield _case("matmul", f"f32[{matrices}, {n}, {k}]", f"f32[{matrices}, {k}, {m}]")
        yield _case("matmul", f"f32[{matrices}, {n}, {k}]", f"f32[{matrices}, {m}, {k}]",
                    transpose_b=True)  # fmt: skip
    for side in (16, 128):
        yield _case("orthogonalize", f"f32[{2 * side}, {side}]")


def _convolutions() -> Iterator[Case]:
    for images, side, channels, window, filters in CONVOLUTIONS:
        out = side - window + 1
        x, w = (images, side, side, channels), (window, window, channels, filters)
        image, kernel = f"f32{list(x)}", f"f32{list(w)}"
        g = f"f32[{images}, {out}, {out}, {filters}]"
        yield _case("conv", image, kernel, **PLAIN)
        yield _case("conv_input_grad", g, kernel, shape=x, **PLAIN)
        yield _case("conv_weight_grad", image, g, shape=w, **PLAIN)


def _pooling() -> Iterator[Case]:
    for images, side, channels, window in POOLS:
        small = f"f32[{images}, {side // window}, {side // window}, {channels}]"
        x = (images, side, side, channels)
        large = f"f32{list(x)}"
        attrs: dict[str, Any] = {"window": (window, window), "stride": (window, window),
                                 "padding": UNPADDED, "dilation": (1, 1)}  # fmt: skip
        yield _case("max_pool", large, **attrs)
        yield _case("max_pool_grad", large, small, small, **attrs)
        yield _case("avg_pool", large, counted=UNPADDED, **attrs)
        yield _case("avg_pool_grad", small, shape=x, counted=UNPADDED, **attrs)


def _resizing() -> Iterator[Case]:
    for images, side, channels, factor in POOLS:
        x, small = (images, side, side, channels), f"f32[{images}, {side}, {side}, {channels}]"
        large = f"f32[{images}, {factor * side}, {factor * side}, {channels}]"
        for method in ("linear", "floor"):
            attrs: dict[str, Any] = {"ratio": ((1, factor), (1, factor)), "shift": 0.5,
                                     "method": method}  # fmt: skip
            yield _case("resize", small, sizes=(factor * side, factor * side), **attrs)
            yield _case("resize_grad", large, shape=x, **attrs)


def _movement() -> Iterator[Case]:
    for rows, columns in ((1, 16), *ROWS, (2_048, 256)):
        x = f"f32[{rows}, {columns}]"
        half = columns // 2
        yield _case("transpose", x, perm=(1, 0))
        yield _case("transpose", f"f32[4, {rows}, {half}]", perm=(1, 0, 2))
        yield _case("transpose", f"f32[{rows}, 4, {columns}]", perm=(1, 0, 2))
        yield _case("broadcast", f"f32[{columns}]", shape=(rows, columns))
        yield _case("concat", x, x, axis=1)
        part: dict[str, Any] = {"starts": (0, 0), "stops": (rows, half), "steps": (1, 1)}
        yield _case("slice", x, **part)
        yield _case("unslice", f"f32[{rows}, {half}]", shape=(rows, columns), **part)
        yield _case("pad", x, before=(1, 1), after=(1, 1), value=0.0)
        yield _case("iota", shape=(rows, columns), axis=1, dtype="i32")


def _tables() -> Iterator[Case]:
    for rows, width, indices in TABLES:
        table, index = f"f32[{rows}, {width}]", f"i32[{indices}]"
        yield _case("gather", table, index, below=rows)
        yield _case("scatter_add", index, f"f32[{indices}, {width}]", below=rows, rows=rows)
        yield _case("take_along", f"f32[{indices}, {width}]", index, below=width)
        yield _case("put_along", index, f"f32[{indices}]", below=width, size=width)
        yield _case("gather_along", table, f"i32[{indices}, {width}]", axis=0, below=rows)
        yield _case("scatter_add_along", f"i32[{indices}, {width}]", f"f32[{indices}, {width}]",
                    axis=0, size=rows, below=rows)  # fmt: skip
        yield _case("row_totals", index, f"f32[{indices}, {width}]", below=rows)
        yield _case("put_rows", table, index, f"f32[{indices}, {width}]", below=rows)
        folded = f"i32[16, {indices // 16}]"
        yield _case("take_along", f"f32[16, {indices // 16}, {width}]", folded, below=width)
        yield _case("put_along", folded, f"f32[16, {indices // 16}]", below=width, size=width)


def _random() -> Iterator[Case]:
    for op in ("random_uniform", "random_normal"):
        for count in RANDOM:
            yield _case(op, "i64[]", "i64[]", shape=(count,), dtype="f32", stream=1)
