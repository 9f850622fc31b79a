"""The reader of image folders: classes from folders, decoding when read."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowc_runtime.data.dataset import Dataset, Visit
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.sources import open_source
from flowc_runtime.data.transform import apply_transform

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """pets/dog holds a red image, pets/cat a blue and a wide red-blue-red one."""
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
    Image.new("RGB", (8, 8), RED).save(tmp_path / "pets" / "dog" / "a.png")
    Image.new("RGB", (4, 4), BLUE).save(tmp_path / "pets" / "cat" / "b.bmp")
    wide = Image.new("RGB", (12, 4), RED)
    wide.paste(BLUE, (4, 0, 8, 4))
    wide.save(tmp_path / "pets" / "cat" / "c.png")
    return tmp_path


def opened(folder: Path, **wanted: str) -> Dataset:
    return open_source("images", {"folder": "pets", "size": [4, 4]}, folder, (), wanted)


def read(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    images = np.zeros((len(dataset), *dataset.fields[0].shape), np.uint8)
    labels = np.zeros(len(dataset), np.int32)
    dataset.read(np.arange(len(dataset)), [images, labels])
    return images, labels


def test_each_subfolder_is_a_class(folder: Path) -> None:
    dataset = opened(folder)
    assert dataset.fields[1].classes == ("cat", "dog")
    images, labels = read(dataset)
    assert labels.tolist() == [0, 0, 1]
    assert (images[0] == BLUE).all() and (images[2] == RED).all()


def test_images_are_cut_from_their_middle(folder: Path) -> None:
    images, _ = read(opened(folder))
    assert images.shape == (3, 4, 4, 3)
    assert (images[1, :, 1:3] == BLUE).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_kind_of_pixels_becomes_rgb(folder: Path, mode: str) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    image = Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode)
    extra = {"transparency": b"\1\2\3"} if mode == "P" else {}
    image.save(folder / "pets" / "dog" / f"z.{suffix}", **extra)
    images, _ = read(opened(folder))
    assert (images[3] > 250).all()


def test_a_photo_stands_upright_as_its_camera_says(folder: Path) -> None:
    image = Image.new("RGB", (4, 4), RED)
    image.paste(BLUE, (0, 0, 4, 2))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    image.save(folder / "pets" / "dog" / "z.png", exif=exif)
    images, _ = read(opened(folder))
    assert (images[3, 2:] == BLUE).all()


def test_what_file_managers_leave_is_no_image(folder: Path) -> None:
    (folder / "pets" / ".cache").mkdir()
    (folder / "pets" / "cat" / ".DS_Store").write_bytes(b"x")
    (folder / "pets" / "dog" / "Thumbs.db").write_bytes(b"x")
    (folder / "pets" / "LICENSE.txt").write_text("x")
    assert len(opened(folder)) == 3


def test_a_stray_file_among_images_is_refused_by_name(folder: Path) -> None:
    (folder / "pets" / "dog" / "notes.txt").write_text("x")
    with pytest.raises(DataError) as caught:
        opened(folder)
    assert (caught.value.code, caught.value.path) == ("data-value", "pets/dog/notes.txt")


def test_folders_without_images_are_refused(folder: Path) -> None:
    (folder / "pets" / "fish").mkdir()
    with pytest.raises(DataError) as caught:
        opened(folder)
    assert (caught.value.code, caught.value.path) == ("data-empty", "pets/fish")
    with pytest.raises(DataError) as caught:
        open_source("images", {"folder": "pets/dog", "size": [4, 4]}, folder, (), {})
    assert caught.value.code == "data-empty"


@pytest.mark.parametrize("keep", [0, 20, 45])
def test_an_image_that_is_damaged_is_refused_by_name(folder: Path, keep: int) -> None:
    path = folder / "pets" / "dog" / "a.png"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        read(opened(folder))
    assert (caught.value.code, caught.value.path) == ("data-damaged", "pets/dog/a.png")


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(folder: Path) -> None:
    path = folder / "pets" / "dog" / "a.png"
    for side in (8_000, 10_000, 50_000):
        data = bytearray(path.read_bytes())
        data[16:24] = side.to_bytes(4, "big") * 2
        crc = zlib.crc32(data[12:29])
        data[29:33] = crc.to_bytes(4, "big")
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            read(opened(folder))
        assert caught.value.code == "data-limit"


def test_samples_of_16_bits_are_refused(folder: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(folder / "pets" / "dog" / "z.png")
    with pytest.raises(DataError) as caught:
        read(opened(folder))
    assert caught.value.code == "data-type"


def test_the_folder_stays_inside_the_project(folder: Path) -> None:
    project = folder / "project"
    project.mkdir()
    (project / "pets").symlink_to(folder / "pets")
    with pytest.raises(DataError) as caught:
        opened(project)
    assert caught.value.code == "data-outside"
    allowed = open_source(
        "images", {"folder": "pets", "size": [4, 4]}, project, (), {}, (folder / "pets",)
    )
    assert len(read(allowed)[0]) == 3


def test_an_image_that_is_a_link_out_is_refused(folder: Path) -> None:
    project = folder / "project"
    (project / "pets" / "dog").mkdir(parents=True)
    (project / "pets" / "dog" / "a.png").symlink_to(folder / "pets" / "dog" / "a.png")
    with pytest.raises(DataError) as caught:
        read(opened(project))
    assert caught.value.code == "data-outside"


def test_without_pillow_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(DataError) as caught:
        opened(folder)
    assert (caught.value.code, caught.value.help) == (
        "data-extra",
        'pip install "flowc[images]"',
    )


def test_wanted_dtypes_are_checked(folder: Path) -> None:
    assert opened(folder, image="f32", label="u8").fields[0].dtype == "f32"
    for wanted in ({"image": "i8"}, {"image": "bf16"}, {"label": "bool"}):
        with pytest.raises(DataError):
            opened(folder, **wanted)


def test_a_thin_picture_is_not_resized_beyond_all_memory(tmp_path: Path) -> None:
    (tmp_path / "thin" / "a").mkdir(parents=True)
    Image.new("L", (2_000_000, 1)).save(tmp_path / "thin" / "a" / "line.png")
    dataset = open_source("images", {"folder": "thin"}, tmp_path, (), {})
    with pytest.raises(DataError, match=r"256 x 512000000 pixels; the limit is") as caught:
        apply_transform("resize", dataset, {"size": 256}).example(0, Visit(0, 0))
    assert (caught.value.code, caught.value.path) == ("data-value", "thin/a/line.png")
