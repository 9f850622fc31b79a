"""Edits of one picture: resized, cut, turned round, coloured; by random numbers that are given.

A picture is u8[height, width] or u8[height, width, channels]. The random numbers of an edit are
uniform in [0, 1); an edit says how many it takes, and is a pure function of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flowc_runtime.data.dataset import OPEN
from flowc_runtime.data.pillow import MOST_PIXELS, pillow

Sides = tuple[int, int]  # height, width; OPEN where that differs from picture to picture
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601 luma, as in Pillow


class Unfit(Exception):
    """A picture that an edit cannot take; the message says why."""


@dataclass(frozen=True)
class Edit:
    """`sides` gives the sides after from those before, `apply` the picture after.

    Both raise Unfit.
    """

    draws: int
    sides: Callable[[Sides], Sides]
    apply: Callable[[np.ndarray, Sequence[float]], np.ndarray]


def resize(size: int | Sequence[int]) -> Edit:
    """To [height, width], or until the shorter side has so many pixels; bilinear, antialiased."""

    def sides(before: Sides) -> Sides:
        if not isinstance(size, int):
            return _bounded((size[0], size[1]))
        height, width = before
        if OPEN in before:
            return (size, size) if before == (size, size) else (OPEN, OPEN)
        short = min(height, width)
        return _bounded(
            ((height * size + short // 2) // short, (width * size + short // 2) // short))

    return Edit(0, sides, lambda picture, _: resized(picture, sides(_sides(picture))))


def center_crop(size: int | Sequence[int]) -> Edit:
    """The middle of the picture."""
    target = _pair(size)

    def apply(picture: np.ndarray, _: Sequence[float]) -> np.ndarray:
        rows, columns = _room(_sides(picture), target)
        return _cut(picture, (rows // 2, columns // 2), target)

    return Edit(0, lambda before: _checked(before, target), apply)


def random_crop(size: int | Sequence[int], pad: int) -> Edit:
    """Any part of that size, of the picture with `pad` black pixels on every side."""
    target = _pair(size)

    def apply(picture: np.ndarray, random: Sequence[float]) -> np.ndarray:
        border = ((pad, pad), (pad, pad), (0, 0))[: picture.ndim]
        padded = np.pad(picture, border) if pad else picture
        room = _room(_sides(padded), target)
        start = tuple(int(u * (free + 1)) for u, free in zip(random, room, strict=True))
        return _cut(padded, (start[0], start[1]), target)

    def sides(before: Sides) -> Sides:
        height, width = (side if side == OPEN else side + 2 * pad for side in before)
        return _checked((height, width), target)

    return Edit(2, sides, apply)


def random_resized_crop(
    size: int | Sequence[int], scale: Sequence[float], ratio: Sequence[float]
) -> Edit:
    """A part of random area and proportions, resized (Szegedy et al. 2015, section 6).

    `scale` bounds its share of the area, `ratio` width / height. Where the part would be wider
    or higher than the picture it is clipped, not drawn again, so that the random numbers that
    an example takes are always as many.
    """
    target = _pair(size)

    def apply(picture: np.ndarray, random: Sequence[float]) -> np.ndarray:
        height, width = _sides(picture)
        area = height * width * _between(scale, random[0])
        proportion = math.exp(_between([math.log(r) for r in ratio], random[1]))
        high = min(height, max(1, round(math.sqrt(area / proportion))))
        wide = min(width, max(1, round(math.sqrt(area * proportion))))
        top, left = int(random[2] * (height - high + 1)), int(random[3] * (width - wide + 1))
        return resized(_cut(picture, (top, left), (high, wide)), target)

    return Edit(4, lambda before: _bounded(target), apply)


def random_flip(chance: float, vertical: bool) -> Edit:
    """Left and right changed, or top and bottom."""
    axis = 0 if vertical else 1
    return Edit(
        1,
        lambda before: before,
        lambda picture, random: np.flip(picture, axis) if random[0] < chance else picture,
    )


def color_jitter(brightness: float, contrast: float, saturation: float, hue: float) -> Edit:
    """Colours as under other light; as torchvision's `ColorJitter`, in this fixed order.

    Brightness, contrast and saturation are multiplied by a factor in [1 - x, 1 + x], the hue is
    turned by up to `hue` of a whole turn either way.
    """

    def apply(picture: np.ndarray, random: Sequence[float]) -> np.ndarray:
        colours = picture.astype(np.float32)
        for strength, u, towards in zip(
            (brightness, contrast, saturation), random, (_black, _mean_grey, _grey), strict=False
        ):
            if strength:
                factor = max(0.0, _between((1 - strength, 1 + strength), u))
                colours = np.clip(colours * factor + towards(colours) * (1 - factor), 0, 255)
        rounded = np.rint(colours).astype(np.uint8)
        return _turned(rounded, _between((-hue, hue), random[3])) if hue else rounded

    return Edit(4, lambda before: before, apply)


def resized(picture: np.ndarray, sides: Sides) -> np.ndarray:
    """The picture with these sides, bilinear; where it shrinks, every pixel counts."""
    if _sides(picture) == sides:
        return picture
    image = pillow().Image
    if picture.ndim == 3 and picture.shape[2] != 3:  # Pillow would weigh colours by a fourth
        layers = [resized(picture[..., c], sides) for c in range(picture.shape[2])]
        return np.stack(layers, -1)
    small = image.fromarray(picture).resize(sides[::-1], image.Resampling.BILINEAR)
    return np.asarray(small)


def _sides(picture: np.ndarray) -> Sides:
    return picture.shape[0], picture.shape[1]


def _pair(size: int | Sequence[int]) -> Sides:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _bounded(after: Sides) -> Sides:
    if math.prod(after) > MOST_PIXELS:
        raise Unfit(f"it would have {_by(after)} pixels; the limit is {MOST_PIXELS:,}")
    return after


def _checked(before: Sides, target: Sides) -> Sides:
    if any(side != OPEN and side < wanted for side, wanted in zip(before, target, strict=True)):
        raise Unfit(f"{_by(before)} pixels hold no part of {_by(target)}")
    return target


def _room(before: Sides, target: Sides) -> Sides:
    """How many pixels are left over, downwards and to the right."""
    _checked(before, target)
    return before[0] - target[0], before[1] - target[1]


def _by(sides: Sides) -> str:
    return " x ".join("?" if side == OPEN else str(side) for side in sides)


def _cut(picture: np.ndarray, start: Sides, sides: Sides) -> np.ndarray:
    return picture[start[0] : start[0] + sides[0], start[1] : start[1] + sides[1]]


def _between(ends: Sequence[float], u: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * u


def _black(colours: np.ndarray) -> np.ndarray:
    return np.zeros((), np.float32)


def _grey(colours: np.ndarray) -> np.ndarray:
    if colours.ndim == 2 or colours.shape[2] != 3:
        return colours
    return np.asarray(colours @ _GREY)[..., None]


def _mean_grey(colours: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(_grey(colours).mean(dtype=np.float64)), np.float32)


def _turned(picture: np.ndarray, turn: float) -> np.ndarray:
    if picture.ndim == 2 or picture.shape[2] != 3:
        raise Unfit("a hue is of pictures with three channels")
    image = pillow().Image
    shades = np.array(image.fromarray(picture).convert("HSV"))
    shades[..., 0] += np.uint8(round(turn * 255) % 256)
    turned = image.fromarray(shades, "HSV").convert("RGB")
    return np.asarray(turned)
