"""What can go wrong with a run folder, as coded errors."""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "run-busy": "Another process trains into this run folder. Two of them would overwrite each "
    "other's checkpoints.",
    "run-exists": "The folder named by --out already holds a run, and --resume was not given.",
    "run-none": "The folder to resume from holds no run.",
    "run-damaged": "run.json is not what flowc wrote.",
    "run-unwritable": "The system refused to make the run folder or to write into it.",
}


class RunError(Exception):
    """A run folder that cannot be used; `code` is one of CODES."""

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
