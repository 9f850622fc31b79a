"""The geometry of sliding windows."""

from __future__ import annotations

import time
import tracemalloc

from hypothesis import assume, given
from hypothesis import strategies as st

from flowc_runtime.ops.window import Axis

FEW, SIDES, GAPS = st.integers(1, 6), st.integers(0, 9), st.integers(1, 12)


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    axis = Axis(draw(st.integers(1, 9)), draw(FEW), draw(FEW), draw(st.integers(0, 30)),
                draw(SIDES), draw(GAPS))
    assume(axis.padded >= axis.extent)
    return axis


@given(axes(), SIDES, SIDES)
def test_the_taps_that_see_the_image_or_padding_around_it_are_counted(
    axis: Axis, before: int, after: int
) -> None:
    counted = range(-before, axis.size + after)
    by_tap = [
        sum(o * axis.stride + i * axis.dilation - axis.before in counted
            for i in range(axis.window))
        for o in range(axis.steps)
    ]  # fmt: skip
    assert axis.seen(before, after).tolist() == by_tap


@given(axes())
def test_positions_that_see_nothing_are_found_without_visiting_all(axis: Axis) -> None:
    assert axis.always_sees() == bool(axis.seen().all())


def test_counting_the_taps_of_a_long_window_takes_no_more_memory_than_the_positions() -> None:
    axis = Axis(40_000, 40_000, 1, 20_000, 19_999)
    tracemalloc.start()
    try:
        assert axis.seen().min() == 20_000
        assert tracemalloc.get_traced_memory()[1] < 8 * 8 * axis.steps
    finally:
        tracemalloc.stop()


def test_a_padding_of_billions_takes_no_memory_and_no_time() -> None:
    started = time.process_time()
    assert not Axis(32, 2, 2, 2**32, 2**32, 1).always_sees()
    assert Axis(2**40, 3, 1, 1, 1, 1).always_sees()
    # The first to see nothing is the last that begins before the image.
    assert not Axis(2**40, 2, 1, 2**40, 2**40, 2**40 + 1).always_sees()
    assert Axis(2**40, 2, 2, 2**40, 2**40, 2**40 + 1).always_sees()
    assert time.process_time() - started < 1
