"""The GPU that tests run on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from gpu_stand_in import ON_HARDWARE, set_seed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cuda)


@pytest.fixture(scope="session")
def seeded() -> Callable[[int], None]:
    """Sets what the order of streams, blocks and threads is drawn from."""
    pytest.importorskip("pycuda", reason="no PyCUDA; `make gpu-stand-in` builds it")
    if not ON_HARDWARE and (shutil.which("g++") is None or shutil.which("nvcc") is None):
        pytest.skip("the stand-in for a GPU needs g++ and the headers of the CUDA toolkit")
    return set_seed


@pytest.fixture
def stand_in(seeded: Callable[[int], None]) -> None:
    """For what only the stand-in can show."""
    if ON_HARDWARE:
        pytest.skip("hardware does what it likes")
    seeded(1)
