"""A clock for tests: it stands still until it is told to go on."""

from __future__ import annotations

__all__ = ["FakeClock"]

_SECOND = 1_000_000_000  # nanoseconds


class FakeClock:
    """
    Has the readings of the module `time`, and `sleep`, and moves only when told; whole nanoseconds, so sums are exact.

    Give its methods where real ones are the default.

    >>> clock = FakeClock(wall=1_700_000_000)
    >>> clock.advance(0.25)
    >>> clock.monotonic(), clock.time_ns() // 1_000_000
    (0.25, 1700000000250)
    """

    def __init__(self, wall: float = 1_700_000_000) -> None:
        self._monotonic = 0
        self._wall = _ns(wall)

    def __repr__(self) -> str:
        return f"FakeClock({self.monotonic():.3f} s after its start, {self.time():.3f} s after 1970)"

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._monotonic / _SECOND

    perf_counter = monotonic

    def monotonic_ns(self) -> int:
        """Nanoseconds since this clock was made."""
        return self._monotonic

    perf_counter_ns = monotonic_ns

    def time(self) -> float:
        """Seconds since 1970."""
        return self._wall / _SECOND

    def time_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        if seconds < 0:
            raise ValueError(f"time cannot pass {seconds} s backwards; `jump` sets the wall clock back")
        self._monotonic += _ns(seconds)
        self._wall += _ns(seconds)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forth, or back, as an administrator would; no time passes."""
        self._wall += _ns(seconds)

    def sleep(self, seconds: float) -> None:
        """Return at once, so much later."""
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """`sleep`, for async code."""
        self.advance(seconds)


def _ns(seconds: float) -> int:
    return round(seconds * _SECOND)
