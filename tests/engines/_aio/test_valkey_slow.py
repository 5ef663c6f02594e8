"""Members that stand still for a while: what it costs those who ask them, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, cast

import pytest

from cachegrid.config import Settings
from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.errors import CircuitOpen, EngineError, EngineTimeout, Overloaded
from cachegrid.opening._aio import make_grid
from cachegrid.testing._aio.bench import frame_of
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._aio import together
from cachegrid.waits._aio import aside, sleep
from tests.engines._aio.opened import hurry, once_asked, opened
from tests.engines.moving import addresses_of
from tests.engines.proxy import Proxy
from tests.engines.servers import HOST, Server, free_port
from tests.flow.waits._aio import begin

pytestmark = [pytest.mark.grid, pytest.mark.slow]

PATIENT = "?patience=2s"  # and a moment is two tenths of a second
# Longer than a test: no replica takes over.
NO_FAILOVER = {"cluster-node-timeout": "60000"}


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    with LoopbackGrid(owners=1, replicas=1, settings=NO_FAILOVER) as grid:
        yield grid


@pytest.fixture
def bare() -> Iterator[LoopbackGrid]:
    """Two owners without replicas."""
    with LoopbackGrid(owners=2, replicas=0, settings=NO_FAILOVER) as grid:
        yield grid


async def error_of(act: Callable[[], Awaitable[object]]) -> tuple[EngineError, float]:
    """What a call raises, and after how many seconds."""
    begun = time.monotonic()
    with pytest.raises(EngineError) as caught:
        await act()
    return caught.value, time.monotonic() - begun


async def test_reads_wait_for_a_moment_once(grid: LoopbackGrid) -> None:
    """
    When an owner stands still one read waits for a moment, and all others are answered by its replica at once.

    When it goes on, it is asked again.
    """
    address, frame = b"cg:slow", frame_of(b"kept")
    async with opened(grid.url) as engine:
        await engine.store(address, frame, None)
        await engine.raise_epoch(address)  # when it returns, the replica has what was stored before
        await engine.fetch(address)
        await aside(grid.pause, 0)
        try:
            begun = time.monotonic()
            for _ in range(40):
                assert frame == await engine.fetch(address)
                assert [frame] == await engine.fetch_many([address])
            # Each that waited for the owner would have taken a tenth of a second.
            assert time.monotonic() - begun < 3
            assert [True] == [path.is_quiet for path in engine.paths()]
        finally:
            await aside(grid.resume, 0)
        await engine.store(address, b"new", None)
        assert b"new" == await engine.fetch(address)
        assert [False] == [path.is_quiet for path in engine.paths()]


async def test_reads_go_elsewhere_whoever_waits_for_the_owner(grid: LoopbackGrid) -> None:
    """
    Also while a batch of writes waits for its answer to how it is.
    """
    address, frame = b"cg:slow", frame_of(b"kept")
    async with opened(grid.url + PATIENT) as engine:
        await engine.store(address, frame, None)
        await engine.raise_epoch(address)
        [(link, _)] = engine._routing.owned()
        await aside(grid.pause, 0)
        try:
            assert frame == await engine.fetch(address)
            waiting = link.facts().waiting
            writing = begin(partial(engine.store_many, [(address, frame, None)]))
            while waiting == link.facts().waiting:
                assert not writing.is_done
                await sleep(0)
            begun = time.monotonic()
            for _ in range(10):
                assert frame == await engine.fetch(address)
                assert [frame] == await engine.fetch_many([address])
            assert time.monotonic() - begun < 1
        finally:
            await aside(grid.resume, 0)
        await writing.result()


async def test_a_batch_looks_for_replicas_where_none_is_known(grid: LoopbackGrid) -> None:
    """
    As single reads do: the routes may have been learned before there was one.
    """
    address, frame = b"cg:slow", frame_of(b"kept")
    async with opened(grid.url + PATIENT) as engine:
        await engine.store(address, frame, None)
        await engine.raise_epoch(address)
        await engine.fetch_many([address])
        for replicas in engine._routing.routes.replicas.values():
            replicas.clear()
        engine._routing._looked = 0.0
        await aside(grid.pause, 0)
        try:
            begun = time.monotonic()
            assert [frame] == await engine.fetch_many([address])
            assert time.monotonic() - begun < 1
        finally:
            await aside(grid.resume, 0)


async def test_who_can_ask_a_replica_does_not_try_whether_the_owner_is_back(
    grid: LoopbackGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Not even when its turn has come between one look and the next.
    """
    address, frame = b"cg:slow", frame_of(b"kept")
    async with opened(grid.url + PATIENT) as engine:
        await engine.store(address, frame, None)
        await engine.raise_epoch(address)
        [(link, _)] = engine._routing.owned()
        await aside(grid.pause, 0)
        try:
            assert frame == await engine.fetch(address)
            if hasattr(link, "_wire"):
                cast("Any", link)._wire.fail("broken")
            link._silence.note(time.monotonic())
            turns = iter([False])
            monkeypatch.setattr(link._silence, "may_try", lambda _: next(turns, True))
            begun = time.monotonic()
            assert frame == await engine.fetch(address)
            assert time.monotonic() - begun < 1
        finally:
            await aside(grid.resume, 0)


