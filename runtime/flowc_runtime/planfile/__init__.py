"""The plan as a file: versioned JSON with a hash of its content, and as a text to be read."""

from flowc_runtime.plan import PlanError
from flowc_runtime.planfile.check import check_plan
from flowc_runtime.planfile.read import read_plan
from flowc_runtime.planfile.text import plan_text
from flowc_runtime.planfile.write import plan_hash, write_plan

__all__ = ["PlanError", "check_plan", "plan_hash", "plan_text", "read_plan", "write_plan"]
