"""What must hold of a plan before a device runs it; the first promise that is broken is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from flowc_runtime.blocking import fused_scratch_bytes
from flowc_runtime.expression import BadExpression, parse_expression
from flowc_runtime.memory import constant_array
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Types
from flowc_runtime.plan import ALIGNMENT_BYTES, SPACES, Buffer, Instruction, Plan, Program
from flowc_runtime.plancheck_live import check_live
from flowc_runtime.types import TensorType

MAX_BYTES = 1 << 46  # of one space: more than any machine has
MAX_ROUNDS = 1 << 31  # of a scan
MAX_SCAN_DEPTH = 8
KINDS = ("param", "state", "slot")
_SCAN_ATTRS = {"sequences", "carries", "axes", "yield_axes", "length", "reverse"}


class PlanError(ValueError):
    """The plan is not one that can be run; the message says where and why."""