async def test_who_decides_by_what_it_reads_asks_owners_only(grid: LoopbackGrid) -> None:
    """
    Sure reads wait for the owner, and say so when it does not answer; they know what the engine knows.
    """
    address, frame = b"cg:slow", frame_of(b"kept")
    async with opened(grid.url) as engine:
        sure = engine.sure_reads()
        assert sure is engine.sure_reads()
        await engine.store(address, frame, None)
        await engine.raise_epoch(address)
        assert (engine.doubt, frame) == (sure.doubt, await sure.fetch(address))
        hurry(engine, 0.5)
        await aside(grid.pause, 0)
        try:
            assert frame == await engine.fetch(address)
            for read in (
                partial(sure.fetch, address),
                partial(sure.inspect, address),
                partial(sure.fetch_many, [address]),
                partial(engine.renew, address, b"mine", 100),
            ):
                assert isinstance((await error_of(read))[0], (EngineTimeout, CircuitOpen))
            assert frame == await engine.fetch(address)
        finally:
            await aside(grid.resume, 0)


async def test_a_member_that_stands_still_holds_up_its_own_calls_only(bare: LoopbackGrid) -> None:
    """
    When calls to a member failed for long enough its circuit opens: those after them fail at once, and others go on.

    It closes by itself when the member is back.
    """
    slow, well = [(await aside(addresses_of, bare, index))[0] for index in (0, 1)]
    async with opened(bare.url + "?patience=300ms") as engine:
        await engine.store_many([(slow, b"1", None), (well, b"1", None)])
        hurry(engine, 1.5, patience=0.3)
        await aside(bare.pause, 0)
        try:
            error, _ = await error_of(partial(engine.store, slow, b"2", None))
            assert type(error) is EngineTimeout
            assert {"closed": 1, "open": 1} == states(engine)
            begun = time.monotonic()
            for _ in range(50):
                assert b"1" == await engine.fetch(well)
                for act in (partial(engine.fetch, slow), partial(engine.add, slow, 1, 0, None)):
                    # One of them tries the member now and then, and waits for one answer.
                    assert isinstance((await error_of(act))[0], (CircuitOpen, EngineTimeout))
            assert time.monotonic() - begun < 1.5
        finally:
            await aside(bare.resume, 0)
        await once_asked(partial(engine.store, slow, b"again", None))
        assert {"closed": 2} == states(engine)
        assert b"again" == await engine.fetch(slow)


async def test_answers_that_keep_coming_are_waited_for_until_the_deadline(server: Server) -> None:
    """
    A member that answers all the time, but slowly, holds up no call for longer than the call may take.

    When nobody gets all that he asked for, its circuit opens.
    """
    items = [(b"cg:slow:%d" % number, b"1", None) for number in range(100)]
    addresses = [address for address, _, _ in items]
    with Proxy(server.port) as proxy:
        async with opened(proxy.url()) as engine:
            await engine.store_many(items)
            hurry(engine, 1)
            proxy.drip = 0.05  # each: there are five seconds of them
            for act in (partial(engine.fetch_many, addresses), partial(engine.store_many, items)):
                error, seconds = await error_of(act)
                assert type(error) is EngineTimeout
                assert seconds < 2
            for _ in range(5):
                error, seconds = await error_of(partial(engine.fetch_many, addresses))
                assert seconds < 2
                if type(error) is CircuitOpen:
                    break
            assert type(error) is CircuitOpen


