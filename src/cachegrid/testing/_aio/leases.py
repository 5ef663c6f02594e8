# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Leases."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from cachegrid.testing._aio.bench import AsyncBench, promise
from cachegrid.testing.waits._aio import together

__all__ = ["AsyncLeasesContract"]

MINUTE: Final = 60_000
MINE: Final = b"mine"
YOURS: Final = b"yours"


class AsyncLeasesContract(AsyncBench):
    """Locks that end by themselves."""

    @promise("Leases")
    async def test_one_has_it(self) -> None:
        """
        While one token has a lease no other gets it, through no engine.
        """
        other = await self.another()
        assert await self.engine.acquire(self.address(), MINE, MINUTE) is not None
        assert await self.engine.acquire(self.address(), YOURS, MINUTE) is None
        assert await other.acquire(self.address(), YOURS, MINUTE) is None

    @promise("Leases")
    async def test_a_name_has_a_lease_of_its_own(self) -> None:
        """
        A lease keeps nobody from one of another name.
        """
        one, two = self.addresses(2)
        assert await self.engine.acquire(one, MINE, MINUTE) is not None
        assert await self.engine.acquire(two, YOURS, MINUTE) is not None
        assert await self.engine.release(two, MINE) is False

    @promise("Leases")
    async def test_its_token_gets_it_again(self) -> None:
        """
        Who has a lease gets it again, with the same number and for the time it now asks for.
        """
        other = await self.another()
        fence = await self.engine.acquire(self.address(), MINE, MINUTE)
        began = time.monotonic()
        assert fence == await other.acquire(self.address(), MINE, 50)
        await self._ends(began, 50)

    @promise("Leases")
    async def test_it_ends_by_itself(self) -> None:
        """
        A lease that nobody renews ends, to the millisecond, and another token gets it.
        """
        began = time.monotonic()
        await self.engine.acquire(self.address(), MINE, 50)
        await self._ends(began, 50)

    @promise("Leases")
    async def test_renewing_moves_its_end(self) -> None:
        """
        A renewed lease ends as long after the renewal as that says, sooner or later than before.
        """

        async def begin(later: bytes) -> None:
            await self.engine.acquire(later, MINE, 30)
            assert await self.engine.renew(later, MINE, MINUTE) is True

        sooner = self.address()
        later, _ = await self.promptly(30, begin)
        await self.engine.acquire(sooner, MINE, MINUTE)
        began = time.monotonic()
        assert await self.engine.renew(sooner, MINE, 50) is True
        await self.ends(lambda: self._is_held(sooner), began, 50)
        assert await self._is_held(later)

    @promise("Leases")
    async def test_only_its_token_renews_it(self) -> None:
        """
        A lease is not renewed by another token, nor when it was never taken, was released, or has ended.
        """
        assert await self.engine.renew(self.address(), MINE, MINUTE) is False
        began = time.monotonic()
        await self.engine.acquire(self.address(), MINE, 50)
        assert await self.engine.renew(self.address(), YOURS, MINUTE) is False
        await self._ends(began, 50)
        assert await self.engine.renew(self.address(), MINE, MINUTE) is False
        assert await self.engine.release(self.address(), YOURS) is True
        assert await self.engine.renew(self.address(), YOURS, MINUTE) is False

    @promise("Leases")
    async def test_only_its_token_releases_it(self) -> None:
        """
        A lease is not released by another token, nor twice; once released, anybody gets it.
        """
        assert await self.engine.release(self.address(), MINE) is False
        await self.engine.acquire(self.address(), MINE, MINUTE)
        assert await self.engine.release(self.address(), YOURS) is False
        assert await self.engine.acquire(self.address(), YOURS, MINUTE) is None
        assert await self.engine.release(self.address(), MINE) is True
        assert await self.engine.release(self.address(), MINE) is False
        assert await self.engine.acquire(self.address(), YOURS, MINUTE) is not None

    @promise("Leases")
    async def test_the_late_do_not_disturb_the_next(self) -> None:
        """
        Who comes back after the end of its lease neither renews nor releases that of the next.
        """
        began = time.monotonic()
        await self.engine.acquire(self.address(), MINE, 20)
        await self._ends(began, 20)  # and YOURS has it
        assert await self.engine.renew(self.address(), MINE, MINUTE) is False
        assert await self.engine.release(self.address(), MINE) is False
        assert await self.engine.acquire(self.address(), MINE, MINUTE) is None
        assert await self.engine.renew(self.address(), YOURS, MINUTE) is True

    @promise("Leases")
    async def test_whether_anybody_has_it_can_be_asked(self) -> None:
        """
        Through any engine; asking takes nothing, and leaves the lease its end.
        """
        other = await self.another()

        async def held() -> tuple[bool, bool]:
            return await self.engine.is_held(self.address()), await other.is_held(self.address())

        assert [(False, False)] * 2 == [await held(), await held()]
        await self.engine.acquire(self.address(), MINE, MINUTE)
        assert (True, True) == await held()
        assert not await other.is_held(self.address(b"other"))
        assert await other.release(self.address(), MINE)
        assert (False, False) == await held()
        began = time.monotonic()
        await self.engine.acquire(self.address(), YOURS, 50)
        await self.ends(lambda: other.is_held(self.address()), began, 50)

    @promise("Leases")
    async def test_fencing_numbers_only_grow(self) -> None:
        """
        Each holder's number is greater than that of the one before, however its lease ended.
        """
        other = await self.another()
        fences = [await self.engine.acquire(self.address(), MINE, 5) or 0]
        for turn in range(20):
            engine, token = (other, MINE) if turn % 2 else (self.engine, YOURS)
            if turn % 5:
                await self.engine.release(self.address(), MINE)
                await self.engine.release(self.address(), YOURS)
            else:
                await self.passes(5)
                await self.passes(self.tolerance)
            fences.append(await engine.acquire(self.address(), token, 5) or 0)
        assert sorted(set(fences)) == fences

    @promise("Leases")
    async def test_one_of_many_gets_it(self) -> None:
        """
        Of tokens that ask at once, through several engines, exactly one gets the lease.
        """
        engines = [self.engine, await self.another()]
        for name in self.addresses(5):
            tokens = [b"%d" % racer for racer in range(8)]
            fences = await together(
                *[partial(engines[racer % 2].acquire, name, token, MINUTE) for racer, token in enumerate(tokens)]
            )
            winners = [token for token, fence in zip(tokens, fences, strict=True) if fence is not None]
            assert 1 == len(winners)
            assert await self.engine.release(name, winners[0]) is True

    async def _ends(self, began: float, lease: int) -> None:
        """Assert that the lease ends when its time is over; YOURS has it then."""
        await self.ends(lambda: self._is_held(self.address()), began, lease)

    async def _is_held(self, name: bytes) -> bool:
        return await self.engine.acquire(name, YOURS, MINUTE) is None
