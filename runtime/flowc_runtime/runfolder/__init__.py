"""The folder that one training leaves behind."""

from flowc_runtime.runfolder.errors import CODES, RunError
from flowc_runtime.runfolder.folder import (
    RUNS,
    RunFacts,
    RunFolder,
    create_run,
    latest_run,
    read_run_facts,
    reopen_run,
)

__all__ = [
    "CODES",
    "RUNS",
    "RunError",
    "RunFacts",
    "RunFolder",
    "create_run",
    "latest_run",
    "read_run_facts",
    "reopen_run",
]
