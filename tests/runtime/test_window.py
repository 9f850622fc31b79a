"""The geometry of sliding windows."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from flowc_runtime.ops.window import Axis

FEW, SIDES = st.integers(1, 6), st.integers(0, 9)


@given(st.integers(1, 9), FEW, FEW, SIDES, SIDES, FEW)
def test_positions_that_see_nothing_are_found_without_visiting_all(
    size: int, window: int, stride: int, before: int, after: int, dilation: int
) -> None:
    axis = Axis(size, window, stride, before, after, dilation)
    assume(axis.padded >= axis.extent)
    assert axis.always_sees() == bool(axis.seen().all())


def test_a_padding_of_billions_takes_no_memory() -> None:
    assert not Axis(32, 2, 2, 2**32, 2**32, 1).always_sees()
    assert Axis(2**40, 3, 1, 1, 1, 1).always_sees()
