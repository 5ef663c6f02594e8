# Generated from tests/engines/_aio/test_valkey_receipts.py by tools/colour.py. Edit that file, then run `make colour`.
"""Counts are made once, whatever becomes of their answers: their owners keep a receipt of each."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial

import pytest

from cachegrid._core.durability import MEMORY, Durability
from cachegrid.errors import GridFull, NotANumber, NotDurable, OutcomeUnknown
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._sio import together
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import hurry, opened
from tests.engines.moving import Move, addresses_of
from tests.engines.proxy import Proxy
from tests.engines.servers import Server
from tests.flow.waits._sio import begin

pytestmark = pytest.mark.grid

AT = b"cg:visits:1:$home"
DISK, ONE = Durability(disk=True), Durability(1)
MOST = (1 << 63) - 1


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that writes to disk before each answer: what lasts needs no cluster there."""
    with Server(None, {"appendonly": "yes", "appendfsync": "always"}) as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    server.run("FLUSHALL")
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(params=[MEMORY, DISK], ids=["memory", "disk"])
def durability(request: pytest.FixtureRequest) -> Durability:
    """What a count waits for: it has a receipt whatever that is."""
    asked: Durability = request.param
    return asked


def receipts(server: Server) -> list[bytes]:
    """The receipts that are there."""
    found = server.run("KEYS", "cg!receipt:*")
    assert isinstance(found, list)
    return found


def test_a_count_whose_answer_was_lost_is_made_once(proxy: Proxy, server: Server, durability: Durability) -> None:
    """
    It is asked for again, as often as that takes, and is told the sum that it came to the first time.
    """
    with opened(proxy.url()) as engine:
        lasting = engine.lasting(durability)
        assert 41 == lasting.add(AT, 1, 40, None)
        for lost in (1, 2, 3):
            for _ in range(lost):
                proxy.lose_answer(AT)
            before = proxy.seen(AT)
            assert 41 + lost == lasting.add(AT, 1, 0, None)
            assert before + lost + 1 == proxy.seen(AT)
            assert b"%d" % (41 + lost) == server.run("GET", AT)


def test_a_count_that_never_arrived_is_made(proxy: Proxy, server: Server, durability: Durability) -> None:
    """
    It cannot be told from one whose answer was lost; the owner can.
    """
    with opened(proxy.url()) as engine:
        lasting = engine.lasting(durability)
        assert 1 == lasting.add(AT, 1, 0, None)
        proxy.lose(AT)
        assert 2 == lasting.add(AT, 1, 0, None)
        assert b"2" == server.run("GET", AT)


def test_nobody_takes_the_receipt_of_another(proxy: Proxy, durability: Durability) -> None:
    """
    What others count meanwhile comes on top, and is no answer to this one; also where programs roll the same dice.
    """
    with opened(proxy.url()) as engine, opened(proxy.url()) as other:
        assert 1 == engine.lasting(durability).add(AT, 1, 0, None)
        gate = proxy.hold_answer(AT)
        random.seed(1)
        late = begin(partial(engine.lasting(durability).add, AT, 1, 0, None))
        aside(proxy.holding.wait)
        random.seed(1)
        assert 12 == other.lasting(durability).add(AT, 10, 0, None)
        proxy.cut()
        gate.set()
        assert 2 == late.result()
        assert b"12" == engine.fetch(AT)


def test_a_receipt_ends(proxy: Proxy, server: Server, durability: Durability) -> None:
    """
    Somewhat later than the call could; where nothing was counted there is none.
    """
    with opened(proxy.url()) as engine:
        lasting = engine.lasting(durability)
        engine.store(b"cg:text", b"text", None)
        with pytest.raises(NotANumber):
            lasting.add(b"cg:text", 1, 0, None)
        assert not receipts(server)
        assert 1 == lasting.add(AT, 1, 0, None)
        [receipt] = receipts(server)
        left = server.run("PTTL", receipt)
        assert isinstance(left, int)
        assert 5_000 < left <= 10_000
        assert [[AT]] == [page for page in engine.walk(b"cg:visits:")]


