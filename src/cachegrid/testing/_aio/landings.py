# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Landings."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from cachegrid.testing._aio.bench import AsyncBench, frame_of, promise, wall_ms
from cachegrid.testing.waits._aio import together

__all__ = ["AsyncLandingsContract"]

MINUTE: Final = 60_000
MINE: Final = b"mine"
YOURS: Final = b"yours"


class AsyncLandingsContract(AsyncBench):
    """What was loaded is kept only if nobody dropped it meanwhile."""

    @promise("Landings", "Leases")
    async def test_it_lands_once_under_its_lease(self) -> None:
        """
        Under a lease that is held the frame is put, and the lease ends.
        """
        frame = frame_of(b"loaded")
        await self.engine.acquire(self.address(), MINE, MINUTE)
        assert await self.engine.land(self.address(), MINE, frame, None) is True
        assert frame == await self.engine.fetch(self.address())
        assert await self.engine.renew(self.address(), MINE, MINUTE) is False
        assert await self.engine.land(self.address(), MINE, frame_of(b"again"), None) is False
        assert frame == await self.engine.fetch(self.address())
        assert await self.engine.acquire(self.address(), YOURS, MINUTE) is not None

    @promise("Landings", "Leases")
    async def test_asked_again_it_recognises_its_frame(self) -> None:
        """
        Who did not get the answer, and asks again, is told that the frame was put: until something else is there.
        """
        frame = frame_of(b"loaded")
        await self.engine.acquire(self.address(), MINE, MINUTE)
        await self.engine.land(self.address(), MINE, frame, MINUTE)
        assert await self.engine.land(self.address(), MINE, frame, MINUTE) is True
        await self.engine.store(self.address(), frame_of(b"newer"), MINUTE)
        assert await self.engine.land(self.address(), MINE, frame, MINUTE) is False
        await self.engine.drop(self.address())
        assert await self.engine.land(self.address(), MINE, frame, MINUTE) is False
        assert await self.engine.fetch(self.address()) is None

    @promise("Landings", "Leases")
    async def test_what_landed_ends(self) -> None:
        """
        The frame has the time to live that it was put with.
        """
        await self.engine.acquire(self.address(), MINE, MINUTE)
        began = time.monotonic()
        assert await self.engine.land(self.address(), MINE, frame_of(b"loaded"), 50) is True
        await self.ends(lambda: self.engine.fetch(self.address()), began, 50)

    @promise("Landings", "Leases")
    async def test_what_is_there_stays(self) -> None:
        """
        Where something is, nothing is put, and the lease ends.
        """
        await self.engine.acquire(self.address(), MINE, MINUTE)
        await self.engine.store(self.address(), b"set meanwhile", None)
        assert await self.engine.land(self.address(), MINE, frame_of(b"loaded"), None) is False
        assert b"set meanwhile" == await self.engine.fetch(self.address())
        assert await self.engine.acquire(self.address(), YOURS, MINUTE) is not None

    @promise("Landings")
    async def test_nothing_lands_without_a_lease(self) -> None:
        """
        Under a lease that was never taken nothing is put.
        """
        assert await self.engine.land(self.address(), MINE, frame_of(b"loaded"), None) is False
        assert await self.engine.fetch(self.address()) is None

    @promise("Landings", "Leases")
    async def test_nothing_lands_under_the_lease_of_another(self) -> None:
        """
        Under a lease that was lost to another, or released, nothing is put; the other keeps it.
        """
        frame = frame_of(b"loaded")
        began = time.monotonic()
        await self.engine.acquire(self.address(), MINE, 20)
        await self.ends(partial(self._is_held, self.address()), began, 20)  # and YOURS has it
        assert await self.engine.land(self.address(), MINE, frame, None) is False
        assert await self.engine.fetch(self.address()) is None
        assert await self.engine.renew(self.address(), YOURS, MINUTE) is True
        await self.engine.release(self.address(), YOURS)
        assert await self.engine.land(self.address(), MINE, frame, None) is False
        assert await self.engine.fetch(self.address()) is None

    @promise("Landings", "Leases")
    async def test_an_ended_lease_lands_nothing(self) -> None:
        """
        A lease that has ended is none, also while nobody else has asked for it.
        """
        await self.engine.acquire(self.address(), MINE, 5)
        await self.passes(5)
        await self.passes(self.tolerance)
        assert await self.engine.land(self.address(), MINE, frame_of(b"late"), None) is False
        assert await self.engine.fetch(self.address()) is None

    @promise("Landings", "Leases", "Batches")
    async def test_dropping_ends_the_lease(self) -> None:
        """
        Who drops an address, with others or alone, through any engine, keeps what was loaded for it from landing.
        """
        other = await self.another()
        for address in self._awkward():
            for entry in (None, b"old"):
                for drop in (self.engine.drop, other.drop, self._drop_among_others):
                    if entry is not None:
                        await self.engine.store(address, entry, None)
                    await self.engine.acquire(address, MINE, MINUTE)
                    assert (entry is not None) is await drop(address)
                    assert await self.engine.land(address, MINE, frame_of(b"stale"), None) is False
                    assert await self.engine.fetch(address) is None
                    assert await self.engine.renew(address, MINE, MINUTE) is False

    @promise("Landings", "Leases", "Batches", "Times")
    async def test_what_came_and_went_keeps_older_things_from_landing(self) -> None:
        """
        Who stores what ends soon, with others or alone, or lets it end soon, keeps what was loaded before from landing.
        """
        frame = frame_of(b"newer")

        async def store(address: bytes) -> None:
            await self.engine.store(address, frame, 20)

        async def store_among_others(address: bytes) -> None:
            await self.engine.store_many([(b"other", frame, None), (address, frame, 20), (b"another", frame, MINUTE)])

        async def touch(address: bytes) -> None:
            await self.engine.store(address, frame, None)
            assert await self.engine.touch(address, 20, wall_ms()) is True

        for address, come_and_go in zip(self.addresses(3), (store, store_among_others, touch), strict=True):
            await self.engine.acquire(address, MINE, MINUTE)
            began = time.monotonic()
            await come_and_go(address)
            await self.ends(partial(self.engine.fetch, address), began, 20)
            assert await self.engine.land(address, MINE, frame_of(b"older"), None) is False
            assert await self.engine.fetch(address) is None

    @promise("Landings", "Leases", "Batches")
    async def test_dropping_many_counts_what_was_there(self) -> None:
        """
        Leases that end with what is dropped are not counted.
        """
        addresses = self.addresses(50)
        for address in addresses[::2]:
            await self.engine.acquire(address, MINE, MINUTE)
        await self.engine.store_many([(address, b"", None) for address in addresses[:20]])
        assert 20 == await self.engine.drop_many(addresses)
        for address in addresses[::2]:
            assert await self.engine.land(address, MINE, frame_of(b"stale"), None) is False

    @promise("Landings", "Leases")
    async def test_dropping_leaves_other_leases(self) -> None:
        """
        Only the lease of that very name ends.
        """
        names = [self.address(), self.address() + b"}", b"lock:" + self.address(), *self._awkward()]
        for name in names:
            await self.engine.acquire(name, MINE, MINUTE)
        await self.engine.drop(self.address())
        assert [name == self.address() for name in names] == [
            await self.engine.renew(name, MINE, MINUTE) is False for name in names
        ]

    @promise("Landings", "Leases")
    async def test_a_drop_and_a_landing_at_once(self) -> None:
        """
        Whoever of the two is first: nothing that was loaded before the drop is there after both.
        """
        other = await self.another()
        for address in self.addresses(20):
            await self.engine.acquire(address, MINE, MINUTE)
            await together(
                partial(self.engine.land, address, MINE, frame_of(b"stale"), None), partial(other.drop, address)
            )
            assert await self.engine.fetch(address) is None

    def _awkward(self) -> list[bytes]:
        """Addresses with what some engines take for a tag, or for the end of one."""
        return [self.address(name) for name in (b"{a}b", b"a}b", b"{}b", b"{a", b"}{a}", b"\xff {x} \x00")]

    async def _drop_among_others(self, address: bytes) -> bool:
        return await self.engine.drop_many([self.address(b"another"), address, self.address(b"a third")]) == 1

    async def _is_held(self, name: bytes) -> bool:
        return await self.engine.acquire(name, YOURS, MINUTE) is None
