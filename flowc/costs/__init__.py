"""What instructions, copies and reading cost in seconds: from measurements, else from defaults."""

from flowc.costs.calibration import (
    Calibration,
    HostFacts,
    Meeting,
    Seconds,
    default_calibration,
    read_calibration,
    write_calibration,
)
from flowc.costs.errors import CalibrationError
from flowc.costs.model import SOURCES, Cost, CostModel

__all__ = [
    "SOURCES", "Calibration", "CalibrationError", "Cost", "CostModel", "HostFacts", "Meeting",
    "Seconds",     "default_calibration", "read_calibration", "write_calibration",
]  # fmt: skip