def test_a_count_with_a_receipt_counts_as_without(proxy: Proxy, server: Server, durability: Durability) -> None:
    """
    No digit is lost, what is no number stays as it is, and an entry keeps its end.
    """
    with opened(proxy.url()) as engine:
        lasting = engine.lasting(durability)
        large = (1 << 53) + 1
        assert large + 2 == lasting.add(b"cg:large", 2, large, None)
        assert MOST == lasting.add(b"cg:most", 1, MOST - 1, None)
        for address in (b"cg:most", b"cg:fresh"):
            with pytest.raises(NotANumber):
                lasting.add(address, MOST, 1, None)
        assert [b"%d" % MOST, None] == engine.fetch_many([b"cg:most", b"cg:fresh"])
        lasting.add(AT, 1, 0, 60_000)
        lasting.add(AT, 1, 0, None)
        left = server.run("PTTL", AT)
        assert isinstance(left, int)
        assert 0 < left <= 60_000


def test_a_full_owner_that_has_no_receipt_has_not_counted(proxy: Proxy, server: Server, durability: Durability) -> None:
    """
    Though a request was lost before, and could have arrived: that the grid is full is all that has to be told.
    """
    with opened(proxy.url()) as engine:
        lasting = engine.lasting(durability)
        assert 1 == lasting.add(AT, 1, 0, None)
        try:
            server.run("CONFIG", "SET", "maxmemory", "1")
            proxy.lose(AT)
            with pytest.raises(GridFull):
                lasting.add(AT, 1, 0, None)
        finally:
            server.run("CONFIG", "SET", "maxmemory", "0")
        assert b"1" == server.run("GET", AT)


def test_past_the_deadline_nobody_knows(proxy: Proxy, durability: Durability) -> None:
    """
    Where no owner answers the caller is told that it may have been counted, in time, and by whom.
    """
    with opened(proxy.url()) as engine:
        lasting = engine.lasting(durability)
        assert 1 == lasting.add(AT, 1, 0, None)
        hurry(engine, 0.4, patience=0.1)
        for _ in range(1000):
            proxy.lose_answer(AT)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="it may have been; read the entry") as caught:
            lasting.add(AT, 1, 0, None)
        assert time.monotonic() - began < 2.4
        assert str(proxy.endpoint) == caught.value.where


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    """A grid that finds a new owner within a second."""
    with LoopbackGrid(settings={"cluster-node-timeout": "300"}) as grid:
        yield grid


@pytest.mark.slow
def test_an_owner_may_die_between_a_count_and_its_answer(grid: LoopbackGrid) -> None:
    """
    Many count while it dies: each count is made once, and no sum is told twice.
    """
    [address] = aside(addresses_of, grid, 0)
    with opened(grid.url, timeout=10) as engine:
        lasting = engine.lasting(ONE)
        sums = [lasting.add(address, 1, 0, None)]
        short: list[NotDurable] = []

        def count() -> None:
            for _ in range(100):
                try:
                    sums.append(lasting.add(address, 1, 0, None))
                except NotDurable as error:  # the next owner has no replica
                    short.append(error)

        counting = begin(together, *[count] * 16)
        while len(sums) < 400:
            assert not counting.is_done
            engine.fetch(address)
        aside(grid.kill, 0)
        counting.result()
        assert len(set(sums)) == len(sums)
        assert 1601 == len(sums) + len(short)
        assert b"1601" == engine.fetch(address)


@pytest.fixture
def two() -> Iterator[LoopbackGrid]:
    """Two owners without replicas, that write to disk before each answer."""
    with LoopbackGrid(owners=2, replicas=0, persist=True, settings={"appendfsync": "always"}) as grid:
        yield grid


def test_a_slot_may_be_on_its_way(two: LoopbackGrid, durability: Durability) -> None:
    """
    Key by key: a count that has gone ahead, one that is still here and one that is new are counted all the while.
    """
    ahead, here, new = (b"cg:visits:1:{moves}%d" % number for number in range(3))
    with opened(two.url) as engine:
        lasting = engine.lasting(durability)
        for address in (ahead, here):
            assert 1 == lasting.add(address, 1, 0, None)
        move = aside(Move, two, ahead)
        aside(move.begin)
        aside(move.carry, ahead)
        began = time.monotonic()
        assert [2, 2, 1] == [lasting.add(address, 1, 0, None) for address in (ahead, here, new)]
        assert time.monotonic() - began < 2
        aside(move.finish)
        assert [3, 3, 2] == [lasting.add(address, 1, 0, None) for address in (ahead, here, new)]
