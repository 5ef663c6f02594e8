# Generated from src/cachegrid/testing/_aio/counts.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Counts."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from cachegrid.errors import NotANumber
from cachegrid.testing._sio.bench import SyncBench, frame_of, promise
from cachegrid.testing.waits._sio import together

__all__ = ["SyncCountsContract"]

LEAST: Final = -(1 << 63)
MOST: Final = (1 << 63) - 1

NO_NUMBERS: Final = [
    b"",
    b"ten",
    b"1.5",
    b" 1",
    b"1 ",
    b"+1",
    b"01",
    b"-",
    b"1" * 20,
    b"%d" % (MOST + 1),
    b"%d" % (LEAST - 1),
    frame_of(b"1"),
]


class SyncCountsContract(SyncBench):
    """Integers that the engine adds to."""

    @promise("Counts")
    def test_add_starts_where_nothing_is(self) -> None:
        """
        Where nothing is, the count starts from `start`, and lives as long as `ttl` says.
        """
        endless, short = self.addresses(2)
        assert 45 == self.engine.add(endless, 5, 40, None)
        began = time.monotonic()
        assert 0 == self.engine.add(short, -1, 1, 50)
        self.ends(lambda: self.engine.fetch(short), began, 50)
        assert b"45" == self.engine.fetch(endless)

    @promise("Counts")
    def test_add_adds_to_what_is_there(self) -> None:
        """
        Where an integer is, `by` is added to it, and `start` has no say.
        """
        self.engine.store(self.address(), b"-7", None)
        assert 3 == self.engine.add(self.address(), 10, 1000, 1)
        assert -97 == self.engine.add(self.address(), -100, 1000, 1)
        assert b"-97" == self.engine.fetch(self.address())

    @promise("Counts")
    def test_add_keeps_the_time_to_live(self) -> None:
        """
        An entry that is there keeps its time to live, or its lack of one.
        """

        def begin(short: bytes) -> None:
            self.engine.store(short, b"1", 50)
            assert 2 == self.engine.add(short, 1, 0, 60_000)

        self.engine.store(self.address(), b"1", None)
        assert 2 == self.engine.add(self.address(), 1, 0, 5)
        short, began = self.promptly(50, begin)
        self.ends(lambda: self.engine.fetch(short), began, 50)
        assert b"2" == self.engine.fetch(self.address())

    @promise("Counts")
    def test_add_starts_anew_after_the_end(self) -> None:
        """
        A count that has ended is not there: the next one starts from `start`.
        """
        self.engine.add(self.address(), 1, 0, 5)
        self.passes(5)
        self.passes(self.tolerance)
        assert 101 == self.engine.add(self.address(), 1, 100, None)

    @promise("Counts")
    def test_only_integers_are_added_to(self) -> None:
        """
        Where something else is, NotANumber is raised, and it is as it was.
        """
        for number, frame in enumerate(NO_NUMBERS):
            address = self.address(b"%d" % number)
            self.engine.store(address, frame, None)
            assert self.refuses(NotANumber, partial(self.engine.add, address, 1, 0, None)), frame
            assert frame == self.engine.fetch(address)

    @promise("Counts")
    def test_a_sum_has_64_bits(self) -> None:
        """
        Sums reach both ends of 64 bits; one that leaves them raises NotANumber and changes nothing.
        """
        up, down, fresh = self.addresses(3)
        assert MOST == self.engine.add(up, 1, MOST - 1, None)
        assert LEAST == self.engine.add(down, -1, LEAST + 1, None)
        assert self.refuses(NotANumber, lambda: self.engine.add(up, 1, 0, None))
        assert self.refuses(NotANumber, lambda: self.engine.add(down, -1, 0, None))
        assert self.refuses(NotANumber, lambda: self.engine.add(fresh, MOST, MOST, None))
        assert b"%d" % MOST == self.engine.fetch(up)
        assert b"%d" % LEAST == self.engine.fetch(down)
        assert self.engine.fetch(fresh) is None

    @promise("Counts")
    def test_large_sums_are_exact(self) -> None:
        """
        No digit is lost, also beyond what a floating point number can hold.
        """
        large = (1 << 53) + 1
        assert large == self.engine.add(self.address(), 0, large, None)
        assert large + 2 == self.engine.add(self.address(), 2, 0, None)

    @promise("Counts")
    def test_nothing_is_counted_twice_or_lost(self) -> None:
        """
        Callers that add at once, through several engines, each get a sum of their own.
        """
        engines = [self.engine, self.another()]

        def work(turn: int) -> list[int]:
            return [engines[turn % 2].add(self.address(), 1, 0, None) for _ in range(20)]

        sums = together(*[partial(work, turn) for turn in range(8)])
        assert list(range(1, 161)) == sorted(number for some in sums for number in some)
