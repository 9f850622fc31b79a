"""The cases, by family; each family has one file of references."""

from __future__ import annotations

from collections.abc import Mapping

from numerics.case import Case
from numerics.cases import (
    arithmetic,
    blocks,
    elementwise,
    images,
    indices,
    losses,
    products,
    reductions,
    sequences,
    shapes,
    vision,
)

FAMILIES: Mapping[str, tuple[Case, ...]] = {
    "elementwise": elementwise.CASES,
    "arithmetic": arithmetic.CASES,
    "reductions": reductions.CASES,
    "products": products.CASES,
    "shapes": shapes.CASES,
    "indices": indices.CASES,
    "images": images.CASES,
    "vision": vision.CASES,
    "blocks": blocks.CASES,
    "losses": losses.CASES,
    "sequences": sequences.CASES,
}
