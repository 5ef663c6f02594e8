# Generated from tests/engines/_aio/test_valkey_links.py by tools/colour.py. Edit that file, then run `make colour`.
"""When a connection breaks: what is repeated, what must not be, and what is never sent into a dead one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.errors import OutcomeUnknown
from cachegrid.testing._sio.bench import frame_of, version_in
from cachegrid.testing.waits._sio import together
from tests.engines._sio.opened import opened
from tests.engines.proxy import Proxy
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

ONE, OTHER = b"cg:links:one", b"cg:links:other"
OLD, NEW = frame_of(b"old"), frame_of(b"new")
TOKEN = b"token of this holder"

Act = Callable[[SyncValkeyEngine, bytes], object]


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


def prepare(engine: SyncValkeyEngine, act: Act, before: bytes | None) -> None:
    """Let the server know the script, and have there what is to be there before."""
    if before is not None:
        engine.store(ONE, before, None)
        engine.store(OTHER, before, None)
    act(engine, OTHER)
    engine.store(OTHER, OLD, None)


@pytest.mark.parametrize("name", ONCE)
def test_what_must_not_be_repeated_is_not(name: str, proxy: Proxy, server: Server) -> None:
    """
    A write that was applied, and whose answer was lost, is not sent again: the caller is told that it may be there.
    """
    act, before, _, after = ONCE[name]
    with opened(proxy.url()) as engine:
        prepare(engine, act, before)
        sent = proxy.seen(ONE)
        proxy.lose_answer(ONE)
        with pytest.raises(OutcomeUnknown) as caught:
            act(engine, ONE)
        assert str(proxy.endpoint) == caught.value.where
        assert sent + 1 == proxy.seen(ONE)
        assert after == engine.fetch(ONE)


@pytest.mark.parametrize("name", TWICE)
def test_what_does_no_harm_is_repeated(name: str, proxy: Proxy) -> None:
    """
    A read, or a write that may be applied twice, is sent again when its answer was lost; nobody notices.
    """
    act, before, answer, after = TWICE[name]
    with opened(proxy.url()) as engine:
        prepare(engine, act, before)
        sent = proxy.seen(b"\r\n%b\r\n" % ONE)
        proxy.lose_answer(ONE)
        assert answer == act(engine, ONE)
        assert sent + 2 == proxy.seen(b"\r\n%b\r\n" % ONE)
        assert after == engine.fetch(ONE)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_sent_into_a_dead_connection(name: str, proxy: Proxy) -> None:
    """
    When the member has closed the connections since the last call, the next call makes a new one and is applied once.
    """
    act, before, answer, after = EVERY[name]
    with opened(proxy.url()) as engine:
        prepare(engine, act, before)
        # Nothing runs between the end of the connection and the call: in the loop, too, it is not noticed before.
        proxy.cut()
        if name in ONCE:
            assert answer == act(engine, ONE)
        else:
            act(engine, ONE)
        assert after == engine.fetch(ONE)


def test_every_idle_connection_is_looked_at(proxy: Proxy) -> None:
    """
    However many connections there are, what must not be repeated goes into none that is dead.
    """
    with opened(proxy.url()) as engine:
        together(*[partial(engine.add, OTHER, 1, 0, None)] * 8)
        proxy.cut()
        assert set(range(1, 9)) == set(together(*[partial(engine.add, ONE, 1, 0, None)] * 8))


@pytest.mark.parametrize("name", EVERY)
def test_what_was_never_sent_may_be_sent_again(name: str, proxy: Proxy) -> None:
    """
    A connection that breaks while it is being made has carried no request: any request is tried again.
    """
    act, before, answer, after = EVERY[name]
    with opened(proxy.url()) as engine:
        prepare(engine, act, before)
        proxy.cut()
        proxy.lose(b"HELLO")
        proxy.lose_answer(b"HELLO")
        assert answer == act(engine, ONE) or name in {"drop", "drop many"}
        assert after == engine.fetch(ONE)


def test_a_connection_that_ends_at_once_is_not_used(proxy: Proxy) -> None:
    """
    A connection that is closed right after its greeting takes no request with it, however many wait for it.
    """
    with opened(proxy.url()) as engine:
        engine.store(ONE, OLD, None)
        for _ in range(5):
            proxy.cut()
            proxy.close_after(b"HELLO")
            assert [OLD] * 4 == together(*[partial(engine.fetch, ONE)] * 4)


def test_an_answer_never_reaches_another(proxy: Proxy) -> None:
    """
    After a connection broke, answers that were on their way on it are not taken for those of later requests.
    """
    with opened(proxy.url()) as engine:
        engine.store(ONE, OLD, None)
        engine.store(OTHER, NEW, None)
        for _ in range(5):
            proxy.lose_answer(ONE)
            assert [OLD, NEW] == together(partial(engine.fetch, ONE), partial(engine.fetch, OTHER))
            assert NEW == engine.fetch(OTHER)


@pytest.mark.parametrize("lost", ["lose", "lose_answer"])
def test_leases_may_be_asked_for_twice(lost: str, proxy: Proxy) -> None:
    """
    A lease is taken, renewed and given back by its token: a lost answer changes nothing about who has it.
    """
    with opened(proxy.url()) as engine:
        engine.release(OTHER, TOKEN)  # the server knows the scripts
        engine.renew(OTHER, TOKEN, 1)
        engine.acquire(OTHER, TOKEN, 60_000)
        lose = getattr(proxy, lost)
        lose(ONE)
        fence = engine.acquire(ONE, TOKEN, 60_000)
        assert fence is not None
        assert engine.acquire(ONE, b"another", 60_000) is None
        lose(ONE)
        assert engine.renew(ONE, TOKEN, 60_000) is True
        lose(ONE)
        assert engine.release(ONE, TOKEN) is True
        assert engine.release(ONE, TOKEN) is False
        later = engine.acquire(ONE, b"another", 60_000)
        assert later is not None
        assert later > fence


def test_epochs_may_be_raised_twice(proxy: Proxy) -> None:
    """
    An epoch whose raising was lost on the way is raised again: it is greater than before, and everybody doubts.
    """
    with opened(proxy.url()) as engine, opened(proxy.url()) as other:
        epoch = engine.epoch(ONE)
        engine.raise_epoch(OTHER)
        for word in (ONE, b"cg!bell:"):
            proxy.lose_answer(word)
            doubt = other.doubt
            epoch, earlier = engine.raise_epoch(ONE), epoch
            assert epoch > earlier
            assert epoch == other.epoch(ONE)
            assert doubt != other.doubt


def test_a_batch_survives_lost_answers(proxy: Proxy) -> None:
    """
    A batch whose connection broke in the middle is whole all the same.
    """
    addresses = [b"cg:links:%d" % number for number in range(2500)]
    with opened(proxy.url()) as engine:
        proxy.lose_answer(b"cg:links:2400")
        engine.store_many([(address, address, None) for address in addresses])
        proxy.lose_answer(b"cg:links:1200")
        assert addresses == engine.fetch_many(addresses)
        proxy.lose(b"cg:links:17\r\n")
        engine.drop_many(addresses)
        assert [None] * 2500 == engine.fetch_many(addresses)
