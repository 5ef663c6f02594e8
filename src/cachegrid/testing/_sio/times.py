# Generated from src/cachegrid/testing/_aio/times.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cachegrid._core.ages import AGES
from cachegrid._core.frame import unpack
from cachegrid.testing._sio.bench import SyncBench, frame_of, promise, version_in, wall_ms

__all__ = ["SyncTimesContract"]

SECOND: Final = 1000
MINUTE: Final = 60_000
CENTURY: Final = 100 * 365 * 24 * 60 * MINUTE
SLACK: Final = 10_000  # ms that a slow machine may take between two lines of a test


class SyncTimesContract(SyncBench):
    """Idle times, and times to live that are read and changed."""

    @promise("Times")
    def test_inspect_tells_what_is_left(self) -> None:
        """
        The frame comes with the milliseconds it has left, or None where it has no end; nothing is None.
        """
        assert self.engine.inspect(self.address()) is None
        self.engine.store(self.address(), b"endless", None)
        assert (b"endless", None) == self.engine.inspect(self.address())
        self.engine.store(self.address(), b"", MINUTE)
        assert b"" == self._has_left(MINUTE)

    @promise("Times")
    def test_a_glance_tells_what_is_left_of_how_much(self) -> None:
        """
        The beginning of the frame, the milliseconds it has left, and its size; looking keeps it no longer.
        """
        began = time.monotonic()
        assert self.engine.glance(self.address(), 4) is None
        self.engine.store(self.address(), b"endless", None)
        assert (b"endl", None, 7) == self.engine.glance(self.address(), 4)
        assert (b"endless", None, 7) == self.engine.glance(self.address(), 70)
        self.engine.store(self.address(), b"", MINUTE)
        head, left, size = self.engine.glance(self.address(), 4) or (b"?", None, -1)
        assert (b"", 0) == (head, size)
        assert left is not None
        assert 0 < MINUTE - left + 1 < SLACK
        self.engine.store(self.address(), frame_of(b"idle", idle=MINUTE), 50)
        self.ends(lambda: self.engine.glance(self.address(), 4), began, 50)

    @promise("Times")
    def test_inspect_does_not_touch(self) -> None:
        """
        Looking at an entry keeps it no longer, also if it has an idle time.
        """
        began = time.monotonic()
        self.engine.store(self.address(), frame_of(b"idle", idle=MINUTE), 50)
        self.ends(lambda: self.engine.inspect(self.address()), began, 50)

    @promise("Times")
    def test_fetch_idle_fetches(self) -> None:
        """
        The frame comes back as it was; nothing is None, and so is what has ended.
        """
        frame = frame_of(b"idle", idle=MINUTE, ttl=MINUTE)
        assert self.engine.fetch_idle(self.address(), MINUTE) is None
        self.engine.store(self.address(), frame, SLACK)
        assert frame == self.engine.fetch_idle(self.address(), SECOND)
        assert frame == self.engine.fetch(self.address())
        self.engine.store(self.address(), frame, 5)
        self.passes(5)
        self.passes(self.tolerance)
        assert self.engine.fetch_idle(self.address(), MINUTE) is None

    @promise("Times")
    def test_fetch_idle_starts_the_frames_idle_time(self) -> None:
        """
        A frame that names an idle time has that much left from now on, whatever the caller names.
        """
        self.engine.store(self.address(), frame_of(b"", idle=MINUTE), SLACK)
        self.engine.fetch_idle(self.address(), SECOND)
        self._has_left(MINUTE)

    @promise("Times")
    def test_fetch_idle_starts_the_callers_idle_time(self) -> None:
        """
        A frame that names none, an integer too, has the time left that the caller named.
        """
        for frame in (frame_of(b"plain"), b"42"):
            self.engine.store(self.address(), frame, SLACK)
            assert frame == self.engine.fetch_idle(self.address(), MINUTE)
            self._has_left(MINUTE)
            self.engine.fetch_idle(self.address(), 2 * SLACK)
            self._has_left(2 * SLACK)

    @promise("Times")
    def test_an_idle_time_of_ages_is_none(self) -> None:
        """
        Where no other idle time is named, or that of ages itself, the end of an entry stays as it is.
        """
        for frame in (frame_of(b"plain", ttl=SLACK), frame_of(b"named", idle=AGES), b"42"):
            for ttl in (None, 2 * SLACK):
                self.engine.store(self.address(), frame, ttl)
                assert frame == self.engine.fetch_idle(self.address(), AGES)
                assert [frame] == self.engine.fetch_idle_many([self.address()], AGES)
                self._has_left(ttl)
        self.engine.store(self.address(), frame_of(b"own", idle=MINUTE), SLACK)
        self.engine.fetch_idle(self.address(), AGES)
        self._has_left(MINUTE)

    @promise("Times", "Conditions", "Counts")
    def test_what_has_no_end_says_so(self) -> None:
        """
        However an entry without end came to be, it has none, and a century is one.
        """
        for address, store in zip(self.addresses(5), self._ways_to_store(), strict=True):
            for ttl in (None, CENTURY):
                store(address, ttl)
                found = self.engine.inspect(address)
                assert found is not None
                assert (found[1] is None) == (ttl is None)
                assert found[1] is None or abs(found[1] - CENTURY) <= SLACK

    def _ways_to_store(self) -> list[Callable[[bytes, int | None], object]]:
        frame, engine = frame_of(b"frame"), self.engine

        def afresh(address: bytes, ttl: int | None) -> None:
            engine.drop(address)
            engine.store_if_absent(address, frame, ttl)

        def add(address: bytes, ttl: int | None) -> None:
            engine.drop(address)
            engine.add(address, 1, 0, ttl)

        def over(address: bytes, ttl: int | None) -> None:
            engine.store(address, frame, MINUTE)
            engine.store_if_present(address, frame, ttl)

        def over_a_version(address: bytes, ttl: int | None) -> None:
            engine.store(address, frame, MINUTE)
            engine.store_if_version(address, version_in(frame), frame, ttl)

        def touch(address: bytes, ttl: int | None) -> None:
            engine.store(address, frame, MINUTE)
            engine.touch(address, ttl, wall_ms())

        return [afresh, add, over, over_a_version, touch]

    @promise("Times")
    def test_many_are_fetched_and_live_on_together(self) -> None:
        """
        The frames come in the order asked for, None where there is none, and the idle time of each starts anew.
        """
        frame, addresses = frame_of(b"idle", idle=MINUTE), self.addresses(100)
        for address in addresses[1:]:
            self.engine.store(address, frame, SLACK)
        assert [] == self.engine.fetch_idle_many([], SECOND)
        assert [None, *[frame] * 99] == self.engine.fetch_idle_many(addresses, SECOND)
        for address in addresses[1:]:
            found = self.engine.inspect(address)
            assert found is not None
            assert found[1] is not None
            assert SLACK < found[1] <= MINUTE + self.tolerance

    @promise("Times")
    def test_an_idle_time_ends(self) -> None:
        """
        An entry that nobody reads is gone when its idle time is over.
        """
        self.engine.store(self.address(), frame_of(b"", idle=50), None)
        began = time.monotonic()
        self.engine.fetch_idle(self.address(), MINUTE)
        self.ends(lambda: self.engine.inspect(self.address()), began, 50)

    @promise("Times")
    def test_reading_never_outlives_the_time_to_live(self) -> None:
        """
        However often it is read, an entry ends when the absolute time to live in its header does.
        """
        # Without a pause between reads, so that each might give it one more millisecond.
        began = time.monotonic()
        frame = frame_of(b"", idle=MINUTE, ttl=60)
        self.engine.store(self.address(), frame, 60)
        self.ends(lambda: self.engine.fetch_idle(self.address(), MINUTE), began, 60, pause=0)

    @promise("Times")
    def test_the_time_to_live_counts_from_creation(self) -> None:
        """
        The absolute time to live began when the header says, not when the frame was stored.
        """
        frame = frame_of(b"", idle=10 * MINUTE, ttl=3 * MINUTE, created=wall_ms() - MINUTE)
        self.engine.store(self.address(), frame, None)
        self.engine.fetch_idle(self.address(), MINUTE)
        self._has_left(2 * MINUTE)

    @promise("Times")
    def test_touch_needs_an_entry(self) -> None:
        """
        Where nothing is, nothing is touched, and nothing is put.
        """
        assert self.engine.touch(self.address(), MINUTE, wall_ms()) is False
        assert self.engine.fetch(self.address()) is None

    @promise("Times")
    def test_touch_gives_a_new_time_to_live(self) -> None:
        """
        A touched entry has the new time to live from now on, shorter or longer, or none.
        """
        for frame in (frame_of(b"frame", ttl=SLACK), b"42", b"no frame of ours, and longer than a header"):
            self.engine.store(self.address(), frame, SLACK)
            assert self.engine.touch(self.address(), 2 * MINUTE, wall_ms()) is True
            self._has_left(2 * MINUTE)
            assert self.engine.touch(self.address(), MINUTE, wall_ms()) is True
            self._has_left(MINUTE)
            assert self.engine.touch(self.address(), None, wall_ms()) is True
            self._has_left(None)

    @promise("Times")
    def test_touch_ends_an_entry_in_time(self) -> None:
        """
        A touched entry ends by its new time to live, to the millisecond.
        """
        self.engine.store(self.address(), frame_of(b"endless"), None)
        began = time.monotonic()
        self.engine.touch(self.address(), 50, wall_ms())
        self.ends(lambda: self.engine.fetch(self.address()), began, 50)

    @promise("Times")
    def test_touch_changes_the_header_along(self) -> None:
        """
        The header's time to live counts to the new end from creation; every other byte stays.
        """
        now = wall_ms()
        frame = frame_of(b"x" * 100_000, ttl=MINUTE, idle=5 * MINUTE, created=now - SECOND)
        self.engine.store(self.address(), frame, MINUTE)
        for ttl, kept in ((MINUTE, MINUTE + SECOND), (1 << 40, (1 << 40) + SECOND), (None, None)):
            self.engine.touch(self.address(), ttl, now)
            touched = self.engine.fetch(self.address()) or b""
            assert unpack(frame)._replace(ttl=kept) == unpack(touched)
            assert frame[24:] == touched[24:]

    @promise("Times")
    def test_touch_leaves_other_bytes_alone(self) -> None:
        """
        An integer has no header that could be changed, nor have bytes that are no frame of ours.
        """
        for frame in (b"9223372036854775807", b"-1", b"", b"no frame of ours, and longer than a header"):
            self.engine.store(self.address(), frame, None)
            assert self.engine.touch(self.address(), MINUTE, wall_ms()) is True
            assert frame == self.engine.fetch(self.address())

    @promise("Times")
    def test_touch_lets_the_idle_time_go_on(self) -> None:
        """
        A touched entry ends with its new time to live, or with the idle time that had begun before.
        """
        frame = frame_of(b"", idle=5 * MINUTE)
        for ttl, left in ((None, 2 * MINUTE), (3 * MINUTE, 2 * MINUTE), (MINUTE, MINUTE)):
            self.engine.store(self.address(), frame, 2 * MINUTE)  # as if 3 of the 5 minutes were over
            self.engine.touch(self.address(), ttl, wall_ms())
            self._has_left(left)

    def _has_left(self, expected: int | None) -> bytes:
        """The frame of an entry that has just been given so much time."""
        found = self.engine.inspect(self.address())
        assert found is not None
        frame, left = found
        assert (left is None) == (expected is None)
        assert left is None or expected is None or expected - SLACK < left <= expected + self.tolerance
        return frame
