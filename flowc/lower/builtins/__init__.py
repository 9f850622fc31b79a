"""The functions that the compiler provides: the catalog's ops as the language spells them."""

from flowc.lower.builtins import (
    elementwise,
    images,
    indices,
    meta,
    padding,
    products,
    randomness,
    reductions,
    shapes,
)
from flowc.lower.values import Builtin
from flowc_runtime.types import DTYPES

FAMILIES: dict[str, tuple[Builtin, ...]] = {
    "elementwise": elementwise.FUNCTIONS,
    "reductions": reductions.FUNCTIONS,
    "products": products.FUNCTIONS,
    "shapes": (*shapes.FUNCTIONS, *padding.FUNCTIONS),
    "indices": indices.FUNCTIONS,
    "images": images.FUNCTIONS,
    "random numbers": randomness.FUNCTIONS,
    "facts while compiling": meta.FUNCTIONS,
}

# Every name that needs no definition: functions, dtypes (their value is their name), constants.
BUILTINS: dict[str, object] = {
    **{f.name: f for family in FAMILIES.values() for f in family},
    **{dtype: dtype for dtype in DTYPES},
    "pi": 3.141592653589793,
}
