"""What only async code does with many keys: it asks for them at the same time, and is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cachegrid import request_scope, through
from cachegrid._aio.grid import AsyncGrid
from cachegrid._core.scope import OPEN
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._aio import AsyncGate, begin, until


@pytest.fixture
async def flow(backing: Backing) -> AsyncIterator[AsyncFlow]:
    """Opens grids on the test's backing."""
    async with AsyncFlow(backing) as flow:
        yield flow


@pytest.fixture
async def grid(flow: AsyncFlow) -> AsyncGrid:
    """A connected grid."""
    return await flow.grid()


async def give(keys: list[int]) -> dict[int, int]:
    """A loader that is done at once."""
    return {key: -key for key in keys}


@pytest.mark.parametrize("call", ["acquire", "land"])
async def test_what_is_asked_for_each_key_goes_out_together(grid: AsyncGrid, call: str) -> None:
    """
    Leases before the load, and what is stored after it: nobody waits for the answer of another.
    """
    engine = engine_of(grid)
    gates = [engine.hold(call) for _ in range(5)]
    loading = begin(grid.cache("prices").get_or_load_many, list(range(5)), give)
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.open()
    assert {key: -key for key in range(5)} == await loading.result()


@pytest.mark.parametrize("place", ["acquire", "fetch_many", "load", "land"])
async def test_a_cancelled_batch_hands_over(flow: AsyncFlow, grid: AsyncGrid, place: str) -> None:
    """
    Wherever it is: who waits, here and in another process, loads soon, and no lease is left behind.
    """
    cache, other = grid.cache("prices", lease="1h"), (await flow.grid()).cache("prices", lease="1h")
    await cache.get("opened")
    gate = AsyncGate()

    async def load(keys: list[int]) -> dict[int, int]:
        if place == "load":
            await gate.stand()
        return {key: 0 for key in keys}  # noqa: C420 - a dict of its own

    if place == "fetch_many":  # the second: the first is the read
        engine_of(grid).hold("fetch_many").open()
    held = gate if place == "load" else engine_of(grid).hold(place)
    leader = begin(cache.get_or_load_many, [1, 2, 3], load)
    await held.reached()
    followers = [begin(one.get_or_load_many, [3, 2], give) for one in (cache, other)]
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader.result()
    for follower in followers:
        found = await follower.result()
        assert [3, 2] == list(found)
    held.open()


async def test_tasks_of_a_request_share_its_scope_while_it_is_open(flow: AsyncFlow, grid: AsyncGrid) -> None:
    """
    One that goes on after its end has none; other requests never had.
    """
    cache, gate = grid.cache("prices"), AsyncGate()
    await cache.set("key", 1)

    async def read_twice() -> list[Any]:
        first = await cache.get("key")
        await gate.stand()
        return [first, await cache.get("key")]

    elsewhere = begin(read_twice)
    async with request_scope():
        assert 1 == await cache.get("key")
        inside = begin(read_twice)
        await gate.reached()
    await cache.set("key", 2)
    gate.open()
    assert [[1, 2], [1, 2]] == [await elsewhere.result(), await inside.result()]
    assert not OPEN


async def test_a_write_that_is_cancelled_drops_what_was_there(grid: AsyncGrid) -> None:
    """
    Nobody knows what the source has.
    """
    cache, gate = grid.cache("prices"), AsyncGate()

    async def write(changes: dict[str, int]) -> None:
        await gate.stand()

    await cache.set("a", 1)
    writing = begin(through(cache, writer=write).set, "a", 2)
    await gate.reached()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing.result()
    assert None is await cache.get("a")


async def test_one_loop_after_the_other_writes_behind(backing: Backing, kind: str) -> None:
    """
    What a loop that ended has left, the next one writes.
    """
    written: list[Any] = []

    async def write(changes: dict[str, int]) -> None:
        written.append(changes)

    flow = AsyncFlow(backing)
    grid = flow.unopened()
    rows = through(grid.cache("rows"), writer=write, behind="1h")

    def in_a_loop(work: Any) -> None:
        asyncio.run(work())

    async def first() -> None:
        await rows.set("a", 1)

    async def second() -> None:
        await rows.set("b", 2)
        assert await rows.flush()
        await grid.aclose()

    await asyncio.to_thread(in_a_loop, first)
    assert [] == written
    await asyncio.to_thread(in_a_loop, second)
    assert [{"a": 1, "b": 2}] == written

    async def is_ended() -> bool:
        return rows.stats().pending == 0

    await until(is_ended)
