"""One async grid in several event loops, one after the other, as programs and tests have them; not at once."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

import cachegrid
from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.hub import AsyncOpened
from cachegrid.config import Settings
from cachegrid.errors import EngineError, Unreachable
from tests.flow._aio.flow import AsyncFlow
from tests.flow.backing import Backing
from tests.flow.waits._aio import AsyncGate, begin

# What a loop leaves behind that ended before its connections were closed is told by Python when it is collected.
LEFT_BEHIND = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_a_grid_goes_on_in_another_loop(backing: Backing) -> None:
    """
    Entries, loads, locks and sweeping work in each, and nothing is left in those that ended; it is closed in the last.
    """
    flow = AsyncFlow(backing)
    grid = flow.unopened()
    cache = grid.cache("prices")

    async def use(number: int) -> None:
        async def load() -> int:
            return number

        assert number == await cache.get_or_load(("load", number), load)
        await cache.set("key", number)
        assert number == await cache.get("key")
        async with grid.lock("job"):
            pass
        await cache.clear()
        assert None is await cache.get("key")

    for number in range(3):
        asyncio.run(use(number))
        gc.collect()  # a connection that was left would warn, and a warning fails the test
    asyncio.run(grid.aclose())
    assert 0 == len(grid._hub.tasks)


@LEFT_BEHIND
def test_a_loop_that_was_left_in_the_middle(backing: Backing) -> None:
    """
    What was under way in a loop that was closed without an end is lost with it, and in nobody's way in the next one.
    """
    flow = AsyncFlow(backing)
    grid = flow.unopened()
    cache = grid.cache("prices", lease="50ms")
    loop = asyncio.new_event_loop()
    begun = threading.Event()

    async def never() -> int:
        begun.set()
        await asyncio.get_running_loop().create_future()
        return 1

    async def leave() -> asyncio.Task[int]:
        await grid.connect()
        left = asyncio.create_task(cache.get_or_load("key", never))
        while not begun.is_set():
            await asyncio.sleep(0)
        return left

    left = [loop.run_until_complete(leave())]
    left[0]._log_destroy_pending = False  # type: ignore[attr-defined] # that is the point of this test
    loop.close()

    async def load() -> int:
        return 2

    async def go_on() -> int:
        try:
            return await cache.get_or_load("key", load)
        finally:
            await grid.aclose()

    assert 2 == asyncio.run(go_on())
    left.clear()
    gc.collect()


def test_a_failed_opening_in_one_loop_is_tried_again_in_the_next() -> None:
    """
    Also when many waited for it in the first.
    """
    grid = cachegrid.aconnect("valkey://127.0.0.1:1")

    async def fail() -> None:
        answers = await asyncio.gather(*[grid.cache("prices").get("key") for _ in range(3)], return_exceptions=True)
        assert {Unreachable} == set(map(type, answers))

    for _ in range(2):
        asyncio.run(fail())
    asyncio.run(grid.aclose())


@pytest.mark.parametrize("kind", ["memory"])
def test_a_grid_made_at_import_time(backing: Backing) -> None:
    """
    Made without a loop, it connects in whichever it is first used in, and a function kept in it works there.
    """
    grid = cachegrid.aconnect("memory://")
    assert isinstance(grid, AsyncGrid)

    @grid.cache("prices").cached(ttl=60)
    async def double(number: int) -> int:
        return 2 * number

    async def main() -> int:
        async with grid:
            return await double(2)

    assert 4 == asyncio.run(main())


def test_awaiting_connects() -> None:
    """
    `await aconnect()` is a connected grid, and so is `async with`.
    """

    async def main() -> None:
        grid = await cachegrid.aconnect("memory://")
        assert "memory" == grid.name
        await grid.aclose()
        async with cachegrid.aconnect("memory://") as other:
            assert "memory" == other.name

    asyncio.run(main())


@LEFT_BEHIND
def test_two_loops_at_the_same_time_are_refused(backing: Backing) -> None:
    """
    With one sentence that says what to do; the loop that was first goes on, and the other may when that has ended.
    """
    flow = AsyncFlow(backing)
    grid = flow.unopened()
    cache = grid.cache("prices")
    calls: list[Callable[[], Any]] = [lambda: cache.get_or_load("key", give_two)]
    if not backing.is_memory:  # a store in this process serves whoever comes, but nobody can wait for another loop
        calls += [lambda: cache.get("other"), lambda: cache.set("other", 1), lambda: cache.get_many(range(100))]

    async def lead() -> list[Any]:
        gate = AsyncGate()

        async def give_one() -> int:
            await gate.stand()
            return 1

        await cache.set("warm", 1)
        leader = begin(cache.get_or_load, "key", give_one)
        await gate.reached()
        errors = [await asyncio.to_thread(_error_of, call) for call in calls]
        gate.open()
        assert (1, 1) == (await leader.result(), await cache.get("warm"))
        return errors

    for error in asyncio.run(lead()):
        assert EngineError is type(error)
        assert "used by the event loops of two threads at the same time; call aconnect() once for each" in str(error)
    assert 1 == asyncio.run(cache.get_or_load("key", give_two))
    asyncio.run(grid.aclose())
    gc.collect()


def test_two_loops_that_open_at_the_same_time(backing: Backing) -> None:
    """
    The one that comes second is told so, and the first one opens the grid.
    """
    flow = AsyncFlow(backing)

    async def main() -> None:
        gate, engine = AsyncGate(), await flow.engine()

        async def opener() -> AsyncOpened:
            await gate.stand()
            return AsyncOpened(engine, "test", "", None)

        grid = AsyncGrid(opener, Settings(namespace=backing.namespace))
        first = begin(grid.connect)
        await gate.reached()
        assert "two threads" in str(await asyncio.to_thread(_error_of, grid.connect))
        gate.open()
        assert grid is await first.result()
        await grid.aclose()

    asyncio.run(main())


def test_a_grid_may_be_closed_from_another_loop(backing: Backing) -> None:
    """
    Its connections are closed by the loop that they live in.
    """
    flow = AsyncFlow(backing)

    async def main() -> None:
        grid = await flow.grid()
        cache = grid.cache("prices")
        await cache.set("key", 1)
        await asyncio.to_thread(asyncio.run, grid.aclose())
        with pytest.raises(EngineError, match="the grid was closed here"):
            await cache.get("key")

    asyncio.run(main())
    gc.collect()


async def give_two() -> int:
    """A loader that is done at once."""
    return 2


def _error_of(call: Callable[[], Any]) -> BaseException | None:
    """What a call raises in a loop of this thread."""

    async def run() -> Any:
        return await call()

    try:
        asyncio.run(run())
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
        return error
    return None
