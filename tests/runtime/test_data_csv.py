"""The CSV reader: which columns make which field, and errors that name line and column."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.sources import open_source
from flowc_runtime.types import DTYPES

TABLE = "a,b,c,d\n1,2,3,4\n5,6,7,8\n-1,.5,2e1,+9.\n"


def opened(
    folder: Path, text: str | bytes, names: str = "x y", wanted: dict[str, str] | None = None,
    **arguments: Any,
) -> Dataset:  # fmt: skip
    data = text.encode() if isinstance(text, str) else text
    (folder / "t.csv").write_bytes(data)
    given = {"path": "t.csv", **arguments}
    return open_source("csv", given, folder, tuple(names.split()), wanted or {})


def fields(folder: Path, text: str | bytes, *args: Any, **kwargs: Any) -> list[list[Any]]:
    dataset = opened(folder, text, *args, **kwargs)
    out = [np.zeros((len(dataset), *f.shape), DTYPES[f.dtype].storage) for f in dataset.fields]
    dataset.read(np.arange(len(dataset)), out)
    return [array.tolist() for array in out]


def refusal(folder: Path, text: str | bytes, *args: Any, **kwargs: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(folder, text, *args, **kwargs)
    return caught.value


def test_the_last_column_is_the_last_field_by_default(tmp_path: Path) -> None:
    x, y = fields(tmp_path, TABLE)
    assert x == [[1, 2, 3], [5, 6, 7], [-1, 0.5, 20]]
    assert y == [4, 8, 9]


def test_fields_are_f32_unless_the_model_wants_otherwise(tmp_path: Path) -> None:
    dataset = opened(tmp_path, TABLE, wanted={"y": "i64"})
    assert [(f.name, f.dtype, f.shape) for f in dataset.fields] == [
        ("x", "f32", (3,)), ("y", "i64", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "first"),
    [
        (["a", "b"], [1, 2]),
        ([0, 1], [1, 2]),
        ([-1, 0], [4, 1]),
        ([(0, 2), 3], [[1, 2, 3], 4]),
        ([("a", "c"), "d"], [[1, 2, 3], 4]),
        ([["a", "c"], ["d"]], [[1, 3], [4]]),
        ([[(2, 3), "a"], "a"], [[3, 4, 1], 1]),
    ],
)
def test_columns_are_chosen_by_name_index_range_and_list(
    tmp_path: Path, columns: list[Any], first: list[Any]
) -> None:
    assert [rows[0] for rows in fields(tmp_path, TABLE, columns=columns)] == first


def test_any_number_of_fields_can_be_made(tmp_path: Path) -> None:
    assert fields(tmp_path, TABLE, "p q r", columns=["d", "a", "b"])[2] == [2, 6, 0.5]
    assert fields(tmp_path, TABLE, "p", columns=["d"]) == [[4, 8, 9]]


def test_a_file_without_names_and_with_another_delimiter_is_read(tmp_path: Path) -> None:
    assert fields(tmp_path, "1;2\r\n3;4\r\n", header=False, delimiter=";") == [[[1], [3]], [2, 4]]
    assert fields(tmp_path, "1  2\n3 4", header=False, delimiter=" ") == [[[1], [3]], [2, 4]]


def test_gzip_byte_order_mark_blank_lines_and_spaces_are_no_trouble(tmp_path: Path) -> None:
    text = "\ufeffa, b\n\n1, 2 \n\n 3 ,4\n\n"
    assert fields(tmp_path, gzip.compress(text.encode()), columns=["a", "b"]) == [[1, 3], [2, 4]]


def test_quoted_cells_are_read(tmp_path: Path) -> None:
    assert fields(tmp_path, '"a,\nb",c\n"1",2\n', columns=["a,\nb", "c"]) == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "line", "count"),
    [("a,b\n1,2\n1,2,3\n", 3, 3), ("a,b\n\n1\n", 3, 1), ('"a\n\n",b\n1,2\n1,2,3,\n', 5, 4)],
)
def test_a_row_of_another_width_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, count: int
) -> None:
    refused = refusal(tmp_path, text)
    assert (refused.code, refused.line) == ("data-width", line)
    assert refused.message == f"{count} cells, but the first row has 2"


@pytest.mark.parametrize("cell", ["N/A", "", "?", "nan", " NULL ", "none"])
def test_a_missing_number_is_refused_with_line_and_column(tmp_path: Path, cell: str) -> None:
    refused = refusal(tmp_path, f"age,income\n1,2\n3,{cell}\n")
    assert (refused.code, str(refused)) == (
        "data-value",
        f't.csv:3: column 1 (income) is "{cell.strip()}", expected a number',
    )
    assert refused.help and 'na = "drop"' in refused.help


@pytest.mark.parametrize("cell", ["abc", "1_000", "0x10", "1,5", "inf", "-inf", "1e999", "--1"])
def test_what_is_no_number_is_refused_even_where_missing_ones_are_not(
    tmp_path: Path, cell: str
) -> None:
    refused = refusal(tmp_path, f'a,b\n1,2\n"{cell}",4\n', na=0)
    assert (refused.code, refused.line) == ("data-value", 3)
    assert refused.message == f'column 0 (a) is "{cell}", expected a number'


def test_rows_with_missing_numbers_can_be_dropped_or_filled(tmp_path: Path) -> None:
    text = "a,b\n1,2\n,4\n5,?\n7,8\n"
    assert fields(tmp_path, text, na="drop") == [[[1], [7]], [2, 8]]
    assert fields(tmp_path, text, na=-1.5) == [[[1], [-1.5], [5], [7]], [2, 4, -1.5, 8]]


def test_a_missing_number_in_a_column_that_is_not_used_does_not_matter(tmp_path: Path) -> None:
    assert fields(tmp_path, "a,b,c\n1,,3\n", columns=["a", "c"]) == [[1], [3]]


def test_text_labels_become_the_number_of_their_class(tmp_path: Path) -> None:
    text = "a,kind\n1,cat\n2, dog \n3,cat\n"
    dataset = opened(tmp_path, text, classes=["dog", "cat"])
    assert (dataset.fields[1].dtype, dataset.fields[1].classes) == ("i32", ("dog", "cat"))
    assert fields(tmp_path, text, classes=["dog", "cat"])[1] == [1, 0, 1]


def test_an_unknown_label_names_the_nearest_class(tmp_path: Path) -> None:
    refused = refusal(tmp_path, "a,kind\n1,cats\n", classes=["dog", "cat"])
    assert str(refused) == 't.csv:2: column 1 (kind) is "cats", which is no class'
    assert refused.help == "`cat` exists; did you mean that?"


def test_a_missing_label_is_dropped_only_when_asked(tmp_path: Path) -> None:
    text = "a,kind\n1,cat\n2,?\n"
    assert fields(tmp_path, text, classes=["cat"], na="drop")[1] == [0]
    assert refusal(tmp_path, text, classes=["cat"], na=0).code == "data-value"


def test_text_labels_without_classes_are_refused_with_a_hint(tmp_path: Path) -> None:
    help = refusal(tmp_path, "a,kind\n1,cat\n").help
    assert help and "classes" in help


@pytest.mark.parametrize(
    ("dtype", "cell"),
    [("i32", "1.5"), ("i32", "3000000000"), ("u8", "-1"), ("u8", "256"), ("bool", "2"),
     ("f32", "1e39"), ("f16", "70000"), ("i64", "9007199254740994")],
)  # fmt: skip
def test_a_number_that_its_dtype_cannot_hold_is_refused_with_its_line(
    tmp_path: Path, dtype: str, cell: str
) -> None:
    refused = refusal(tmp_path, f"a,b\n1,1\n\n1,{cell}\n", wanted={"y": dtype})
    assert (refused.code, refused.line) == ("data-value", 4)
    assert f"cannot hold as {dtype}" in refused.message


def test_whole_numbers_written_as_fractions_are_whole(tmp_path: Path) -> None:
    assert fields(tmp_path, "a,b\n1,-1.000000\n", wanted={"y": "i32"})[1] == [-1]


def test_a_column_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    refused = refusal(tmp_path, "age,income\n1,2\n", columns=["age", "incom"])
    assert (refused.code, refused.help) == (
        "data-missing",
        "`income` exists; did you mean that?",
    )
    refused = refusal(tmp_path, TABLE, columns=[0, 4])
    assert refused.message == "no column 4; there are 4, counted from 0"


def test_columns_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for arguments in (
        {"columns": [(2, 1), 3]},
        {"columns": ["a", "b"], "header": False},
        {"columns": ["a", [["b"]]]},
        {"columns": []},
        {"columns": [0, [1]], "classes": ["x"]},
        {"columns": [True, 1]},
        {"delimiter": "ab"},
        {"na": "mean"},
        {"classes": ["x", "x"]},
    ):
        text = TABLE if arguments.get("header", True) else "1,2\n"
        assert refusal(tmp_path, text, **arguments).code == "data-argument", arguments
    assert refusal(tmp_path, "a,a\n1,2\n", columns=["a", 1]).code == "data-argument"


def test_a_first_row_of_numbers_is_not_lost_as_a_header(tmp_path: Path) -> None:
    refused = refusal(tmp_path, "1,2\n3,4\n")
    assert (refused.code, refused.help) == ("data-value", "header = false")


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    for text in ("", "\n\n", "a,b\n", "a,b\n?,1\n"):
        assert refusal(tmp_path, text, na="drop").code == "data-empty"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (b"a,b\n1,\xff\n", "data-value", 2),
        (b'a,b\n1,"2\n', "data-damaged", 2),
        (b'a,b\n"1"2,3\n', "data-damaged", 2),
        (b"a,b\r1,2\r", "data-damaged", 1),
        (b"a,b\n1,2\n3," + b"9" * 200_000 + b"\n", "data-damaged", 3),
        (b"a,b\n" + b"1," * (1 << 20) + b"\n", "data-limit", 2),
    ],
)
def test_bytes_that_are_no_csv_are_refused_with_the_line(
    tmp_path: Path, text: bytes, code: str, line: int
) -> None:
    refused = refusal(tmp_path, text)
    assert (refused.code, refused.line) == (code, line)


def test_a_billion_columns_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    packed = gzip.compress(b"0," * (32 << 20), 1)
    tracemalloc.start()
    refused = refusal(tmp_path, packed)
    assert refused.code == "data-limit"
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_a_packed_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    line = b"a,b\n" + b" " * ((1 << 20) - 3) + b"\n"
    packed = gzip.compress(line * 70, 1)
    assert refusal(tmp_path, packed).code in ("data-limit", "data-width")


def test_packed_csv_cut_short_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, gzip.compress(TABLE.encode())[:-9]).code == "data-damaged"
