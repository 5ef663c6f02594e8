# Generated from tests/engines/_aio/test_valkey_eviction.py by tools/colour.py. Edit that file, then run `make colour`.
"""Members that are short of memory evict entries, those unused for longest first, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachegrid._core.ages import AGES
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import opened
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


def test_ten_times_the_memory_is_written(server: Server) -> None:
    """
    Entries without end give way to others; epochs and held leases stay, to the last number and token.
    """
    with opened(server.url()) as engine:
        epochs = [engine.epoch(name) for name in EPOCHS]
        for name in LEASES:
            assert engine.acquire(name, b"mine", MINUTE) is not None
        addresses = [b"cg:full:%d" % number for number in range(10 * LIMIT // len(FRAME))]
        for first in range(0, len(addresses), 200):
            engine.store_many([(address, FRAME, None) for address in addresses[first : first + 200]])
        assert FRAME == engine.fetch(addresses[-1])
        assert 100 < sum(frame is not None for frame in engine.fetch_many(addresses)) < 1000
        assert epochs == [engine.epoch(name) for name in EPOCHS]
        for name in LEASES:
            assert engine.acquire(name, b"yours", MINUTE) is None
            assert engine.renew(name, b"mine", MINUTE) is True
        engine.drop_many(addresses)


def test_what_rested_goes_first(server: Server) -> None:
    """
    What was used lately outlives what was not, though neither has an end; however they came to be.
    """
    aside(server.run, "FLUSHALL", "SYNC")
    with opened(server.url()) as engine:
        resting = [b"cg:rest:%d" % number for number in range(200)]
        in_use = [b"cg:use:%d" % number for number in range(100)]
        engine.store_many([(address, FRAME, None) for address in resting])
        for address in in_use:
            engine.store_if_absent(address, FRAME, MINUTE)
            engine.touch(address, None, 0)
            engine.fetch_idle(address, AGES)
        aside(let_rest, server, resting)
        written = 0
        while aside(server.run, "EXISTS", *resting) > 150:
            engine.store_many([(b"cg:more:%d" % (written + more), FRAME, None) for more in range(10)])
            written += 10
            assert written < 10_000, "nothing is evicted"
        assert [True] * 100 == [frame == FRAME for frame in engine.fetch_many(in_use)]
