"""Pillow, which only those need who read or resize pictures."""

from __future__ import annotations

from types import ModuleType

from flowc_runtime.data.errors import DataError

MOST_PIXELS = 50_000_000  # of a picture, read or resized


def pillow(path: str = "") -> ModuleType:
    """The package PIL with what is used of it; `data-extra` where it is not installed."""
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        message = "reading images needs Pillow, which is not installed"
        help = 'pip install "flowc[images]"'
        raise DataError("data-extra", message, path, help=help) from error
    return PIL
