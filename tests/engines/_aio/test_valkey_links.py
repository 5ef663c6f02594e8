"""When a connection breaks: what is repeated, what must not be, and what is never sent into a dead one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.errors import OutcomeUnknown
from cachegrid.testing._aio.bench import frame_of, version_in
from cachegrid.testing.waits._aio import together
from tests.engines._aio.opened import opened
from tests.engines.proxy import Proxy
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

ONE, OTHER = b"cg:links:one", b"cg:links:other"
OLD, NEW = frame_of(b"old"), frame_of(b"new")
TOKEN = b"token of this holder"

Act = Callable[[AsyncValkeyEngine, bytes], Awaitable[object]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    server.run("FLUSHALL")
    with Proxy(server.port) as proxy:
        yield proxy


# What must be applied once: how it is asked for, what is there before, what the answer is, and what is there after.
ONCE: dict[str, tuple[Act, bytes | None, object, bytes | None]] = {
    "if absent": (lambda engine, at: engine.store_if_absent(at, NEW, None), None, True, NEW),
    "if present": (lambda engine, at: engine.store_if_present(at, NEW, 60_000), OLD, True, NEW),
    "if version": (lambda engine, at: engine.store_if_version(at, version_in(OLD), NEW, None), OLD, True, NEW),
    "drop if version": (lambda engine, at: engine.drop_if_version(at, version_in(OLD)), OLD, True, None),
}
# What may be sent twice; the answer is that of the second time. Of a count that is the receipt of the first.
TWICE: dict[str, tuple[Act, bytes | None, object, bytes | None]] = {
    "add": (lambda engine, at: engine.add(at, 1, 41, None), None, 42, b"42"),
    "add to one": (lambda engine, at: engine.add(at, 1, 0, None), b"7", 8, b"8"),
    "fetch": (lambda engine, at: engine.fetch(at), OLD, OLD, OLD),
    "fetch idle": (lambda engine, at: engine.fetch_idle(at, 60_000), OLD, OLD, OLD),
    "inspect": (lambda engine, at: engine.inspect(at), OLD, (OLD, None), OLD),
    "fetch many": (lambda engine, at: engine.fetch_many([OTHER, at]), OLD, [OLD, OLD], OLD),
    "store": (lambda engine, at: engine.store(at, NEW, None), OLD, None, NEW),
    "store many": (lambda engine, at: engine.store_many([(at, NEW, None)]), OLD, None, NEW),
    "drop": (lambda engine, at: engine.drop(at), OLD, False, None),
    "drop many": (lambda engine, at: engine.drop_many([at]), OLD, 0, None),
    "touch": (lambda engine, at: engine.touch(at, None, 0), b"text", True, b"text"),
}
EVERY = ONCE | TWICE


async def prepare(engine: AsyncValkeyEngine, act: Act, before: bytes | None) -> None:
    """Let the server know the script, and have there what is to be there before."""
    if before is not None:
        await engine.store(ONE, before, None)
        await engine.store(OTHER, before, None)
    await act(engine, OTHER)
    await engine.store(OTHER, OLD, None)


@pytest.mark.parametrize("name", ONCE)
async def test_what_must_not_be_repeated_is_not(name: str, proxy: Proxy, server: Server) -> None:
    """
    A write that was applied, and whose answer was lost, is not sent again: the caller is told that it may be there.
    """
    act, before, _, after = ONCE[name]
    async with opened(proxy.url()) as engine:
        await prepare(engine, act, before)
        sent = proxy.seen(ONE)
        proxy.lose_answer(ONE)
        with pytest.raises(OutcomeUnknown) as caught:
            await act(engine, ONE)
        assert str(proxy.endpoint) == caught.value.where
        assert sent + 1 == proxy.seen(ONE)
        assert after == await engine.fetch(ONE)


@pytest.mark.parametrize("name", TWICE)
async def test_what_does_no_harm_is_repeated(name: str, proxy: Proxy) -> None:
    """
    A read, or a write that may be applied twice, is sent again when its answer was lost; nobody notices.
    """
    act, before, answer, after = TWICE[name]
    async with opened(proxy.url()) as engine:
        await prepare(engine, act, before)
        sent = proxy.seen(b"\r\n%b\r\n" % ONE)
        proxy.lose_answer(ONE)
        assert answer == await act(engine, ONE)
        assert sent + 2 == proxy.seen(b"\r\n%b\r\n" % ONE)
        assert after == await engine.fetch(ONE)


@pytest.mark.parametrize("name", EVERY)
async def test_nothing_is_sent_into_a_dead_connection(name: str, proxy: Proxy) -> None:
    """
    When the member has closed the connections since the last call, the next call makes a new one and is applied once.
    """
    act, before, answer, after = EVERY[name]
    async with opened(proxy.url()) as engine:
        await prepare(engine, act, before)
        # Nothing runs between the end of the connection and the call: in the loop, too, it is not noticed before.
        proxy.cut()
        if name in ONCE:
            assert answer == await act(engine, ONE)
        else:
            await act(engine, ONE)
        assert after == await engine.fetch(ONE)


async def test_every_idle_connection_is_looked_at(proxy: Proxy) -> None:
    """
    However many connections there are, what must not be repeated goes into none that is dead.
    """
    async with opened(proxy.url()) as engine:
        await together(*[partial(engine.add, OTHER, 1, 0, None)] * 8)
        proxy.cut()
        assert set(range(1, 9)) == set(await together(*[partial(engine.add, ONE, 1, 0, None)] * 8))


@pytest.mark.parametrize("name", EVERY)
async def test_what_was_never_sent_may_be_sent_again(name: str, proxy: Proxy) -> None:
    """
    A connection that breaks while it is being made has carried no request: any request is tried again.
    """
    act, before, answer, after = EVERY[name]
    async with opened(proxy.url()) as engine:
        await prepare(engine, act, before)
        proxy.cut()
        proxy.lose(b"HELLO")
        proxy.lose_answer(b"HELLO")
        assert answer == await act(engine, ONE) or name in {"drop", "drop many"}
        assert after == await engine.fetch(ONE)


async def test_a_connection_that_ends_at_once_is_not_used(proxy: Proxy) -> None:
    """
    A connection that is closed right after its greeting takes no request with it, however many wait for it.
    """
    async with opened(proxy.url()) as engine:
        await engine.store(ONE, OLD, None)
        for _ in range(5):
            proxy.cut()
            proxy.close_after(b"HELLO")
            assert [OLD] * 4 == await together(*[partial(engine.fetch, ONE)] * 4)


async def test_an_answer_never_reaches_another(proxy: Proxy) -> None:
    """
    After a connection broke, answers that were on their way on it are not taken for those of later requests.
    """
    async with opened(proxy.url()) as engine:
        await engine.store(ONE, OLD, None)
        await engine.store(OTHER, NEW, None)
        for _ in range(5):
            proxy.lose_answer(ONE)
            assert [OLD, NEW] == await together(partial(engine.fetch, ONE), partial(engine.fetch, OTHER))
            assert NEW == await engine.fetch(OTHER)


@pytest.mark.parametrize("lost", ["lose", "lose_answer"])
async def test_leases_may_be_asked_for_twice(lost: str, proxy: Proxy) -> None:
    """
    A lease is taken, renewed and given back by its token: a lost answer changes nothing about who has it.
    """
    async with opened(proxy.url()) as engine:
        await engine.release(OTHER, TOKEN)  # the server knows the scripts
        await engine.renew(OTHER, TOKEN, 1)
        await engine.acquire(OTHER, TOKEN, 60_000)
        lose = getattr(proxy, lost)
        lose(ONE)
        fence = await engine.acquire(ONE, TOKEN, 60_000)
        assert fence is not None
        assert await engine.acquire(ONE, b"another", 60_000) is None
        lose(ONE)
        assert await engine.renew(ONE, TOKEN, 60_000) is True
        lose(ONE)
        assert await engine.release(ONE, TOKEN) is True
        assert await engine.release(ONE, TOKEN) is False
        later = await engine.acquire(ONE, b"another", 60_000)
        assert later is not None
        assert later > fence


async def test_epochs_may_be_raised_twice(proxy: Proxy) -> None:
    """
    An epoch whose raising was lost on the way is raised again: it is greater than before, and everybody doubts.
    """
    async with opened(proxy.url()) as engine, opened(proxy.url()) as other:
        epoch = await engine.epoch(ONE)
        await engine.raise_epoch(OTHER)
        for word in (ONE, b"cg!bell:"):
            proxy.lose_answer(word)
            doubt = other.doubt
            epoch, earlier = await engine.raise_epoch(ONE), epoch
            assert epoch > earlier
            assert epoch == await other.epoch(ONE)
            assert doubt != other.doubt


async def test_a_batch_survives_lost_answers(proxy: Proxy) -> None:
    """
    A batch whose connection broke in the middle is whole all the same.
    """
    addresses = [b"cg:links:%d" % number for number in range(2500)]
    async with opened(proxy.url()) as engine:
        proxy.lose_answer(b"cg:links:2400")
        await engine.store_many([(address, address, None) for address in addresses])
        proxy.lose_answer(b"cg:links:1200")
        assert addresses == await engine.fetch_many(addresses)
        proxy.lose(b"cg:links:17\r\n")
        await engine.drop_many(addresses)
        assert [None] * 2500 == await engine.fetch_many(addresses)
