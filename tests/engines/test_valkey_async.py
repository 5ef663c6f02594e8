"""The async Valkey engine shares one connection per member: nobody's cancelling, closing or blocking harms another."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Iterator

import pytest

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import EngineError, OutcomeUnknown
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines._aio.opened import opened
from tests.engines.proxy import Proxy
from tests.engines.servers import Server, sockets

pytestmark = pytest.mark.grid

ONE, OTHER = b"cg:async:one", b"cg:async:other"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    server.run("FLUSHALL")
    server.run("MSET", ONE, "one", OTHER, "other")
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    with LoopbackGrid(owners=2, replicas=1) as grid:
        yield grid


async def reached(proxy: Proxy) -> None:
    """What was said about a request has happened."""
    assert await asyncio.to_thread(proxy.reached.wait, 10)


async def test_cancelling_keeps_the_connection_in_step(proxy: Proxy) -> None:
    """
    The answer to a call that was cancelled is for nobody, and the next caller gets the next answer.
    """
    async with opened(proxy.url()) as engine:
        assert b"one" == await engine.fetch(ONE)
        connections = proxy.connections
        for call in (engine.fetch(ONE), engine.fetch_many([ONE, ONE, ONE]), engine.inspect(ONE)):
            gate = proxy.hold_answer(ONE)
            cancelled = asyncio.create_task(call)
            await reached(proxy)
            later = [asyncio.create_task(engine.fetch(OTHER)), asyncio.create_task(engine.fetch(b"cg:none"))]
            await asyncio.sleep(0)
            cancelled.cancel()
            gate.set()
            assert [b"other", None] == await asyncio.gather(*later)
            assert cancelled.cancelled()
        assert connections == proxy.connections


async def test_cancelling_a_connect_fails_nobody_else(proxy: Proxy) -> None:
    """
    All who need a connection wait for the same one; who gives up does not take it from the others.
    """
    async with opened(proxy.url()) as engine:
        proxy.cut()
        gate = proxy.hold_answer(b"HELLO")
        first = asyncio.create_task(engine.fetch(ONE))
        await reached(proxy)
        others = [asyncio.create_task(engine.fetch(OTHER)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        assert [b"other"] * 3 == await asyncio.gather(*others)
        assert first.cancelled()


@pytest.mark.parametrize("word", [ONE, b"HELLO"])
async def test_closing_ends_every_wait(word: bytes, proxy: Proxy) -> None:
    """
    Who waits for an answer, or for a connection, when the engine is closed is told so, and is not cancelled.
    """
    engine = AsyncValkeyEngine(parse(proxy.url(), timeout=5))
    await engine.open()
    if word == b"HELLO":
        proxy.cut()
    gate = proxy.hold_answer(word)
    waiting = [
        asyncio.create_task(engine.fetch(ONE)),
        asyncio.create_task(engine.store(ONE, b"new", None)),
        asyncio.create_task(engine.store_if_absent(ONE, b"new", None)),
        asyncio.create_task(engine.fetch_many([ONE, OTHER])),
    ]
    await reached(proxy)
    await engine.aclose()
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, EngineError)
        assert "closed here" in str(error) or isinstance(error, OutcomeUnknown)
    assert {asyncio.current_task()} == asyncio.all_tasks()
    gate.set()
    with pytest.raises(EngineError, match="closed here"):
        await engine.fetch(ONE)
    await engine.aclose()


async def test_nothing_is_left_after_closing(grid: LoopbackGrid) -> None:
    """
    A closed engine leaves no task, no socket and no timer that keeps something alive.
    """
    before = sockets()
    for _ in range(3):
        async with opened(grid.url) as engine:
            await engine.store(ONE, b"one", None)
            await engine.raise_epoch(ONE)
            await engine.members()
            await asyncio.gather(*[engine.fetch(b"cg:%d" % number) for number in range(50)])
    await asyncio.sleep(0)
    gc.collect()  # a transport that was left would warn, and a warning fails the test
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert before == sockets()


async def test_a_loop_that_is_held_up_blames_nobody(proxy: Proxy) -> None:
    """
    When the app blocks the loop for longer than one answer may take, no answer is late: it was not looked for.
    """
    async with opened(proxy.url(options="?patience=100ms")) as engine:
        assert 1 == await engine.add(b"cg:async:sum", 1, 0, None)
        connections = proxy.connections
        for turn in range(2, 5):
            counting = asyncio.create_task(engine.add(b"cg:async:sum", 1, 0, None))
            for _ in range(turn - 1):  # it is queued, or written, or answered already
                await asyncio.sleep(0)
            time.sleep(0.25)  # noqa: ASYNC251 - the mistake that apps make
            assert turn == await counting
        assert connections == proxy.connections


async def test_large_stores_wait_for_a_slow_member(server: Server) -> None:
    """
    While a member takes nothing, those who store large frames wait; when it goes on, all of them are stored.
    """
    async with opened(server.url(options="?patience=4s")) as engine:
        await engine.store(ONE, b"one", None)
        server.pause()
        try:
            addresses = [b"cg:async:%d" % number for number in range(24)]
            storing = [asyncio.create_task(engine.store(address, bytes(500_000), None)) for address in addresses]
            done, _ = await asyncio.wait(storing, timeout=0.2)
            assert not done
        finally:
            server.resume()
        await asyncio.gather(*storing)
        assert [500_000] * 24 == [len(frame or b"") for frame in await engine.fetch_many(addresses)]


async def test_who_waits_for_room_survives_a_break(server: Server, proxy: Proxy) -> None:
    """
    When a connection breaks that was full, those who waited for room on it go on with the next one.
    """
    async with opened(proxy.url(options="?patience=4s")) as engine:
        await engine.store(ONE, b"one", None)
        server.pause()
        try:
            addresses = [b"cg:async:%d" % number for number in range(48)]
            storing = [asyncio.create_task(engine.store(address, bytes(500_000), None)) for address in addresses[:24]]
            await asyncio.wait(storing, timeout=0.1)
            storing += [asyncio.create_task(engine.store(address, bytes(9), None)) for address in addresses[24:]]
            done, _ = await asyncio.wait(storing, timeout=0.1)
            assert not done
        finally:
            server.resume()
        proxy.cut()
        async with asyncio.timeout(5):
            await asyncio.gather(*storing)


def test_an_engine_goes_on_in_another_loop(grid: LoopbackGrid) -> None:
    """
    An engine that was used in a loop that has ended is used in the next one, with what it knows, and closed there.
    """
    before = sockets()
    engine = AsyncValkeyEngine(parse(grid.url, timeout=5))

    async def use(turn: int) -> None:
        if turn == 0:
            await engine.open()
        # Many learn at once: their lock is the loop's.
        await asyncio.gather(*[engine.members() for _ in range(4)])
        sums = await asyncio.gather(*[engine.add(b"cg:loops:%d" % number, 1, 0, None) for number in range(20)])
        assert [turn + 1] * 20 == sums
        await engine.raise_epoch(ONE)
        if turn == 2:
            await engine.aclose()

    with warnings.catch_warnings():
        # Python says, where it is asked to, that a loop was ended before what was open in it.
        warnings.simplefilter("ignore", ResourceWarning)
        for turn in range(3):
            asyncio.run(use(turn))
        gc.collect()
    assert before == sockets()
