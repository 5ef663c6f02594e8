# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Epochs."""

from __future__ import annotations

from functools import partial
from typing import Final

from cachegrid.testing._aio.bench import AsyncBench, AsyncWholeEngine, promise, wall_ms
from cachegrid.testing.waits._aio import together
from cachegrid.waits._aio import sleep

__all__ = ["AsyncEpochsContract"]

MINUTE: Final = 60_000


class AsyncEpochsContract(AsyncBench):
    """Numbers by which many entries die at once."""

    @promise("Epochs")
    async def test_a_new_name_gets_one_for_all(self) -> None:
        """
        A name that has no epoch gets one, the same through every engine, also if many ask at once.
        """
        engines = [self.engine, await self.another()]
        epochs = await together(*[partial(engines[turn % 2].epoch, self.address()) for turn in range(8)])
        assert [epochs[0]] * 8 == epochs
        assert epochs[0] == await self.engine.epoch(self.address())

    @promise("Epochs")
    async def test_a_new_epoch_equals_no_earlier_one(self) -> None:
        """
        A new epoch comes from the clock, so that a name whose epoch was lost gets one it never had.
        """
        assert abs(await self.engine.epoch(self.address(b"asked")) - wall_ms()) < MINUTE
        assert abs(await self.engine.raise_epoch(self.address(b"raised")) - wall_ms()) < MINUTE

    @promise("Epochs")
    async def test_raising_gives_a_greater_one(self) -> None:
        """
        A raised epoch is greater than any before, and is that of the name from then on.
        """
        epochs = [await self.engine.epoch(self.address())]
        for _ in range(10):
            epochs.append(await self.engine.raise_epoch(self.address()))
            assert epochs[-1] == await self.engine.epoch(self.address())
        assert sorted(set(epochs)) == epochs

    @promise("Epochs")
    async def test_raising_leaves_other_names(self) -> None:
        """
        Raising the epoch of a name leaves those of others as they are.
        """
        one, two = self.addresses(2)
        epoch = await self.engine.epoch(two)
        await self.engine.raise_epoch(one)
        assert epoch == await self.engine.epoch(two)

    @promise("Epochs")
    async def test_nobody_raises_in_vain(self) -> None:
        """
        Callers that raise an epoch at once, through several engines, each get one of their own.
        """
        engines = [self.engine, await self.another()]
        epochs = await together(*[partial(engines[turn % 2].raise_epoch, self.address()) for turn in range(8)])
        assert 8 == len(set(epochs))
        assert max(epochs) == await self.engine.epoch(self.address())

    @promise("Epochs")
    async def test_a_raise_brings_doubt_to_all(self) -> None:
        """
        Once an epoch has been raised, no engine sees the answer to a later request before it doubts.
        """
        engines = [self.engine, await self.another(), await self.another()]
        for turn in range(30):
            trusted = [await self._trust(engine) for engine in engines]
            raised = await engines[turn % 3].raise_epoch(self.address())
            for engine, (doubt, epoch) in zip(engines, trusted, strict=True):
                await engine.fetch(self.address(b"%d" % turn))  # any request, to any owner
                assert doubt != engine.doubt
                assert epoch < raised == await engine.epoch(self.address())

    @promise("Epochs")
    async def test_a_raise_among_other_requests_brings_doubt(self) -> None:
        """
        An engine that is busy doubts no later than an idle one does.
        """
        busy = await self.another()
        raised: list[int] = []

        async def read() -> None:
            turn = 0
            while len(raised) < 20:
                turn += 1
                doubt, epoch = await self._trust(busy)
                await sleep(0)
                known = max(raised, default=0)  # raised before the next request begins
                await busy.fetch(self.address(b"%d" % turn))
                assert doubt != busy.doubt or known <= epoch

        async def clear() -> None:
            while len(raised) < 20:
                raised.append(await self.engine.raise_epoch(self.address()))
                await sleep(0)

        await self.engine.epoch(self.address())
        await together(clear, read, read)

    @promise("Epochs")
    async def test_without_a_raise_there_is_no_doubt(self) -> None:
        """
        While nobody raises an epoch, what was read can be trusted for a while.
        """

        async def is_calm() -> bool:
            doubt, _ = await self._trust(self.engine)
            for address in self.addresses(20):
                await self.engine.fetch(address)
            return doubt == self.engine.doubt

        assert True in [await is_calm() for _ in range(5)]

    async def _trust(self, engine: AsyncWholeEngine) -> tuple[int, int]:
        """The doubt, noted before the epoch was read, and that."""
        doubt = engine.doubt
        return doubt, await engine.epoch(self.address())
