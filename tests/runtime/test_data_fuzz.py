"""Damaged files of every format: each is read, or refused with a DataError, and nothing else."""

from __future__ import annotations

import gzip
import io
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowc_runtime.data.errors import CODES, DataError
from flowc_runtime.data.sources import open_source
from flowc_runtime.types import DTYPES

ROUNDS = 150  # a format


def idx() -> bytes:
    return struct.pack(">HBBII", 0, 8, 2, 6, 4) + bytes(range(24))


def csv() -> bytes:
    return b'a,b,"c d"\n1,2.5,3\n4,-5e3,6\n7,8,"9"\n'


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(12.0).reshape(6, 2))
    return buffer.getvalue()


def npz(save: Callable[..., Any]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, x=np.arange(12.0).reshape(6, 2))
    return buffer.getvalue()


def image(format: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


FORMATS: dict[str, tuple[str, str, dict[str, Any], tuple[str, ...], bytes]] = {
    "idx": ("idx", "f", {"paths": ("f",)}, ("x",), idx()),
    "idx.gz": ("idx", "f", {"paths": ("f",)}, ("x",), gzip.compress(idx(), mtime=0)),
    "csv": ("csv", "f", {"path": "f"}, ("x", "y"), csv()),
    "csv.gz": ("csv", "f", {"path": "f"}, ("x", "y"), gzip.compress(csv(), mtime=0)),
    "npy": ("npy", "f", {"paths": ("f",)}, ("x",), npy()),
    "npz": ("npz", "f", {"path": "f"}, ("x",), npz(np.savez)),
    "npz packed": ("npz", "f", {"path": "f"}, ("x",), npz(np.savez_compressed)),
    "text": ("text", "f", {"path": "f", "window": 4}, (), "grüße an alle".encode()),
    "png": ("images", "d/c/f.png", {"folder": "d", "size": [8, 8]}, (), image("PNG")),
    "jpeg": ("images", "d/c/f.jpg", {"folder": "d", "size": [8, 8]}, (), image("JPEG")),
    "gif": ("images", "d/c/f.gif", {"folder": "d", "size": [8, 8]}, (), image("GIF")),
    "bmp": ("images", "d/c/f.bmp", {"folder": "d", "size": [8, 8]}, (), image("BMP")),
    "webp": ("images", "d/c/f.webp", {"folder": "d", "size": [8, 8]}, (), image("WEBP")),
    "ppm": ("images", "d/c/f.ppm", {"folder": "d", "size": [8, 8]}, (), image("PPM")),
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A few flips, cuts, repeats and foreign bytes."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(result) + 1)
        match chance.randrange(4):
            case 0 if at < len(result):
                result[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(result):
                result[at] = chance.choice((0, 1, 10, 34, 44, 127, 128, 255))
            case 2:
                del result[at : at + chance.choice((1, 2, 8, len(result)))]
            case _:
                result[at:at] = result[at : at + chance.choice((1, 4, 30))]
    return bytes(result)


def read_everything(name: str, arguments: dict[str, Any], folder: Path, fields: Any) -> None:
    dataset = open_source(name, arguments, folder, fields, {})
    count = min(len(dataset), 100)
    out = [np.zeros((count, *f.shape), DTYPES[f.dtype].storage) for f in dataset.fields]
    dataset.read(np.arange(count), out)


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_files_never_end_in_a_traceback(format: str, tmp_path: Path) -> None:
    name, path, arguments, fields, data = FORMATS[format]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(data)
    read_everything(name, arguments, tmp_path, fields)
    chance = random.Random(format)
    for _ in range(ROUNDS):
        bad = damaged(data, chance)
        (tmp_path / path).write_bytes(bad)
        try:
            read_everything(name, arguments, tmp_path, fields)
        except DataError as error:
            assert error.code in CODES and error.message, bad
