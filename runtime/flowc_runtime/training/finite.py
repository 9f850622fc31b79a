"""Finds parameters that training has spoilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowc_runtime.plan import Variable

Array = np.ndarray
BF16_EXPONENT = np.uint16(0x7F80)  # all ones in a bf16 that is infinite or NaN


def first_not_finite(variables: Sequence[Variable], values: Mapping[str, Array]) -> str | None:
    """The path of the first parameter with a NaN or an infinity, None where all are sound.

    A finite loss does not rule it out: a gradient may overflow where the loss does not.
    """
    for variable in variables:
        if variable.kind == "param" and not _is_finite(variable, values[variable.path]):
            return variable.path
    return None


def _is_finite(variable: Variable, value: Array) -> bool:
    if variable.type.kind != "float" or not value.size:
        return True
    if variable.type.dtype == "bf16":
        return not bool(np.any((value & BF16_EXPONENT) == BF16_EXPONENT))
    # The extremes show infinities, and a NaN spreads into them; neither needs memory.
    return bool(np.isfinite(value.min()) and np.isfinite(value.max()))
