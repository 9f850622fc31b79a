"""The text reader: windows of tokens for language models."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.sources import open_source
from flowc_runtime.data.text import Windows


def opened(folder: Path, text: str | bytes, **arguments: Any) -> Dataset:
    data = text.encode() if isinstance(text, str) else text
    (folder / "t.txt").write_bytes(data)
    return open_source("text", {"path": "t.txt", **arguments}, folder, (), {})


def decoded(dataset: Dataset) -> list[tuple[str, str]]:
    shape = (len(dataset), *dataset.fields[0].shape)
    out = [np.zeros(shape, np.int32), np.zeros(shape, np.int32)]
    dataset.read(np.arange(len(dataset)), out)
    names = dataset.fields[0].classes
    tokens, target = (["".join(names[i] for i in row) for row in array] for array in out)
    return list(zip(tokens, target, strict=True))


def refusal(folder: Path, text: str | bytes, **arguments: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(folder, text, **arguments)
    return caught.value


def test_the_target_is_the_next_token(tmp_path: Path) -> None:
    assert decoded(opened(tmp_path, "hello world", window=4)) == [
        ("hell", "ello"), ("o wo", " wor"),
    ]  # fmt: skip


def test_windows_may_overlap_or_leave_gaps(tmp_path: Path) -> None:
    assert [a for a, _ in decoded(opened(tmp_path, "abcdef", window=3, stride=1))] == [
        "abc", "bcd", "cde",
    ]  # fmt: skip
    assert [a for a, _ in decoded(opened(tmp_path, "abcdefgh", window=2, stride=3))] == [
        "ab", "de",
    ]  # fmt: skip


def test_a_text_of_one_window_and_one_token_is_enough(tmp_path: Path) -> None:
    assert decoded(opened(tmp_path, "abc", window=2)) == [("ab", "bc")]
    refused = refusal(tmp_path, "ab", window=2)
    assert (refused.code, refused.path) == ("data-empty", "t.txt")


def test_characters_are_numbered_in_their_order(tmp_path: Path) -> None:
    dataset = opened(tmp_path, gzip.compress("bäéab€\n".encode()), window=1)
    assert isinstance(dataset, Windows)
    assert dataset.vocabulary == ("\n", "a", "b", "ä", "é", "€")
    assert dataset.fields[0].classes == dataset.fields[1].classes == dataset.vocabulary


def test_more_characters_than_a_byte_counts_are_read(tmp_path: Path) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(1000))
    assert decoded(opened(tmp_path, text, window=998)) == [(text[:998], text[1:999])]


def test_bytes_need_no_encoding(tmp_path: Path) -> None:
    dataset = opened(tmp_path, b"\xff\x00\xfe", window=1, vocabulary="bytes")
    assert decoded(dataset) == [("\xff", "\0"), ("\0", "\xfe")]
    assert len(dataset.fields[0].classes) == 256


def test_bytes_that_are_no_text_are_refused_with_the_line(tmp_path: Path) -> None:
    refused = refusal(tmp_path, b"good\nbad \xff\n", window=1)
    assert (refused.code, refused.line) == ("data-value", 2)
    assert refused.help == 'vocabulary = "bytes" reads any file'


def test_a_packed_text_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, gzip.compress(bytes(70 << 20), 1)).code == "data-limit"


def test_tokens_take_the_dtype_of_the_input(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("hello")
    given = {"path": "t.txt", "window": 2}
    dataset = open_source("text", given, tmp_path, ("a", "b"), {"a": "u8", "b": "i64"})
    assert [f.dtype for f in dataset.fields] == ["u8", "i64"]
