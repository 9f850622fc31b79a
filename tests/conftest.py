"""Options of the test run, and what several tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

COMMANDS = ("TRAIN", "EVAL", "PREDICT")


# The same examples each time; `--hypothesis-profile default` has others, and keeps what failed.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the goldens")
    parser.addoption("--fuzz", type=int, default=4_000, help="how many texts the fuzz test makes")
    parser.addoption("--backend", choices=("numpy", "native"), default="numpy",
                     help="what computes, where a test does not say")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--backend") == "native":
        from flowc_runtime import executor
        from flowc_runtime.native import NativeDevice

        executor.NumpyDevice = NativeDevice  # type: ignore[assignment, misc]
        os.environ |= {f"FLOWC_{command}_BACKEND": "native" for command in COMMANDS}


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was calibrated on this machine changes plans, and may be of another version."""
    os.environ["FLOWC_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
