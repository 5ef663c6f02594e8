"""An owner that is cut off from the others goes on answering; nobody who reads is led to believe that it is one yet."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.testing._aio.bench import frame_of
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.waits._aio import aside
from tests.engines._aio.opened import opened
from tests.engines.cutting import CUTTABLE, cut_off

pytestmark = [pytest.mark.grid, pytest.mark.slow]

ADDRESS = b"cg:cut:{1}"
OLD, NEW = frame_of(b"old"), frame_of(b"new")
AGES = 1e6  # seconds

Reader = Callable[[AsyncValkeyEngine], Awaitable[bytes | None]]


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    """A grid that finds a new owner within a second."""
    with LoopbackGrid(settings={**CUTTABLE, "cluster-node-timeout": "300"}) as grid:
        yield grid


@pytest.fixture
def alone() -> Iterator[LoopbackGrid]:
    """Owners without replicas."""
    with LoopbackGrid(owners=3, replicas=0, settings={**CUTTABLE, "cluster-node-timeout": "300"}) as grid:
        yield grid


def url_of(grid: LoopbackGrid, index: int) -> str:
    """Names one member alone."""
    return f"valkey://:{grid.state.password}@127.0.0.1:{grid.state.members[index].port}"


async def fetch(engine: AsyncValkeyEngine) -> bytes | None:
    """One."""
    return await engine.fetch(ADDRESS)


async def fetch_many(engine: AsyncValkeyEngine) -> bytes | None:
    """Many."""
    return (await engine.fetch_many([ADDRESS, b"cg:cut:{2}", b"cg:cut:{3}"]))[0]


async def fetch_parts(engine: AsyncValkeyEngine) -> bytes | None:
    """Many, as they come."""
    found: dict[int, bytes | None] = {}
    async for places, frames in engine.fetch_parts([ADDRESS, b"cg:cut:{2}", b"cg:cut:{3}"]):
        found.update(zip(places, frames, strict=True))
    return found[0]


async def inspect(engine: AsyncValkeyEngine) -> bytes | None:
    """By a script."""
    found = await engine.inspect(ADDRESS)
    return None if found is None else found[0]


@asynccontextmanager
async def cut(grid: LoopbackGrid, *indexes: int) -> AsyncIterator[None]:
    """Cut members off for the length of a block."""
    with ExitStack() as stack:
        await aside(stack.enter_context, cut_off(grid, *indexes))
        yield
        await aside(stack.close)


def restrict(grid: LoopbackGrid) -> None:
    """Let there be a user `app`, who may do everything but ask members how they are."""
    for member in grid.state.members:
        with grid.admin(member.index) as admin:
            admin.run("ACL", "SETUSER", "app", "on", ">s", "~*", "&*", "+@all", "-cluster|info")


async def replace_owner(grid: LoopbackGrid, index: int) -> None:
    """Wait until an owner that is cut off has been replaced, and write there."""
    await aside(grid.wait_for, lambda: grid.owner_of(ADDRESS) != index)
    async with opened(url_of(grid, await aside(grid.owner_of, ADDRESS))) as writer:
        await writer.store(ADDRESS, NEW, None)


@pytest.mark.parametrize("read", [fetch, fetch_many, fetch_parts, inspect])
async def test_who_reads_again_after_a_while_reads_from_the_next_owner(grid: LoopbackGrid, read: Reader) -> None:
    """
    Whichever way: the first read that comes more than a second after the last asks the owner whether it is one.
    """
    async with opened(grid.url) as engine:
        await engine.store(ADDRESS, OLD, None)
        owner = await aside(grid.owner_of, ADDRESS)
        async with cut(grid, owner):
            await replace_owner(grid, owner)
            link = engine._owners[slot_of(ADDRESS)]
            assert grid.state.members[owner].port == link.endpoint.port
            link.trust()
            link._proved_until -= AGES
            assert NEW == await read(engine)
            assert link is not engine._owners[slot_of(ADDRESS)]
            assert NEW == await read(engine)


async def test_who_reads_all_the_time_learns_of_the_next_owner(grid: LoopbackGrid) -> None:
    """
    Within two seconds: once a second the owner is asked.
    """
    async with opened(grid.url) as engine:
        await engine.store(ADDRESS, OLD, None)
        owner = await aside(grid.owner_of, ADDRESS)
        async with cut(grid, owner):
            await replace_owner(grid, owner)
            began = time.monotonic()
            while await engine.fetch(ADDRESS) != NEW:
                assert time.monotonic() < began + 2


async def test_who_comes_anew_is_not_misled(grid: LoopbackGrid) -> None:
    """
    The member at which a program begins may be the one that is cut off: it tells of others, who know better.
    """
    async with opened(grid.url) as engine:
        await engine.store(ADDRESS, OLD, None)
    owner = await aside(grid.owner_of, ADDRESS)
    async with cut(grid, owner):
        await replace_owner(grid, owner)
        async with opened(url_of(grid, owner)) as engine:
            assert NEW == await engine.fetch(ADDRESS)


async def test_epochs_that_the_next_owner_raised_are_learned(grid: LoopbackGrid) -> None:
    """
    Nor is an epoch that was raised since then taken for the last one.
    """
    async with opened(grid.url) as engine:
        name = b"cut"
        key = b"cg!epoch:{cut}"
        before = await engine.epoch(name)
        owner = await aside(grid.owner_of, key)
        async with cut(grid, owner):
            await aside(grid.wait_for, lambda: grid.owner_of(key) != owner)
            async with opened(url_of(grid, await aside(grid.owner_of, key))) as other:
                raised = await other.raise_epoch(name)
            engine._owners[slot_of(key)].doubt()
            assert before < raised == await engine.epoch(name)


@pytest.mark.parametrize("read", [fetch, fetch_many, fetch_parts, inspect])
async def test_where_all_are_cut_off_owners_answer(alone: LoopbackGrid, read: Reader) -> None:
    """
    Nobody can have replaced them: reads are served as before, and every member is there.
    """
    async with opened(alone.url) as engine:
        await engine.store(ADDRESS, OLD, None)
        async with cut(alone, 0, 1, 2):
            for _ in range(3):
                engine._owners[slot_of(ADDRESS)].doubt()
                assert OLD == await read(engine)
            assert [True] * 3 == [member.up for member in await engine.members()]


async def test_a_user_who_may_not_ask_is_served(alone: LoopbackGrid) -> None:
    """
    Who lacks the right to `CLUSTER INFO` reads and writes as others do.
    """
    await aside(restrict, alone)
    async with opened(alone.url.replace(f":{alone.state.password}@", "app:s@")) as engine:
        for _ in range(3):
            await engine.store(ADDRESS, OLD, None)
            engine._owners[slot_of(ADDRESS)].doubt()
            assert OLD == await engine.fetch(ADDRESS)
