"""What can go wrong with costs, as coded errors."""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "calibration-damaged": "A file of measured costs is not one that this version of flowc has "
    "written. It holds nothing that could not be measured again.",
}


class CalibrationError(Exception):
    """A calibration that cannot be read; `message` names the file."""

    def __init__(self, name: str, reason: str):
        self.code = "calibration-damaged"
        self.message = f"{name} is no calibration: {reason}"
        self.help = "delete it, or measure again with `flowc calibrate`"
        super().__init__(self.message)
