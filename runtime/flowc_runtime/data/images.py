"""Folders of images, one subfolder a class; decoded when they are read, by Pillow."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flowc_runtime.data.conversion import field_dtype
from flowc_runtime.data.dataset import OPEN, Dataset, Field, OneByOne, Visit
from flowc_runtime.data.errors import DataError, damage, did_you_mean
from flowc_runtime.data.folder import Folder
from flowc_runtime.data.names import Known
from flowc_runtime.data.pillow import MOST_PIXELS, pillow

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".webp")
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # 8 bits or less a sample
_STRAYS = ("Thumbs.db", "desktop.ini")  # left by file managers, like names that begin with a dot
_REPLACEMENTS = 100  # damaged images in a row, after which the folder is no data

Damaged = Literal["error", "replace"]


@dataclass(frozen=True)
class Look:
    """How files become pictures: cut and scaled to `size` (height, width) if there is one."""

    size: tuple[int, int] | None = None
    damaged: Damaged = "error"


class Images(OneByOne):
    """The images of a folder: u8[height, width, 3], and the number of their class."""

    shuffled = False

    def __init__(
        self, folder: Folder, origin: str, fields: tuple[Field, ...],
        files: Sequence[tuple[str, int]], look: Look,
    ):  # fmt: skip
        self.origin = origin
        self.fields = fields
        self._folder = folder
        self._files = files
        self._look = look
        self._pillow = pillow(origin)

    def __len__(self) -> int:
        return len(self._files)

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        """The picture and its class; where that is asked for, those of the next sound file."""
        attempts = _REPLACEMENTS if self._look.damaged == "replace" else 1
        for last in reversed(range(min(attempts, len(self)))):
            path, label = self._files[index]
            try:
                picture = _decode(self._pillow, self._folder, path, self._look.size)
                return picture, np.array(label)
            except DataError as error:
                if not last or error.code != "data-damaged":
                    raise
            index = (index + 1) % len(self)
        raise AssertionError("the last attempt raises")

    def place(self, index: int) -> str:
        return self._files[index][0]


def read_images(
    folder: Folder, path: str, look: Look, fields: Sequence[str], wanted: Mapping[str, str],
    known: Known,
) -> Dataset:  # fmt: skip
    """The images below `path`.

    The classes are the subfolders, numbered in the order of their names, or as they are `known`
    from training.
    """
    found = tuple(name for name, inner in folder.entries(path) if inner and not _stray(name))
    if not found:
        message = "has no subfolders; each class of images is one"
        raise DataError("data-empty", message, path)
    image, label = fields
    classes = known[label].classes if label in known else found
    files = [
        (file, _number(classes, name, path))
        for name in found
        for file in _files(folder, f"{path.rstrip('/')}/{name}")
    ]
    # A sample of what is to come, so that the wanted dtypes are checked as everywhere.
    pixels, numbers = np.array([0, 255], np.uint8), np.arange(len(classes))
    sides = look.size or (OPEN, OPEN)
    described = (
        Field(image, field_dtype(pixels, wanted.get(image), image, path), (*sides, 3)),
        Field(label, field_dtype(numbers, wanted.get(label, "i32"), label, path), (), classes),
    )
    return Images(folder, path, described, files, look)


def photographs(
    folder: Folder, paths: Sequence[str], field: str, dtype: str, look: Look
) -> Dataset:
    """Single image files, as those of a folder are read, with a class 0 that means nothing."""
    sides = look.size or (OPEN, OPEN)
    fields = (Field(field, dtype, (*sides, 3)), Field("", "i32", ()))
    return Images(folder, paths[0], fields, [(path, 0) for path in paths], look)


def _number(classes: tuple[str, ...], name: str, path: str) -> int:
    if name in classes:
        return classes.index(name)
    help = did_you_mean(name, list(classes)) or f"they are {', '.join(classes[:10])}"
    message = f"`{name}` is none of the classes that were trained"
    raise DataError("data-value", message, path, help=help)


def _files(folder: Folder, path: str) -> list[str]:
    names = [name for name, _ in folder.entries(path) if not _stray(name)]
    for name in names:
        if not name.lower().endswith(SUFFIXES):
            message = f"no image by its name; images end in {', '.join(SUFFIXES)}"
            raise DataError("data-value", message, f"{path}/{name}")
    if not names:
        raise DataError("data-empty", "holds no images", path)
    return [f"{path}/{name}" for name in names]


def _stray(name: str) -> bool:
    return name.startswith(".") or name in _STRAYS


def _decode(
    pillow: Any, folder: Folder, path: str, size: tuple[int, int] | None
) -> np.ndarray:
    """One image: u8[height, width, 3]."""
    bombs = (pillow.Image.DecompressionBombError, pillow.Image.DecompressionBombWarning)
    kinds = (OSError, SyntaxError, ValueError, TypeError, struct.error, zlib.error)
    with folder.open(path) as file, damage(path, *kinds):
        try:
            image = pillow.Image.open(file, formats=_FORMATS)
            _check(image, path)
            upright = pillow.ImageOps.exif_transpose(image)
        except bombs as error:
            raise DataError("data-limit", str(error), path) from error
        colours = _rgb(upright)
        if size is None:
            return np.asarray(colours)
        bilinear = pillow.Image.Resampling.BILINEAR
        return np.asarray(pillow.ImageOps.fit(colours, size[::-1], bilinear))


def _check(image: Any, path: str) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        message = f"{width} x {height} pixels; the limit is {MOST_PIXELS:,}"
        raise DataError("data-limit", message, path)
    if image.mode not in _MODES:
        message = f"pixels of kind {image.mode}; save it with 8 bits a sample"
        raise DataError("data-type", message, path)


def _rgb(image: Any) -> Any:
    # A palette with transparency goes over RGBA, or Pillow warns.
    full = image.convert("RGBA") if image.mode in ("P", "PA") else image
    return full.convert("RGB")
