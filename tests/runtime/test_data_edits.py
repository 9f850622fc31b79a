"""Edits of pictures: what each does to pixels, and that chance depends on numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flowc_runtime.data.dataset import Arrays, Dataset, Field, Visit
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.selection import shuffle
from flowc_runtime.data.transform import apply_transform


def pictures(*shape: int, count: int = 4) -> Arrays:
    """Pictures of count-up pixels, each its own."""
    array = (np.arange(count * np.prod(shape)) * 7 % 251).astype(np.uint8).reshape(count, *shape)
    return Arrays("made up", (Field("image", "u8", shape),), [array])


def flat(value: int, *shape: int) -> Arrays:
    return Arrays("flat", (Field("image", "u8", shape),), [np.full((1, *shape), value, np.uint8)])


def edit(dataset: Dataset, name: str, visit: Visit = Visit(0, 0), **given: Any) -> np.ndarray:  # noqa: B008
    """All pictures after one transform, as they are read."""
    dataset = apply_transform(name, dataset, given, 0)
    out = np.zeros((len(dataset), *dataset.fields[0].shape), np.uint8)
    dataset.read(np.arange(len(dataset)), [out], visit)
    return out


def original(dataset: Dataset) -> np.ndarray:
    out = np.zeros((len(dataset), *dataset.fields[0].shape), np.uint8)
    dataset.read(np.arange(len(dataset)), [out])
    return out


@pytest.mark.parametrize(
    ("before", "size", "after"),
    [((8, 4), 2, (4, 2)), ((5, 7), 10, (10, 14)), ((6, 6), [3, 9], (3, 9)), ((3, 2), 2, (3, 2))],
)
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,)])
def test_resize_takes_the_shorter_side_or_both(
    before: tuple[int, int], size: Any, after: tuple[int, int], channels: tuple[int, ...]
) -> None:
    dataset = apply_transform("resize", pictures(*before, *channels), {"size": size})
    assert dataset.fields[0].shape == (*after, *channels)
    assert original(dataset).shape == (4, *after, *channels)


def test_a_fourth_channel_is_resized_as_the_others_are() -> None:
    pixels = np.zeros((1, 8, 8, 4), np.uint8)
    pixels[..., :3] = 200
    data = Arrays("clear", (Field("image", "u8", (8, 8, 4)),), [pixels])
    small = edit(data, "resize", size=[4, 4])
    assert (small[..., :3] == 200).all() and (small[..., 3] == 0).all()


@pytest.mark.parametrize(
    ("name", "size"), [("resize", 256), ("resize", [8_192, 8_192]),
                       ("random_resized_crop", [8_192, 8_192])],
)  # fmt: skip
def test_nothing_is_resized_beyond_the_limit_of_pixels(name: str, size: Any) -> None:
    with pytest.raises(DataError, match=r"pixels; the limit is 50,000,000") as caught:
        edit(pictures(1, 2_000_000, count=1), name, size=size)
    assert caught.value.code == "data-argument"


def test_resize_keeps_what_is_flat_and_averages_what_is_not() -> None:
    assert (edit(flat(77, 9, 6, 3), "resize", size=[4, 11]) == 77).all()
    stripes = np.zeros((1, 8, 8), np.uint8)
    stripes[:, :, ::2] = 200
    data = Arrays("stripes", (Field("image", "u8", (8, 8)),), [stripes])
    assert abs(int(edit(data, "resize", size=[1, 1])[0, 0, 0]) - 100) <= 1


def test_a_center_crop_is_the_middle() -> None:
    data = pictures(7, 6, 3)
    assert (edit(data, "center_crop", size=[3, 4]) == original(data)[:, 2:5, 1:5]).all()


def test_a_random_crop_is_some_part_and_in_time_every_part() -> None:
    data = pictures(5, 5, count=1)
    parts = {original(data)[0, y : y + 4, x : x + 4].tobytes() for y in range(2) for x in range(2)}
    seen = {edit(data, "random_crop", Visit(3, e), size=4).tobytes() for e in range(40)}
    assert seen == parts


def test_a_padded_crop_has_black_edges_at_most_that_wide() -> None:
    seen = [edit(flat(9, 4, 4, 3), "random_crop", Visit(0, e), size=4, pad=2) for e in range(30)]
    black = {int((crop[0, :, :, 0] == 0).all(axis=1).sum()) for crop in seen}
    assert black == {0, 1, 2}


def test_flips_happen_as_often_as_they_are_said_to() -> None:
    data = pictures(3, 4, 3, count=400)
    assert (edit(data, "random_flip", chance=1) == original(data)[:, :, ::-1]).all()
    assert (edit(data, "random_flip", chance=1, vertical=True) == original(data)[:, ::-1]).all()
    assert (edit(data, "random_flip", chance=0) == original(data)).all()
    flipped = (edit(data, "random_flip") != original(data)).any(axis=(1, 2, 3)).sum()
    assert 150 < flipped < 250


def test_a_resized_crop_has_the_size_whatever_its_part() -> None:
    data = pictures(40, 30, 3, count=50)
    cut = edit(data, "random_resized_crop", size=[8, 8], scale=[0.05, 1], ratio=[0.2, 5])
    assert cut.shape == (50, 8, 8, 3)
    whole = edit(flat(40, 12, 12, 3), "random_resized_crop", size=12, scale=[1, 1], ratio=[1, 1])
    assert (whole == 40).all()


def test_jitter_of_strength_zero_changes_nothing() -> None:
    data = pictures(6, 6, 3)
    assert (edit(data, "color_jitter") == original(data)).all()


def test_brightness_multiplies_and_contrast_keeps_the_mean() -> None:
    dark = edit(flat(100, 4, 4, 3), "color_jitter", brightness=0.5)
    assert len(np.unique(dark)) == 1 and 50 <= dark[0, 0, 0, 0] <= 150 and dark[0, 0, 0, 0] != 100
    data = pictures(16, 16, 3)
    contrasted = edit(data, "color_jitter", contrast=0.2).astype(float)
    assert abs(contrasted.mean() - original(data).mean()) < 4
    assert (contrasted != original(data)).any()


def test_saturation_and_hue_leave_grey_alone() -> None:
    grey = flat(90, 4, 4, 3)
    assert (edit(grey, "color_jitter", saturation=0.9) == 90).all()
    assert (edit(grey, "color_jitter", hue=0.4) == 90).all()
    red = np.zeros((1, 2, 2, 3), np.uint8)
    red[..., 0] = 200
    data = Arrays("red", (Field("image", "u8", (2, 2, 3)),), [red])
    turned = edit(data, "color_jitter", hue=0.4)
    assert turned.max(axis=-1).tolist() == [[[200, 200], [200, 200]]] and (turned != red).any()


def test_chance_depends_on_seed_epoch_example_and_place() -> None:
    data = pictures(32, 32, count=2)
    data.read(np.arange(2), [np.zeros((2, 32, 32), np.uint8)])
    same = np.repeat(original(data)[:1], 2, axis=0)
    twins = Arrays("twins", data.fields, [same])

    def crops(seed: int, epoch: int, place: int) -> list[bytes]:
        dataset = apply_transform("random_crop", twins, {"size": 8}, place)
        return [dataset.example(i, Visit(seed, epoch))[0].tobytes() for i in range(2)]

    first, other = crops(1, 2, 3)
    assert first != other
    assert crops(1, 2, 3) == [first, other]
    for changed in (crops(2, 2, 3), crops(1, 3, 3), crops(1, 2, 4)):
        assert changed[0] != first and changed[1] != other


def test_a_shuffle_before_an_edit_still_forbids_take() -> None:
    shuffled = apply_transform("random_flip", shuffle(pictures(4, 4)), {})
    assert shuffled.shuffled
    with pytest.raises(DataError, match="other examples in each epoch"):
        apply_transform("take", shuffled, {"amount": 2})


@pytest.mark.parametrize(
    ("data", "name", "given", "code", "match"),
    [
        (pictures(4, 4), "center_crop", {"size": 5}, "data-argument", "4 x 4 pixels hold no part"),
        (pictures(4, 4), "random_crop", {"size": 9, "pad": 2}, "data-argument", "8 x 8"),
        (pictures(4), "resize", {"size": 5}, "data-argument", "one field of pictures"),
        (
            Arrays("f", (Field("x", "f32", (4, 4)),), [np.zeros((1, 4, 4), np.float32)]),
            "random_flip", {}, "data-type", "edits pictures of u8",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_is_told(
    data: Dataset, name: str, given: dict[str, Any], code: str, match: str
) -> None:
    with pytest.raises(DataError, match=match) as caught:
        apply_transform(name, data, given)
    assert caught.value.code == code
