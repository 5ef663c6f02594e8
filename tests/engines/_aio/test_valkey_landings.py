"""Landings when connections break and slots move: what was dropped stays so, and what landed is told so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from cachegrid.engines.valkey.leases import lease_key
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._aio import together
from cachegrid.waits._aio import aside
from tests.engines._aio.opened import opened
from tests.engines.moving import Move
from tests.engines.proxy import Proxy
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

ADDRESS = b"cg:landing"
MINE = b"mine"
MINUTE = 60_000


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


async def test_a_landing_whose_answer_is_lost_is_told_to_have_been_one(proxy: Proxy) -> None:
    """
    Asked again after the connection broke, the owner finds the frame that it put the first time.
    """
    async with opened(proxy.url()) as engine:
        await engine.drop(ADDRESS)
        await engine.acquire(ADDRESS, MINE, MINUTE)
        await engine.land(ADDRESS, b"to teach the script", b"", None)
        proxy.lose_answer(b"loaded")
        assert await engine.land(ADDRESS, MINE, b"loaded", MINUTE) is True
        assert proxy.reached.is_set()
        assert b"loaded" == await engine.fetch(ADDRESS)
        assert await engine.renew(ADDRESS, MINE, MINUTE) is False


async def test_what_was_dropped_after_the_lost_answer_stays_dropped(proxy: Proxy, server: Server) -> None:
    """
    A landing that is asked again puts nothing where its frame was dropped in between.
    """
    async with opened(proxy.url()) as engine, opened(server.url()) as other:
        await other.drop(ADDRESS)
        await engine.acquire(ADDRESS, MINE, MINUTE)
        await engine.land(ADDRESS, b"to teach the script", b"", None)
        gate = proxy.hold_answer(b"loaded")

        async def drop_between() -> None:
            assert await aside(proxy.holding.wait, 10)
            assert await other.drop(ADDRESS)
            proxy.cut()
            gate.set()

        await together(partial(engine.land, ADDRESS, MINE, b"loaded", MINUTE), drop_between)
        assert await engine.fetch(ADDRESS) is None


@pytest.mark.parametrize("word", [ADDRESS, lease_key(ADDRESS)])
async def test_a_drop_that_meets_trouble_ends_the_lease(proxy: Proxy, word: bytes) -> None:
    """
    A drop that is repeated because its connection broke, before or after it was done, ends the lease all the same.
    """
    async with opened(proxy.url()) as engine:
        for break_at in (proxy.lose, proxy.lose_answer):
            await engine.store(ADDRESS, b"old", None)
            await engine.acquire(ADDRESS, MINE, MINUTE)
            break_at(word)
            await engine.drop(ADDRESS)
            assert proxy.reached.is_set()
            assert await engine.land(ADDRESS, MINE, b"stale", None) is False
            assert await engine.fetch(ADDRESS) is None


async def test_a_drop_finds_a_slot_that_moves(grid: LoopbackGrid) -> None:
    """
    While a slot is on its way to another owner, and after, a drop ends the lease and says whether something was there.
    """
    async with opened(grid.url) as engine, opened(grid.url) as other:
        await engine.store(ADDRESS, b"old", None)
        await engine.acquire(ADDRESS, MINE, MINUTE)
        move = await aside(Move, grid, ADDRESS)
        await aside(move.begin)
        assert await engine.drop(ADDRESS) is True
        await engine.store(ADDRESS, b"old", None)
        await aside(move.finish)
        assert await other.drop(ADDRESS) is True
        assert await engine.land(ADDRESS, MINE, b"stale", None) is False
        assert 0 == await other.drop_many([ADDRESS])
