"""The catalogue: how calls in the data section are bound and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowc_runtime.data.arguments import BadArgument, bind
from flowc_runtime.data.errors import CODES, DataError
from flowc_runtime.data.sources import SOURCES, open_source
from flowc_runtime.data.transform import TRANSFORMS


def bad(source: str, *positional: Any, **named: Any) -> BadArgument:
    with pytest.raises(BadArgument) as caught:
        bind(SOURCES[source].parameters, positional, named)
    return caught.value


def test_the_catalogue_has_these_sources_and_transforms() -> None:
    assert set(SOURCES) == {"idx", "csv", "npy", "npz", "text", "images", "cifar10"}
    assert set(TRANSFORMS) == {
        "take", "skip", "shuffle", "resize", "center_crop", "random_crop", "random_resized_crop",
        "random_flip", "color_jitter",
    }


def test_every_parameter_is_documented_and_takes_its_own_default() -> None:
    for spec in (*SOURCES.values(), *TRANSFORMS.values()):
        assert spec.doc.endswith(".")
        for parameter in spec.parameters:
            assert parameter.doc and parameter.kind.name
            if parameter.default is not None:
                assert parameter.kind.accepts(parameter.default)


def test_arguments_are_bound_by_position_and_by_name() -> None:
    assert bind(SOURCES["text"].parameters, ["t.txt", 32], {"vocabulary": "bytes"}) == {
        "path": "t.txt", "window": 32, "stride": None, "vocabulary": "bytes",
    }  # fmt: skip


def test_files_of_several_fields_are_bound_together() -> None:
    assert bind(SOURCES["idx"].parameters, ["a", "b", "c"], {}) == {"paths": ("a", "b", "c")}


def test_a_bad_argument_says_which_one() -> None:
    assert bad("idx", "a", 3).argument == 1
    assert bad("text", "t.txt", window=0).argument == "window"
    assert bad("text", "t.txt", 1, 1, "bytes", 5).argument == 4
    assert bad("text", "t.txt", path="t.txt").argument == "path"
    assert bad("csv").argument is None
    assert bad("images", "pets", size=[0, 4]).argument == "size"
    assert bad("csv", "t.csv", header=1).argument == "header"
    assert bad("text", "t.txt", window=None).argument == "window"


def test_an_unknown_parameter_names_the_nearest() -> None:
    assert bad("text", "t.txt", widow=3).help == "`window`: did you mean that?"


@pytest.mark.parametrize(
    ("name", "arguments", "count"),
    [
        ("idx", {"paths": ("a", "b")}, 2),
        ("csv", {"columns": None}, 2),
        ("csv", {"columns": [0, 1, 2]}, 3),
        ("npz", {"keys": None}, None),
        ("text", {}, 2),
    ],
)
def test_the_number_of_fields_is_known_before_anything_is_read(
    name: str, arguments: dict[str, Any], count: int | None
) -> None:
    assert SOURCES[name].count(arguments) == count


def test_the_names_must_be_as_many_as_the_fields(tmp_path: Path) -> None:
    for fields in ((), ("x",), ("x", "y", "z")):
        with pytest.raises(DataError) as caught:
            open_source("csv", {"path": "t.csv"}, tmp_path, fields, {})
        assert caught.value.code == "data-shape"


def test_arguments_are_checked_again_when_a_source_is_opened(tmp_path: Path) -> None:
    for arguments in ({}, {"path": 3}, {"path": "t.txt", "windows": 3}):
        with pytest.raises(DataError) as caught:
            open_source("text", arguments, tmp_path, (), {})
        assert caught.value.code == "data-argument"


def test_the_fields_name_the_arrays_of_an_archive_by_default(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 3)), y=np.ones(2))
    dataset = open_source("npz", {"path": "d.npz"}, tmp_path, ("y", "x"), {"x": "f32"})
    assert [(f.name, f.dtype, f.shape) for f in dataset.fields] == [
        ("y", "f64", ()), ("x", "f32", (3,)),
    ]  # fmt: skip


def test_an_error_reads_like_that_of_a_compiler() -> None:
    error = DataError("data-value", "is bad", "data/t.csv", 7, "mend it")
    assert str(error) == "data/t.csv:7: is bad"
    assert str(DataError("data-shape", "is bad")) == "is bad"


def test_every_code_is_explained() -> None:
    assert all(len(text) > 30 and text.endswith(".") for text in CODES.values())
