# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Batches."""

from __future__ import annotations

from cachegrid.testing._aio.bench import AsyncBench, frame_of, promise

__all__ = ["AsyncBatchesContract"]


class AsyncBatchesContract(AsyncBench):
    """Many addresses in one call, wherever they live."""

    @promise("Batches")
    async def test_parts_are_the_whole(self) -> None:
        """
        Each place comes once, with its frame, whether something is there or not; of none there is no part that has any.
        """
        addresses = [self.address(b"%d" % number) for number in range(2500)]
        frames_at = {address: frame_of(address) for address in addresses[::2]}
        await self.engine.store_many([(address, frame, None) for address, frame in frames_at.items()])
        found: list[tuple[int, bytes | None]] = []
        async for places, frames in self.engine.fetch_parts(addresses):
            found += zip(places, frames, strict=True)
        assert [(at, frames_at.get(address)) for at, address in enumerate(addresses)] == sorted(found)
        assert [] == [places async for places, _ in self.engine.fetch_parts([]) if places]

    @promise("Batches")
    async def test_none_is_a_number_of_addresses(self) -> None:
        """
        A call with no addresses has no answers, and does nothing.
        """
        assert [] == await self.engine.fetch_many([])
        await self.engine.store_many([])
        assert 0 == await self.engine.drop_many([])

    @promise("Batches")
    async def test_one_is_a_number_of_addresses(self) -> None:
        """
        A call with one address does what the single call does.
        """
        await self.engine.store_many([(self.address(), b"", None)])
        assert [b""] == await self.engine.fetch_many([self.address()])
        assert b"" == await self.engine.fetch(self.address())
        assert 1 == await self.engine.drop_many([self.address()])
        assert [None] == await self.engine.fetch_many([self.address()])

    @promise("Batches")
    async def test_a_thousand_answers_come_in_order(self) -> None:
        """
        The answers to 1000 addresses come in the order asked for, with None where nothing is.
        """
        addresses = self.addresses(1000)
        frames = [b"%d" % number * (number % 50) for number in range(1000)]
        await self.engine.store_many(list(zip(addresses[::2], frames[::2], [None] * 500, strict=True)))
        expected = [None if number % 2 else frame for number, frame in enumerate(frames)]
        assert expected == await self.engine.fetch_many(addresses)
        assert expected[::-1] == await self.engine.fetch_many(tuple(addresses[::-1]))

    @promise("Batches")
    async def test_a_thousand_are_dropped_and_counted(self) -> None:
        """
        Dropping 1000 addresses removes what is there, nothing else, and tells how many there were.
        """
        addresses = self.addresses(1000)
        await self.engine.store_many([(address, b"here", None) for address in addresses[:700]])
        assert 600 == await self.engine.drop_many(addresses[100:])
        assert [b"here"] * 100 + [None] * 900 == await self.engine.fetch_many(addresses)

    @promise("Batches")
    async def test_an_address_may_come_twice(self) -> None:
        """
        An address asked for twice is answered twice, stored twice keeps the later, and is dropped once.
        """
        one, other = self.addresses(2)
        await self.engine.store_many([(one, b"early", None), (other, b"other", None), (one, b"late", None)])
        assert [b"late", b"other", b"late"] == await self.engine.fetch_many([one, other, one])
        assert 2 == await self.engine.drop_many([one, other, one])

    @promise("Batches")
    async def test_frames_of_all_sizes_travel_together(self) -> None:
        """
        Empty and large frames in one call come back as they were.
        """
        frames = [b"", b"x" * (1 << 20), b"\r\n", bytes(range(256)) * 1000, b"$5\r\n"]
        addresses = self.addresses(len(frames))
        await self.engine.store_many([(address, frame, None) for address, frame in zip(addresses, frames, strict=True)])
        assert frames == await self.engine.fetch_many(addresses)

    @promise("Batches")
    async def test_each_has_its_own_time_to_live(self) -> None:
        """
        In one call each entry has the time to live that came with it, or none.
        """
        endless, long = self.addresses(2)

        async def begin(short: bytes) -> None:
            await self.engine.store_many([(endless, b"0", None), (short, b"1", 50), (long, b"2", 60_000)])
            assert [b"0", b"1", b"2"] == await self.engine.fetch_many([endless, short, long])

        short, began = await self.promptly(50, begin)
        await self.ends(lambda: self.engine.fetch(short), began, 50)
        assert [b"0", None, b"2"] == await self.engine.fetch_many([endless, short, long])

    @promise("Batches")
    async def test_what_has_ended_is_not_counted(self) -> None:
        """
        An entry that has ended is not there for a drop of many.
        """
        short, long = self.addresses(2)
        await self.engine.store_many([(short, b"1", 5), (long, b"2", None)])
        await self.passes(5)
        await self.passes(self.tolerance)
        assert 1 == await self.engine.drop_many([short, long])
