"""The stand-in for a GPU: loaded before PyCUDA, which then finds its driver."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from gpu_stand_in import build


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cuda)


@pytest.fixture(scope="session")
def seeded() -> Callable[[int], None]:
    """Sets what the order of streams, blocks and threads is drawn from."""
    if shutil.which("g++") is None or shutil.which("nvcc") is None:
        pytest.skip("the stand-in for a GPU needs g++ and the headers of the CUDA toolkit")
    pytest.importorskip("pycuda", reason="no PyCUDA; `make gpu-stand-in` builds it")
    return build.load_driver().stand_in_seed
