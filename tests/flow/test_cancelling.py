"""Cancelling, which only async code can: whoever is cancelled takes nobody along and leaves nothing behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.hub import CLOSED
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._aio import AsyncGate, begin, listed, until


@pytest.fixture
async def flow(backing: Backing) -> AsyncIterator[AsyncFlow]:
    """Opens grids on the test's backing."""
    async with AsyncFlow(backing) as flow:
        yield flow


@pytest.fixture
async def grid(flow: AsyncFlow) -> AsyncGrid:
    """A connected grid."""
    return await flow.grid()


async def give_one() -> int:
    """A loader that is done at once."""
    return 1


async def test_a_cancelled_leader_hands_over(flow: AsyncFlow, grid: AsyncGrid) -> None:
    """
    The next who waits loads, in the same process and in another one, and soon: not when the lease has ended.
    """
    gate = AsyncGate()

    async def load() -> int:
        await gate.stand()
        raise AssertionError("was cancelled")

    cache, other = grid.cache("prices", lease="1h"), (await flow.grid()).cache("prices", lease="1h")
    leader = begin(cache.get_or_load, "key", load)
    await gate.reached()
    followers = [begin(one.get_or_load, "key", give_one) for one in (cache, cache, other)]

    async def all_have_missed() -> bool:
        return cache.stats().misses == 3 and other.stats().misses == 1

    await until(all_have_missed)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader.result()
    assert [1, 1, 1] == [await follower.result() for follower in followers]
    assert (2, 1) == (cache.stats().loads + other.stats().loads, cache.stats().load_failures)


async def test_a_cancelled_follower_takes_nobody_along(grid: AsyncGrid) -> None:
    """
    The load goes on for the others.
    """
    gate = AsyncGate()

    async def load() -> int:
        await gate.stand()
        return 1

    cache = grid.cache("prices")
    leader = begin(cache.get_or_load, "key", load)
    await gate.reached()
    followers = [begin(cache.get_or_load, "key", give_one) for _ in range(2)]

    async def all_have_missed() -> bool:
        return cache.stats().misses == 3

    await until(all_have_missed)
    followers[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await followers[0].result()
    gate.open()
    assert [1, 1] == [await leader.result(), await followers[1].result()]
    assert 1 == cache.stats().loads


@pytest.mark.parametrize("answered", [False, True], ids=["not given", "given"])
async def test_who_is_cancelled_while_asking_for_a_lease_does_not_have_it(
    flow: AsyncFlow,
    grid: AsyncGrid,
    answered: bool,  # noqa: FBT001
) -> None:
    """
    Nobody waits for the end of a lease that was given to somebody who had left; a lock's neither.
    """
    cache = grid.cache("prices", lease="1h")
    lock = grid.lock("job", lease="1h")
    for work in (lambda: cache.get_or_load("key", give_one), lock.acquire):
        gate = engine_of(grid).hold("acquire", answered=answered)
        run = begin(work)
        await gate.reached()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.result()
    assert 1 == await (await flow.grid()).cache("prices").get_or_load("key", give_one)
    async with (await flow.grid()).lock("job"):
        pass


async def test_cancelling_at_random_leaves_nothing(flow: AsyncFlow) -> None:
    """
    Whoever is cancelled wherever: the others get the value, and no flight, lease or task is left.
    """
    dice = random.Random(5)
    grids = [await flow.grid() for _ in range(2)]
    caches = [grid.cache("prices", lease="10s") for grid in grids]
    turns = 0

    async def load() -> int:
        await asyncio.sleep(0)
        return 7

    for key in range(30):
        callers = [begin(dice.choice(caches).get_or_load, key, load) for _ in range(10)]
        for caller in callers:
            for _ in range(dice.randrange(3)):
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                caller.cancel()
        for caller in callers:
            try:
                assert 7 == await caller.result()
            except asyncio.CancelledError:
                turns += 1
    assert turns > 0


async def test_a_cancelled_call_leaves_its_connection_in_order(flow: AsyncFlow, grid: AsyncGrid) -> None:
    """
    The answer that nobody waits for is nobody else's.
    """
    cache = grid.cache("prices")
    await cache.set_many({number: number for number in range(50)})
    for _ in range(20):
        calls = [asyncio.create_task(cache.get(number)) for number in range(50)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(
            answer == number or isinstance(answer, asyncio.CancelledError) for number, answer in enumerate(answers)
        )


async def test_a_deadline_of_the_callers_own(grid: AsyncGrid) -> None:
    """
    `asyncio.timeout` around a call that waits for a load ends the wait, and not the load.
    """
    gate = AsyncGate()

    async def load() -> int:
        await gate.stand()
        return 1

    cache = grid.cache("prices")
    leader = begin(cache.get_or_load, "key", load)
    await gate.reached()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cache.get_or_load("key", give_one)
    gate.open()
    assert 1 == await leader.result()


async def test_a_clear_that_is_cancelled_goes_on_to_the_end(flow: AsyncFlow, grid: AsyncGrid) -> None:
    """
    Broken off in the middle, an epoch might be raised that nobody was told of; closing the grid waits for it.
    """
    other = (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    await cache.set("key", 1)
    assert 1 == await other.get("key")
    gate = engine_of(grid).hold("raise_epoch")
    clearing = begin(cache.clear)
    await gate.reached()
    clearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await clearing.result()
    closing = begin(grid.aclose)

    async def waits() -> bool:
        return cache._engine is CLOSED

    await until(waits)
    assert not closing.is_done
    gate.open()
    await closing.result()
    assert None is await other.get("key")


async def test_closing_waits_for_a_sweep_no_longer_than_for_a_call(flow: AsyncFlow) -> None:
    """
    What it has not freed by then is freed after the next clear.
    """
    grid, other = await flow.grid(timeout="50ms"), await flow.grid()
    cache = grid.cache("prices")
    await cache.set("key", "x")
    sweep = engine_of(grid).hold("drop_many")
    await cache.clear()
    await sweep.reached()
    await grid.aclose()
    parent = cache._space.parents[-1]
    assert 1 == len(await listed(engine_of(other).walk(parent)))
    await other.cache("prices").clear()
    await other.settle()
    assert [] == await listed(engine_of(other).walk(parent))
