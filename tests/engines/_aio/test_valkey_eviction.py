"""Members that are short of memory evict entries, those unused for longest first, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachegrid._core.ages import AGES
from cachegrid.waits._aio import aside
from tests.engines._aio.opened import opened
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

LIMIT = 8_000_000
FRAME = b"x" * 8_000
MINUTE = 60_000
EPOCHS = [b"epoch-%d" % number for number in range(50)]
LEASES = [b"cg:lease:%d" % number for number in range(50)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {"maxmemory": LIMIT, "maxmemory-policy": "volatile-lru", "maxmemory-samples": 64}
    with Server(settings=settings) as server:
        yield server


def let_rest(server: Server, addresses: list[bytes]) -> None:
    """As if nobody had used these entries for a while."""
    for address in addresses:
        left, frame = server.run("PTTL", address), server.run("DUMP", address)
        server.run("RESTORE", address, left, frame, "REPLACE", "IDLETIME", 60)


async def test_ten_times_the_memory_is_written(server: Server) -> None:
    """
    Entries without end give way to others; epochs and held leases stay, to the last number and token.
    """
    async with opened(server.url()) as engine:
        epochs = [await engine.epoch(name) for name in EPOCHS]
        for name in LEASES:
            assert await engine.acquire(name, b"mine", MINUTE) is not None
        addresses = [b"cg:full:%d" % number for number in range(10 * LIMIT // len(FRAME))]
        for first in range(0, len(addresses), 200):
            await engine.store_many([(address, FRAME, None) for address in addresses[first : first + 200]])
        assert FRAME == await engine.fetch(addresses[-1])
        assert 100 < sum(frame is not None for frame in await engine.fetch_many(addresses)) < 1000
        assert epochs == [await engine.epoch(name) for name in EPOCHS]
        for name in LEASES:
            assert await engine.acquire(name, b"yours", MINUTE) is None
            assert await engine.renew(name, b"mine", MINUTE) is True
        await engine.drop_many(addresses)


async def test_what_rested_goes_first(server: Server) -> None:
    """
    What was used lately outlives what was not, though neither has an end; however they came to be.
    """
    await aside(server.run, "FLUSHALL", "SYNC")
    async with opened(server.url()) as engine:
        resting = [b"cg:rest:%d" % number for number in range(200)]
        in_use = [b"cg:use:%d" % number for number in range(100)]
        await engine.store_many([(address, FRAME, None) for address in resting])
        for address in in_use:
            await engine.store_if_absent(address, FRAME, MINUTE)
            await engine.touch(address, None, 0)
            await engine.fetch_idle(address, AGES)
        await aside(let_rest, server, resting)
        written = 0
        while await aside(server.run, "EXISTS", *resting) > 150:
            await engine.store_many([(b"cg:more:%d" % (written + more), FRAME, None) for more in range(10)])
            written += 10
            assert written < 10_000, "nothing is evicted"
        assert [True] * 100 == [frame == FRAME for frame in await engine.fetch_many(in_use)]
