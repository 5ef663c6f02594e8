"""Epochs and their bells: once an epoch was raised, nobody sees an answer to a later request before doubting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import quote

import pytest
from libvalkey import ReplyError

from cachegrid.engines.valkey.commands import BELL_PREFIX
from cachegrid.engines.valkey.slots import SLOTS, Endpoint, Routes, slot_of, slots_in, tag_in
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._aio import together
from cachegrid.waits._aio import aside
from tests.engines._aio.opened import opened
from tests.engines.moving import Move, owned_by
from tests.engines.proxy import Proxy
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

NAME = b"prices"
NAMES = [b"prices-%d" % number for number in range(100)]


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    with LoopbackGrid(owners=3, replicas=0) as grid:
        yield grid


@pytest.fixture
def alone() -> Iterator[LoopbackGrid]:
    with LoopbackGrid(owners=1, replicas=0, name="alone") as grid:
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


async def test_who_dies_before_ringing_has_told_the_owner(grid: LoopbackGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An epoch that was raised, or made, by somebody who rang nobody is doubted by all who hear of its owner.
    """

    class Killed(Exception):
        """What comes where ringing would."""

    async def die() -> None:
        raise Killed

    async with opened(grid.url) as engine, opened(grid.url) as other:
        key = b"cg!epoch:{%b}" % NAME
        stays = await aside(address_at, grid, await aside(grid.owner_of, key))
        monkeypatch.setattr(engine, "_ring", die)
        for change in (engine.raise_epoch, engine.epoch):
            epoch = await other.epoch(NAME)
            if change == engine.epoch:
                await other.drop(key)  # it is lost, and will be made
            await other.fetch(stays)
            doubt = other.doubt
            with pytest.raises(Killed):
                await change(NAME)
            await other.fetch(stays)
            assert doubt != other.doubt
            assert epoch <= await other.epoch(NAME)


async def test_an_owner_that_was_not_known_is_rung(grid: LoopbackGrid) -> None:
    """
    Who learned the routes before a member owned anything rings there nevertheless.
    """
    stays, state = await aside(address_at, grid, 2), grid.state
    only = f"valkey://:{quote(state.password)}@127.0.0.1:{state.members[2].port}"
    async with opened(grid.url) as engine, opened(only) as other:
        await other.fetch(stays)
        routes = engine._routing.routes
        new = engine._owners[slot_of(stays)].endpoint
        old = {owner: ranges for owner, ranges in routes.owners.items() if owner != new}
        doubt = other.doubt
        known = {slot for ranges in old.values() for slot in slots_in(ranges)}
        engine._routing._adopt(routes._replace(owners=old))
        await engine.raise_epoch(next(name for name in NAMES if slot_of(name) in known))
        await other.fetch(stays)
        assert doubt != other.doubt


def let_lag(grid: LoopbackGrid, alone: LoopbackGrid, key: bytes) -> Endpoint:
    """A member that answers like a replica of the grid that has not heard of anything but an old epoch."""
    with alone.admin(0) as admin:
        admin.run("SET", key, 1)
        admin.run("CONFIG", "SET", "requirepass", grid.state.password)
    return Endpoint("127.0.0.1", alone.state.members[0].port)


async def test_a_replica_is_not_believed_against_its_owner(
    grid: LoopbackGrid, alone: LoopbackGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An epoch that a replica tells while the owner is away is doubted at once; an older one is not told at all.
    """
    key = b"cg!epoch:{%b}" % NAME
    owner = await aside(grid.owner_of, key)
    lagging = await aside(let_lag, grid, alone, key)

    async def is_down(_: bytes) -> object:
        return ReplyError("CLUSTERDOWN The cluster is down")

    async def learns_nothing(*_: object, **__: object) -> bool:
        return True

    with Proxy(grid.state.members[owner].port) as proxy:
        async with opened(grid.url) as engine, opened(grid.url) as other:
            first = await other.raise_epoch(NAME)
            monkeypatch.setattr(engine._routing, "learn", learns_nothing)
            engine._routing._adopt(
                Routes({proxy.endpoint: [(0, SLOTS - 1)]}, {proxy.endpoint: [lagging]}, clustered=True)
            )
            assert first == await engine.epoch(NAME)
            newest = await other.raise_epoch(NAME)
            for _ in range(3):
                doubt = engine.doubt
                proxy.lose(key)
                proxy.lose(key)  # and once more, when the owner is asked again
                assert first == await engine.epoch(NAME)  # not what the replica said, which would have to be raised
                assert proxy.reached.is_set()
                assert doubt != engine.doubt
            await engine.epoch(NAME)  # on a new connection, which brings doubt by itself
            doubt = engine.doubt
            with monkeypatch.context() as patch:
                patch.setattr(engine._owners[0], "call", is_down)  # and the connection stays
                assert newest == await engine.epoch(NAME)
            assert doubt != engine.doubt
            doubt = engine.doubt
            assert newest == await engine.epoch(NAME)
            assert doubt == engine.doubt


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
