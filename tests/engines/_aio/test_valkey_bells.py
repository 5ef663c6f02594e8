"""Epochs and their bells: once an epoch was raised, nobody sees an answer to a later request before doubting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial

import pytest

from cachegrid.engines.valkey.commands import BELL_PREFIX
from cachegrid.engines.valkey.slots import slot_of, tag_in
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._aio import together
from cachegrid.waits._aio import aside
from tests.engines._aio.opened import opened
from tests.engines.moving import Move, owned_by
from tests.engines.proxy import Proxy
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

NAME = b"prices"


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    with LoopbackGrid(owners=3, replicas=0) as grid:
        yield grid


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


def address_at(grid: LoopbackGrid, index: int) -> bytes:
    """An address that a member owns."""
    owned = owned_by(grid, index)
    return next(address for number in range(1000) if slot_of(address := b"cg:bell:%d" % number) in owned)


async def test_every_engine_doubts_whomever_it_asks(grid: LoopbackGrid) -> None:
    """
    Engines with several connections to each owner doubt at the first answer of any owner, on any of them.
    """
    addresses = [await aside(address_at, grid, index) for index in range(3)]
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(opened(grid.url)) for _ in range(4)]
        for engine in engines:  # several connections, where there are several
            await together(*[partial(engine.fetch, address) for address in addresses * 3])
        for turn in range(12):
            doubts = [engine.doubt for engine in engines]
            await engines[turn % 4].raise_epoch(NAME)
            for engine, doubt in zip(engines, doubts, strict=True):
                await engine.fetch(addresses[turn % 3])
                assert doubt != engine.doubt


async def test_an_owner_is_rung_although_slots_have_moved(grid: LoopbackGrid) -> None:
    """
    Who rings by old routes does not take one owner for another: each of them hears it.
    """
    for source in range(3):
        async with opened(grid.url) as engine, opened(grid.url) as other:
            owned = await aside(owned_by, grid, source)
            # The very slot by which this owner would be rung has gone to another one, or is on its way there.
            tag = BELL_PREFIX + b"{" + tag_in([(slot, slot) for slot in owned]) + b"}"
            move = await aside(Move, grid, tag)
            await aside(move.begin)
            for is_finished in (False, True):
                if is_finished:
                    await aside(move.finish)
                stays = await aside(address_at, grid, source)
                await other.fetch(stays)
                doubt = other.doubt
                await engine.raise_epoch(NAME)
                await other.fetch(stays)
                assert doubt != other.doubt


async def test_a_new_connection_may_have_missed_bells(proxy: Proxy, server: Server) -> None:
    """
    What was raised while there was no connection is doubted as soon as there is one again.
    """
    async with opened(proxy.url()) as engine, opened(server.url()) as other:
        epoch, doubt = await engine.epoch(NAME), engine.doubt
        proxy.cut()
        raised = await other.raise_epoch(NAME)
        await engine.fetch(b"cg:bell")
        assert doubt != engine.doubt
        assert epoch < raised == await engine.epoch(NAME)


async def test_a_late_answer_may_be_older_than_the_bell(proxy: Proxy, server: Server) -> None:
    """
    A request that began before a raise may be answered without doubt; the one after it is not.
    """
    async with opened(proxy.url()) as engine, opened(server.url()) as other:
        await engine.epoch(NAME)
        gate = proxy.hold_answer(b"cg:bell:held")

        async def raise_it() -> None:
            assert await aside(proxy.reached.wait, 10)
            await other.raise_epoch(NAME)
            gate.set()

        doubt = engine.doubt
        await together(partial(engine.fetch, b"cg:bell:held"), raise_it)
        await engine.fetch(b"cg:bell:next")
        assert doubt != engine.doubt


async def test_a_lost_epoch_is_doubted(server: Server) -> None:
    """
    When an epoch was evicted, or everything was flushed, the next one is new, and nobody goes on trusting the old one.
    """
    async with opened(server.url()) as engine, opened(server.url()) as other:
        for lose in (("DEL", "cg!epoch:{prices}"), ("FLUSHALL",)):
            epoch = await other.epoch(NAME)
            await other.fetch(b"cg:bell")
            doubt = other.doubt
            server.run(*lose)
            assert epoch <= await engine.epoch(NAME)
            await other.fetch(b"cg:bell")
            assert doubt != other.doubt


async def test_a_bell_is_no_entry(grid: LoopbackGrid) -> None:
    """
    Nothing is left at the owners of what was rung.
    """
    async with opened(grid.url) as engine:
        for _ in range(5):
            await engine.raise_epoch(NAME)
        assert [] == [address async for page in engine.walk(BELL_PREFIX) for address in page]


async def test_nobody_doubts_for_nothing(grid: LoopbackGrid) -> None:
    """
    Reading, writing and counting bring no doubt: bells are rung for epochs alone.
    """
    async with opened(grid.url) as engine, opened(grid.url) as other:
        addresses = [b"cg:bell:%d" % number for number in range(30)]
        await other.fetch_many(addresses)
        doubt = other.doubt
        await engine.store_many([(address, b"", 1000) for address in addresses])
        await engine.add(b"cg:bell:sum", 1, 0, None)
        await engine.drop_many(addresses)
        await engine.acquire(NAME, b"token", 1000)
        await engine.epoch(b"a new one, which rings")
        await other.fetch_many(addresses)
        assert doubt != other.doubt
        doubt = other.doubt
        await engine.epoch(b"a new one, which rings")
        await engine.store_many([(address, b"", 1000) for address in addresses])
        await other.fetch_many(addresses)
        assert doubt == other.doubt
