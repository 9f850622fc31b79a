"""Folders of images, one subfolder a class; decoded when they are read, by Pillow."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from flowc_runtime.data.conversion import field_dtype
from flowc_runtime.data.dataset import Dataset, Field
from flowc_runtime.data.errors import DataError, damage
from flowc_runtime.data.folder import Folder

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".webp")
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # 8 bits or less a sample
_STRAYS = ("Thumbs.db", "desktop.ini")  # left by file managers, like names that begin with a dot
_MOST_PIXELS = 50_000_000


class Images:
    """The images of a folder: u8[height, width, 3], and the number of their class."""

    shuffled = False

    def __init__(
        self, folder: Folder, origin: str, fields: tuple[Field, ...], files: list[tuple[str, int]]
    ):
        self.origin = origin
        self.fields = fields
        self._folder = folder
        self._files = files
        self._pillow = _pillow(origin)

    def __len__(self) -> int:
        return len(self._files)

    def read(self, indices: np.ndarray, out: Sequence[np.ndarray]) -> None:
        images, labels = out
        height, width, _ = self.fields[0].shape
        for row, index in enumerate(indices):
            path, label = self._files[index]
            images[row] = _decode(self._pillow, self._folder, path, (width, height))
            labels[row] = label


def read_images(
    folder: Folder,
    path: str,
    size: tuple[int, int],
    fields: Sequence[str],
    wanted: Mapping[str, str],
) -> Dataset:
    """The images below `path`, cut from their middle and scaled to `size` (height, width).

    The classes are the subfolders, numbered in the order of their names.
    """
    classes = tuple(name for name, inner in folder.entries(path) if inner and not _stray(name))
    if not classes:
        message = "has no subfolders; each class of images is one"
        raise DataError("data-empty", message, path)
    files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in _files(folder, f"{path.rstrip('/')}/{name}")
    ]
    image, label = fields
    # A sample of what is to come, so that the wanted dtypes are checked as everywhere.
    pixels, numbers = np.array([0, 255], np.uint8), np.arange(len(classes))
    described = (
        Field(image, field_dtype(pixels, wanted.get(image), image, path), (*size, 3)),
        Field(label, field_dtype(numbers, wanted.get(label, "i32"), label, path), (), classes),
    )
    return Images(folder, path, described, files)


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


def _pillow(path: str) -> ModuleType:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        message = "reading images needs Pillow, which is not installed"
        help = 'pip install "flowc[images]"'
        raise DataError("data-extra", message, path, help=help) from error
    return PIL


def _decode(pillow: Any, folder: Folder, path: str, size: tuple[int, int]) -> np.ndarray:
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
        fitted = pillow.ImageOps.fit(_rgb(upright), size, pillow.Image.Resampling.BILINEAR)
        return np.asarray(fitted)


def _check(image: Any, path: str) -> None:
    width, height = image.size
    if width * height > _MOST_PIXELS:
        message = f"{width} x {height} pixels; the limit is {_MOST_PIXELS:,}"
        raise DataError("data-limit", message, path)
    if image.mode not in _MODES:
        message = f"pixels of kind {image.mode}; save it with 8 bits a sample"
        raise DataError("data-type", message, path)


def _rgb(image: Any) -> Any:
    # A palette with transparency goes over RGBA, or Pillow warns.
    full = image.convert("RGBA") if image.mode in ("P", "PA") else image
    return full.convert("RGB")
