"""The clock that tests hold in their hands."""

from __future__ import annotations

import pytest

from cachegrid.testing import FakeClock


def test_it_stands_still() -> None:
    """
    No time passes that nobody asked for, and two clocks do not know each other.
    """
    clock, other = FakeClock(wall=100), FakeClock()
    clock.advance(5)
    assert (5.0, 105.0, 0.0) == (clock.monotonic(), clock.time(), other.monotonic())
    assert (5.0, 105.0) == (clock.monotonic(), clock.time())
    assert "FakeClock(5.000 s after its start, 105.000 s after 1970)" == repr(clock)


async def test_whoever_sleeps_on_it_moves_it() -> None:
    """
    Sleeping returns at once, so much later, in both colours.
    """
    clock = FakeClock()
    clock.sleep(2)
    await clock.asleep(3)
    assert 5.0 == clock.perf_counter()


def test_small_steps_add_up() -> None:
    """
    A thousand milliseconds are a second, to the nanosecond.
    """
    clock = FakeClock(wall=0.1)
    for _ in range(1000):
        clock.advance(0.001)
    assert (10**9, 10**9, 1_100_000_000) == (clock.monotonic_ns(), clock.perf_counter_ns(), clock.time_ns())


def test_only_the_wall_clock_goes_back() -> None:
    """
    An administrator may set the time of day; the time that passes passes forwards.
    """
    clock = FakeClock(wall=1000)
    clock.jump(-100)
    assert (900.0, 0.0) == (clock.time(), clock.monotonic())
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
