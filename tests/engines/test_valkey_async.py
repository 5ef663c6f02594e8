"""The async Valkey engine shares one connection per member: nobody's cancelling, closing or blocking harms another."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import cast

import pytest

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey._aio.wire import AsyncWire
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import LinkError, Silence, Slow
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import EngineError, OutcomeUnknown
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines._aio.opened import hurry, opened
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


class Still:
    """A transport and its loop, in a time that passes when the test says so."""

    def __init__(self) -> None:
        self.now, self.unsent = 0.0, 0
        self.is_closed = False
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, work: Callable[[], None]) -> None:
        self.soon = work

    def call_at(self, when: float, work: Callable[[], None]) -> None:
        self.due.append((when, work))

    def create_future(self) -> asyncio.Future[object]:
        return asyncio.get_running_loop().create_future()

    def write(self, request: bytes) -> None:
        self.unsent += len(request)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.is_closed = True

    def pass_on(self, *, late: float = 0.0) -> None:
        """Let the time come for what is due next."""
        when, work = self.due.pop(0)
        self.now = when + late
        work()


def silent(keys: object = None) -> None:
    """A bell that nobody hears."""


@pytest.fixture
async def wire() -> AsyncWire:
    """A connection on a transport that stands still, and a request on its way."""
    endpoint = Endpoint("127.0.0.1", 1)
    wire = AsyncWire(endpoint, Target(seeds=(endpoint,)), Silence(1.0), silent)
    wire.loop = wire._transport = still = Still()  # type: ignore[assignment]
    wire.send(bytes(1000))
    still.soon()
    assert 1000 == still.unsent
    return wire


async def test_a_member_that_takes_what_is_sent_is_alive(wire: AsyncWire) -> None:
    """
    While a member takes more of what is sent it is waited for, and for so long again once it takes no more.
    """
    still = cast("Still", wire.loop)
    for unsent in (900, 500, 400):
        still.unsent = unsent
        still.pass_on()
        assert not still.is_closed
    still.unsent = 300
    wire.send(bytes(1000))  # more is to be sent than before, and yet something was taken
    still.now += 0.5
    still.soon()
    still.pass_on()
    assert not still.is_closed
    still.unsent = 0
    still.pass_on()
    assert not still.is_closed
    taken = still.now
    while not still.is_closed:
        still.pass_on()
    assert 1.0 == pytest.approx(still.now - taken, abs=0.01)


async def test_a_member_that_takes_nothing_is_left(wire: AsyncWire) -> None:
    """
    A member that neither takes nor answers anything is slow after a moment, and left when no answer may take longer.
    """
    still, slowed = cast("Still", wire.loop), list[float]()
    wire.slowed = lambda: slowed.append(still.now)
    asked = wire.send(b"GET")
    still.pass_on()
    assert ([0.1], True, False) == (slowed, wire.is_slow, still.is_closed)
    with pytest.raises(Slow) as caught:
        await asked
    while not still.is_closed:
        still.pass_on()
    assert 1.0 == pytest.approx(still.now, abs=0.01)
    assert still.is_closed
    with pytest.raises(LinkError, match="no answer in time"):
        await caught.value.rest.finish()


async def test_an_answer_after_a_moment_is_for_who_still_waits(wire: AsyncWire) -> None:
    """
    What comes late is told to who went on waiting, and goes past who did not; the next answers are for whom they are.
    """
    still = cast("Still", wire.loop)
    first, left = wire.send(b"GET 1"), wire.send(b"GET 2")
    still.pass_on()
    for asked in (first, left):
        with pytest.raises(Slow):
            await asked
    rest = first.exception().rest  # type: ignore[union-attr]
    behind = wire.send(b"GET 3")
    wire.data_received(b"+0\r\n+1\r\n+2\r\n+3\r\n")
    assert [b"1"] == await rest.finish()
    assert b"3" == await behind
    assert not wire.is_slow


async def test_what_keeps_coming_is_waited_for_until_the_deadline(wire: AsyncWire) -> None:
    """
    Where answers come late, who can ask somebody else does so after a while, and each call ends in its time.

    The connection goes on, and the next answers are for whom they are.
    """
    still = cast("Still", wire.loop)
    single, many = wire.send(b"GET"), wire.send_many(b"MGET", 2, is_eager=True)
    still.soon()
    wire.data_received(b"$100000\r\n")
    sent = 0

    def pass_on_until(seconds: float) -> None:
        nonlocal sent
        while still.due[0][0] <= seconds:
            still.now = max(still.now, still.due[0][0] - 0.05)
            wire.data_received(b"x")
            sent += 1
            still.pass_on()

    pass_on_until(0.95)
    assert (False, False) == (single.done(), wire.is_slow)
    pass_on_until(1.15)
    assert (True, True, False) == (single.done(), wire.is_slow, many.done())
    with pytest.raises(Slow) as caught:
        await single
    assert 1.0 == pytest.approx(caught.value.waited, abs=0.15)
    pass_on_until(3)
    younger = wire.send_many(b"GET", 1)
    still.soon()
    pass_on_until(4.95)
    assert (False, False) == (caught.value.rest.done(), many.done())
    pass_on_until(5.05)
    assert (True, True) == (caught.value.rest.done(), many.done())
    for ended in (caught.value.rest, many):
        with pytest.raises(LinkError, match="no answer in time") as late:
            await ended.finish()
        assert 5.0 == pytest.approx(late.value.spent, abs=0.05)
    assert (False, False) == (still.is_closed, younger.done())
    wire.data_received(b"x" * (100_000 - sent))
    wire.data_received(b"\r\n+single\r\n+many\r\n+more\r\n+younger\r\n")
    assert [b"younger"] == await younger.finish()
    assert not wire.is_slow


async def test_tasks_do_not_wait_for_each_others_answers_past_their_deadline(proxy: Proxy) -> None:
    """
    Of many calls to a slow member those get their answers that it comes to in time, and all others fail in time.

    Who must not repeat his write is told that it may have been applied.
    """
    outcomes: list[tuple[str, float]] = []

    async def tell(act: Callable[[], Awaitable[object]]) -> None:
        begun = time.monotonic()
        try:
            await act()
            outcome = "done"
        except EngineError as error:
            outcome = type(error).__name__
        outcomes.append((outcome, time.monotonic() - begun))

    async with opened(proxy.url()) as engine:
        assert 1 == await engine.add(b"cg:async:sum", 1, 0, None)
        connections = proxy.connections
        hurry(engine, 1)
        proxy.drip = 0.02
        store, add = partial(engine.store, OTHER, b"new", None), partial(engine.add, b"cg:async:sum", 1, 0, None)
        mixed = [(tell(partial(engine.fetch, ONE)), tell(store)) for _ in range(20)]
        await asyncio.gather(*[call for both in mixed for call in both], *[tell(add) for _ in range(40)])
        assert {"done", "EngineTimeout", "OutcomeUnknown"} == {outcome for outcome, _ in outcomes}
        assert max(seconds for _, seconds in outcomes) < 1.5
        assert connections == proxy.connections
        proxy.drip = 0


async def test_more_than_a_member_may_owe_waits_outside() -> None:
    """
    When as many answers are owed as may be, there is no room until half of them have come.
    """
    endpoint = Endpoint("127.0.0.1", 1)
    wire = AsyncWire(endpoint, Target(seeds=(endpoint,), waiting=4), Silence(1.0), silent)
    wire.loop = wire._transport = Still()  # type: ignore[assignment]
    for _ in range(4):
        assert not wire.is_full
        wire.send(b"GET")
    assert wire.is_full
    waiting = asyncio.create_task(wire.room())
    wire.data_received(b"+1\r\n")
    await asyncio.sleep(0)
    assert (True, False) == (wire.is_full, waiting.done())
    wire.data_received(b"+2\r\n")
    await waiting
    assert not wire.is_full


async def test_time_in_which_the_loop_stood_still_does_not_count(wire: AsyncWire) -> None:
    """
    When it was this process that was held up, the member gets its time anew.
    """
    still = cast("Still", wire.loop)
    still.pass_on(late=0.5)
    assert not still.is_closed
    assert not wire.is_slow
    while not wire.is_slow:
        still.pass_on()
    assert 0.7 == pytest.approx(still.now, abs=0.01)
    while not still.is_closed:
        still.pass_on()
    assert 1.6 == pytest.approx(still.now, abs=0.01)
    assert still.is_closed


def test_an_engine_goes_on_in_another_loop(grid: LoopbackGrid) -> None:
    """
    An engine is used in the next loop with what it knows, and leaves nothing open in the one that has ended.
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

    for turn in range(3):
        asyncio.run(use(turn))
        assert before == sockets()


def test_an_engine_works_while_its_loop_ends(server: Server) -> None:
    """
    What a program does in its last moments is still done: also what another of its generators does there.
    """
    server.run("SET", ONE, "1")
    engine = AsyncValkeyEngine(parse(server.url(), timeout=5))

    async def rows() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await engine.store(ONE, b"one", None)
            assert b"one" == await engine.fetch(ONE)
            await engine.store(ONE, b"done", None)

    async def main() -> AsyncIterator[int]:
        await engine.open()
        left = rows()
        assert 1 == await anext(left)
        return left

    left = asyncio.run(main())
    assert b"done" == server.run("GET", ONE)
    del left
    asyncio.run(engine.aclose())
