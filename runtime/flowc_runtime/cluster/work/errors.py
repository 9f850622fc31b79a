"""What a task cannot do, as a coded error that the coordinator passes on to the user."""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "task-plan": "A task was given a plan that it cannot run: the file is damaged, or comes from "
    "another version of flowc. All tasks of a job need the same version.",
    "task-order": "A task was told something at a time when it makes no sense, such as to run "
    "steps before it has a plan. That is a mistake of whoever drives it, not of the model.",
}


class WorkError(Exception):
    """Something that a task was asked for and cannot do."""

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code, self.message, self.help = code, message, help
