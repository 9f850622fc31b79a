"""A data item as plain data: what comes out is what went in, and nothing else gets through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowc_runtime.data.errors import DataError
from flowc_runtime.data.spec import DataSpec, content_sha256, read_spec, write_spec

SPEC = DataSpec(
    "csv",
    {"path": "points.csv", "columns": [(0, 1), 2], "header": None},
    (("shuffle", {"seed": 1}), ("take", {"share": 0.5})),
    ("x", "y"),
    {"x": "f32", "y": "f32"},
)


def test_a_spec_survives_its_text() -> None:
    assert read_spec(write_spec(SPEC)) == SPEC


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100_000, write_spec(SPEC).replace('"csv"', '"os.system"'),
     write_spec(SPEC).replace('"shuffle"', '"eval"'), write_spec(SPEC).replace("f32", "f31")],
    ids=["nothing", "a list", "no keys", "deep", "source", "transform", "dtype"],
)  # fmt: skip
def test_what_describes_no_data_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        read_spec(text)


def test_other_content_has_another_hash(tmp_path: Path) -> None:
    spec = DataSpec("npy", {"paths": ("x.npy",)}, (), ("x",), {"x": "f32"})
    hashes = set()
    for value in (1, 2):
        np.save(tmp_path / "x.npy", np.full((40, 3), value, np.float32))
        hashes.add(content_sha256(spec.open(tmp_path, ())))
    assert len(hashes) == 2
