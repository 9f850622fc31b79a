"""What steps cost on the hosts that are known here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowc.costs import CostModel


def costs_by_host(
    given: Path | None = None, backend: str = "numpy"
) -> Callable[[str], CostModel]:
    """By host: what was measured there, kept under its name; this machine's for its own tasks."""
    from flowc.cli.calibrate import (
        calibration_file,
        calibration_folder,
        file_name,
        stored_calibration,
    )
    from flowc.costs import CostModel
    from flowc.planning.facts import ALONE_HOST

    known: dict[str, CostModel] = {}
    here = ("local", ALONE_HOST)

    def find(host: str) -> Path:
        if given is not None and given.is_file():
            return given
        own = calibration_file(backend=backend).name
        name = own if host in here else file_name(host, backend)
        return (given or calibration_folder()) / name

    def costs(host: str) -> CostModel:
        if host not in known:
            known[host] = CostModel(stored_calibration(find(host)))
        return known[host]

    return costs
