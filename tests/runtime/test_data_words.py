"""Columns of words, and the names that training gives to numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.names import Known, Names, names_of, parse_names, plain_names
from flowc_runtime.data.sources import open_source
from flowc_runtime.types import DTYPES

TABLE = "pet,age,home,kind\ndog,3,10,a\ncat,4,?,b\n ,5,9,a\nant,6,9,b\n"
GIVEN = {
    "path": "t.csv", "columns": [["pet", "home"], "age", "kind"], "words": ["pet", "home"],
    "classes": ["a", "b"],
}  # fmt: skip


def opened(folder: Path, text: str, known: Known | None = None, **given: Any) -> Dataset:
    (folder / "t.csv").write_text(text)
    names = ("words", "age", "kind")
    return open_source("csv", {**GIVEN, **given}, folder, names, {}, known=known)


def read(dataset: Dataset) -> list[Any]:
    out = [np.zeros((len(dataset), *f.shape), DTYPES[f.dtype].storage) for f in dataset.fields]
    dataset.read(np.arange(len(dataset)), out)
    return [array.tolist() for array in out]


def test_words_are_numbered_in_order_and_0_is_a_missing_one(tmp_path: Path) -> None:
    dataset = opened(tmp_path, TABLE)
    words, age, kind = dataset.fields
    assert (words.dtype, words.shape) == ("i32", (2,))
    assert words.words == (("ant", "cat", "dog"), ("9", "10"))  # whole numbers by their size
    assert read(dataset) == [[[3, 2], [2, 0], [0, 1], [1, 1]], [3, 4, 5, 6], [0, 1, 0, 1]]
    assert (age.words, kind.classes) == ((), ("a", "b"))


def test_another_file_is_read_by_the_words_of_training(tmp_path: Path) -> None:
    known = names_of(opened(tmp_path, TABLE))
    other = "pet,age,home,kind\nbee,3,10,a\ndog,4,11,b\nant,4,9,b\n"
    dataset = opened(tmp_path, other, known)
    assert read(dataset)[0] == [[0, 2], [3, 0], [1, 1]]
    assert names_of(dataset) == known


def test_a_missing_word_drops_its_row_where_that_is_asked_for(tmp_path: Path) -> None:
    assert read(opened(tmp_path, TABLE, na="drop"))[1] == [3, 6]


def test_the_words_of_a_dropped_row_are_not_known(tmp_path: Path) -> None:
    """Whether it lacks a number, another word, or its class."""
    rows = ["dog,3,10,a", "ape,,10,a", "bat,4,?,b", "?,4,11,b", "cow,5,12,"]
    dataset = opened(tmp_path, "pet,age,home,kind\n" + "\n".join(rows) + "\n", na="drop")
    assert dataset.fields[0].words == (("dog",), ("10",))
    assert read(dataset) == [[[1, 1]], [3], [0]]


def test_the_order_of_rows_does_not_number_words(tmp_path: Path) -> None:
    given: dict[str, Any] = {"columns": ["home", "age", "kind"], "words": ["home"]}
    for homes in (("1", "01", "001"), ("001", "01", "1")):
        rows = "".join(f"dog,3,{home},a\n" for home in homes)
        dataset = opened(tmp_path, "pet,age,home,kind\n" + rows, **given)
        assert dataset.fields[0].words == (("001", "01", "1"),)


def test_a_scalar_field_of_ids(tmp_path: Path) -> None:
    dataset = opened(tmp_path, TABLE, columns=["home", "age", "kind"], words=["home"])
    assert dataset.fields[0].shape == () and read(dataset)[0] == [2, 0, 1, 1]


def test_names_of_columns_may_stand_in_the_text(tmp_path: Path) -> None:
    header = ["pet", "age", "home", "kind"]
    dataset = opened(tmp_path, TABLE.partition("\n")[2], header=header)
    assert read(dataset) == read(opened(tmp_path, TABLE))
    with pytest.raises(DataError, match="4 cells, but `header` has 3 names"):
        opened(tmp_path, TABLE, header=header[:3])


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"words": ["pet"]}, "which cannot be in one field"),
        ({"words": ["pet", "home", "pat"]}, "no column `pat`"),
        ({"columns": ["age", "age", "kind"]}, "has words, but is in no field"),
        ({"words": []}, "as `words`"),
    ],
)
def test_what_is_no_choice_of_words_is_told(
    tmp_path: Path, given: dict[str, Any], match: str
) -> None:
    with pytest.raises(DataError, match=match):
        opened(tmp_path, TABLE, **given)


def test_a_word_where_a_number_is_wanted_tells_of_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a number") as caught:
        opened(tmp_path, TABLE, columns=["pet", "age", "kind"], words=None)
    assert caught.value.line == 2 and "`words`" in str(caught.value.help)


def test_names_go_through_json_and_nothing_else_does() -> None:
    known = {"label": Names(("a", "b")), "words": Names((), (("x",), ()))}
    assert parse_names(plain_names(known)) == known
    for wrong in ([], {"label": {}}, {"label": {"classes": "ab", "words": []}}, {"a": None}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            parse_names(wrong)


def test_a_text_is_read_by_the_characters_of_training(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcab")
    (tmp_path / "b.txt").write_text("c\nbaxb")
    given = {"window": 2}
    train = open_source("text", {"path": "a.txt", **given}, tmp_path, (), {})
    known = names_of(train)
    (tmp_path / "c.txt").write_text("ccb")
    test = open_source("text", {"path": "c.txt", **given}, tmp_path, (), {}, known=known)
    assert read(test)[0] == [[2, 2]]
    with pytest.raises(DataError, match=r"'\\n' was in no text") as caught:
        open_source("text", {"path": "b.txt", **given}, tmp_path, (), {}, known=known)
    assert caught.value.line == 1


def test_folders_of_images_get_the_numbers_of_training(tmp_path: Path) -> None:
    for path in ("train/ant", "train/bee", "test/bee", "wrong/bea"):
        (tmp_path / path).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / path / "a.png")

    def images(folder: str, known: Known) -> Dataset:
        given = {"folder": folder, "size": [2, 2]}
        return open_source("images", given, tmp_path, (), {}, known=known)

    known = names_of(images("train", {}))
    assert read(images("test", known))[1] == [1]
    with pytest.raises(DataError, match="none of the classes that were trained") as caught:
        images("wrong", known)
    assert "bee" in str(caught.value.help)
