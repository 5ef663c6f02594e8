# Generated from tests/engines/_aio/test_valkey_sizes.py by tools/colour.py. Edit that file, then run `make colour`.
"""Large frames, large batches and slow networks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._sio import together
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import opened
from tests.engines.proxy import Proxy
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

MB = 1_000_000


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    with LoopbackGrid(owners=3, replicas=0) as grid:
        yield grid


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 5 * MB, 64 << 20])
def test_a_frame_may_be_large(size: int, grid: LoopbackGrid) -> None:
    """
    A frame that fills many buffers comes back as it was, and the next answer is the next one's.
    """
    frame = os.urandom(1 << 16) * (size >> 16) + b"!" * (size & 0xFFFF)
    with opened(grid.url) as engine:
        engine.store(b"cg:large", frame, None)
        assert frame == engine.fetch(b"cg:large")
        assert (frame, None) == engine.inspect(b"cg:large")
        assert engine.fetch(b"cg:none") is None
        assert engine.drop(b"cg:large") is True


def test_large_frames_travel_at_once(grid: LoopbackGrid) -> None:
    """
    Many who store and fetch large frames at the same time do not get into each other's way.
    """

    def work(number: int) -> None:
        address, frame = b"cg:large:%d" % number, bytes([number]) * MB
        for _ in range(3):
            engine.store(address, frame, None)
            assert frame == engine.fetch(address)
            assert engine.fetch(b"cg:none:%d" % number) is None
        engine.drop(address)

    with opened(grid.url) as engine:
        together(*[partial(work, number) for number in range(12)])


def test_a_batch_may_be_large(grid: LoopbackGrid) -> None:
    """
    10,000 addresses, and 40 MB in one call, in the order asked for; an address may come twice.
    """
    addresses = [b"cg:batch:%d" % number for number in range(10_000)]
    with opened(grid.url) as engine:
        engine.store_many([(address, address[::-1], None) for address in addresses])
        asked = [*addresses, b"cg:none", *addresses[:100]]
        wanted = [*[address[::-1] for address in addresses], None, *[address[::-1] for address in addresses[:100]]]
        assert wanted == engine.fetch_many(asked)
        assert 10_000 == engine.drop_many([*addresses, b"cg:none"])
        large = [(b"cg:large:%d" % number, bytes([number]) * MB, 60_000) for number in range(40)]
        engine.store_many(large)
        assert [frame for _, frame, _ in large] == engine.fetch_many([address for address, _, _ in large])
        assert 40 == engine.drop_many([address for address, _, _ in large])


def test_an_answer_that_takes_long_is_asked_for_again(server: Server) -> None:
    """
    A member that says nothing for longer than one answer may take is tried again until the deadline.
    """
    with Proxy(server.port) as proxy:
        with opened(proxy.url(options="?patience=100ms&timeout=3s")) as engine:
            engine.store(b"cg:late", b"frame", None)
            gate = proxy.hold_answer(b"cg:late")
            asked = proxy.seen(b"cg:late")

            def let_go() -> None:
                aside(proxy.wait_for, b"cg:late", asked + 2)
                gate.set()

            found, _ = together(partial(engine.fetch, b"cg:late"), let_go)
            assert b"frame" == found
