"""The catalog: every primitive that a plan may name, by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flowc_runtime.ops import (
    along,
    arithmetic,
    bits,
    compare,
    conv,
    elements,
    indexing,
    joining,
    leaf,
    linalg,
    matmul,
    movement,
    pool,
    random,
    reduce,
    resize,
    rows,
    select,
    slicing,
    sorting,
    unary,
)
from flowc_runtime.ops.op import Op

# The families, in the order of the reference page.
FAMILIES: Mapping[str, tuple[Op, ...]] = MappingProxyType(
    {
        "leaves": leaf.OPS,
        "functions of one operand": unary.OPS,
        "arithmetic": arithmetic.OPS,
        "comparison and logic": compare.OPS,
        "bits of integers": bits.OPS,
        "choice and conversion": select.OPS,
        "reductions": reduce.OPS,
        "along an axis": (*along.OPS, *sorting.OPS),
        "matrix products": (*matmul.OPS, *linalg.OPS),
        "convolution": conv.OPS,
        "pooling": pool.OPS,
        "resizing": resize.OPS,
        "movement": (*movement.OPS, *joining.OPS),
        "slices": slicing.OPS,
        "indexing": (*indexing.OPS, *elements.OPS, *rows.OPS),
        "random numbers": random.OPS,
    }
)

CATALOG: Mapping[str, Op] = MappingProxyType(
    {op.name: op for family in FAMILIES.values() for op in family}
)