async def test_a_batch_has_the_time_of_one_call(server: Server) -> None:
    """
    However many pages it has, each of which the member answers in time.
    """
    items = [(b"cg:slow:%d" % number, b"1", None) for number in range(5_000)]
    with Proxy(server.port) as proxy:
        async with opened(proxy.url()) as engine:
            hurry(engine, 1)
            proxy.drip = 0.0004  # each: half a second a page
            for act in (
                partial(engine.store_many, items),
                partial(engine.fetch_many, [b"cg:none:%d" % number for number in range(5_000)]),
            ):
                error, seconds = await error_of(act)
                assert type(error) is EngineTimeout
                assert seconds < 2


async def test_retries_are_bounded(server: Server) -> None:
    """
    As the member itself counts them: at most a hundred a second, a hundred besides, and a tenth as many as requests.
    """
    callers = 60
    async with opened(server.url()) as engine:
        await engine.store(b"cg:slow", b"1", None)
        hurry(engine, 1.5)
        server.run("REPLICAOF", HOST, await aside(free_port))  # it takes no writes, and says so at once
        begun = time.monotonic()
        await together(*[partial(error_of, partial(engine.store, b"cg:slow", b"2", None))] * callers)
        seconds = time.monotonic() - begun
        told = server.run("INFO", "errorstats").decode()
        refused = int(told.partition("errorstat_READONLY:count=")[2].partition("\r")[0])
        # Each by itself would have tried a dozen times.
        assert callers < refused <= (callers + 100 * (1 + seconds)) / 0.9
        assert engine.paths()[0].denied_retries > 0


async def test_no_more_wait_for_a_member_than_may(bare: LoopbackGrid) -> None:
    """
    Calls beyond those that may wait for one member find room within their deadline, or are told that there was none.
    """
    slow, well = [(await aside(addresses_of, bare, index))[0] for index in (0, 1)]
    async with opened(bare.url) as engine:
        await engine.store_many([(slow, b"1", None), (well, b"1", None)])
        engine._target.__dict__.update(connections=2, waiting=2, timeout=0.4)
        for link, _ in engine._routing.owned():  # the async one has noted how many may wait when it connected
            if hasattr(link, "_wire"):
                cast("Any", link)._wire._most = 2
        await aside(bare.pause, 0)
        errors: list[EngineError] = []

        async def store() -> None:
            errors.append((await error_of(partial(engine.store, slow, b"2", None)))[0])

        async def fetch() -> None:
            assert b"1" == await engine.fetch(well)

        try:
            await together(*[store] * 4, fetch)
        finally:
            await aside(bare.resume, 0)
        full = [error for error in errors if isinstance(error, Overloaded)]
        assert 2 <= len(full) < 4  # a connection that is not welcomed counts, too
        assert "cachegrid status" in str(full[0])
        assert full[0].where.startswith("127.0.0.1:")
        engine._target.__dict__.update(timeout=5.0)
        await once_asked(partial(engine.store, slow, b"again", None))
        await together(*[partial(engine.fetch, slow)] * 20)  # all find room


async def test_loads_go_past_a_grid_that_is_gone_quickly(bare: LoopbackGrid) -> None:
    """
    When circuits are open, who may load past the grid does so at once, and not each after the time of a call.
    """
    grid = make_grid(Settings(url=bare.url + "?patience=300ms", timeout=1.5))
    await grid.connect()
    try:
        prices = grid.cache("prices", on_outage="load")
        for number in range(20):
            await prices.get_or_load(number, partial(_load, number))
        await prices.clear()
        for index in range(2):
            await aside(bare.kill, index)
        for number in range(4):
            assert number == await prices.get_or_load(number, partial(_load, number))
        begun = time.monotonic()
        for number in range(100):
            assert number == await prices.get_or_load(number, partial(_load, number))
        # Each that waited would have taken a second and a half; a few try, and wait for one answer.
        assert time.monotonic() - begun < 10
        assert 104 == prices.stats().outage_loads
    finally:
        await grid.aclose()


async def _load(number: int) -> int:
    return number


def states(engine: AsyncValkeyEngine) -> dict[str, int]:
    """How many circuits are in which state; one that is about to try counts as open."""
    found = [path.circuit.replace("half-open", "open") for path in engine.paths()]
    return {state: found.count(state) for state in sorted(set(found))}
