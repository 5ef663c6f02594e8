# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Counts."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from cachegrid.errors import NotANumber
from cachegrid.testing._aio.bench import AsyncBench, frame_of, promise
from cachegrid.testing.waits._aio import together

__all__ = ["AsyncCountsContract"]

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


class AsyncCountsContract(AsyncBench):
    """Integers that the engine adds to."""

    @promise("Counts")
    async def test_add_starts_where_nothing_is(self) -> None:
        """
        Where nothing is, the count starts from `start`, and lives as long as `ttl` says.
        """
        endless, short = self.addresses(2)
        assert 45 == await self.engine.add(endless, 5, 40, None)
        began = time.monotonic()
        assert 0 == await self.engine.add(short, -1, 1, 50)
        await self.ends(lambda: self.engine.fetch(short), began, 50)
        assert b"45" == await self.engine.fetch(endless)

    @promise("Counts")
    async def test_add_adds_to_what_is_there(self) -> None:
        """
        Where an integer is, `by` is added to it, and `start` has no say.
        """
        await self.engine.store(self.address(), b"-7", None)
        assert 3 == await self.engine.add(self.address(), 10, 1000, 1)
        assert -97 == await self.engine.add(self.address(), -100, 1000, 1)
        assert b"-97" == await self.engine.fetch(self.address())

    @promise("Counts")
    async def test_add_keeps_the_time_to_live(self) -> None:
        """
        An entry that is there keeps its time to live, or its lack of one.
        """

        async def begin(short: bytes) -> None:
            await self.engine.store(short, b"1", 50)
            assert 2 == await self.engine.add(short, 1, 0, 60_000)

        await self.engine.store(self.address(), b"1", None)
        assert 2 == await self.engine.add(self.address(), 1, 0, 5)
        short, began = await self.promptly(50, begin)
        await self.ends(lambda: self.engine.fetch(short), began, 50)
        assert b"2" == await self.engine.fetch(self.address())

    @promise("Counts")
    async def test_add_starts_anew_after_the_end(self) -> None:
        """
        A count that has ended is not there: the next one starts from `start`.
        """
        await self.engine.add(self.address(), 1, 0, 5)
        await self.passes(5)
        await self.passes(self.tolerance)
        assert 101 == await self.engine.add(self.address(), 1, 100, None)

    @promise("Counts")
    async def test_only_integers_are_added_to(self) -> None:
        """
        Where something else is, NotANumber is raised, and it is as it was.
        """
        for number, frame in enumerate(NO_NUMBERS):
            address = self.address(b"%d" % number)
            await self.engine.store(address, frame, None)
            assert await self.refuses(NotANumber, partial(self.engine.add, address, 1, 0, None)), frame
            assert frame == await self.engine.fetch(address)

    @promise("Counts")
    async def test_a_sum_has_64_bits(self) -> None:
        """
        Sums reach both ends of 64 bits; one that leaves them raises NotANumber and changes nothing.
        """
        up, down, fresh = self.addresses(3)
        assert MOST == await self.engine.add(up, 1, MOST - 1, None)
        assert LEAST == await self.engine.add(down, -1, LEAST + 1, None)
        assert await self.refuses(NotANumber, lambda: self.engine.add(up, 1, 0, None))
        assert await self.refuses(NotANumber, lambda: self.engine.add(down, -1, 0, None))
        assert await self.refuses(NotANumber, lambda: self.engine.add(fresh, MOST, MOST, None))
        assert b"%d" % MOST == await self.engine.fetch(up)
        assert b"%d" % LEAST == await self.engine.fetch(down)
        assert await self.engine.fetch(fresh) is None

    @promise("Counts")
    async def test_large_sums_are_exact(self) -> None:
        """
        No digit is lost, also beyond what a floating point number can hold.
        """
        large = (1 << 53) + 1
        assert large == await self.engine.add(self.address(), 0, large, None)
        assert large + 2 == await self.engine.add(self.address(), 2, 0, None)

    @promise("Counts")
    async def test_nothing_is_counted_twice_or_lost(self) -> None:
        """
        Callers that add at once, through several engines, each get a sum of their own.
        """
        engines = [self.engine, await self.another()]

        async def work(turn: int) -> list[int]:
            return [await engines[turn % 2].add(self.address(), 1, 0, None) for _ in range(20)]

        sums = await together(*[partial(work, turn) for turn in range(8)])
        assert list(range(1, 161)) == sorted(number for some in sums for number in some)
