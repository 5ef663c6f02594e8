"""The sync Valkey engine has a pool of connections per member: threads, forks and interruptions leave it in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType

import pytest

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import EngineError
from cachegrid.testing.certificates import make_certificates
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._sio import together
from tests.engines._sio.opened import opened
from tests.engines.proxy import Proxy
from tests.engines.servers import Server, free_port, redis, sockets

pytestmark = pytest.mark.grid

ONE, OTHER = b"cg:sync:one", b"cg:sync:other"


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


class Interrupted(BaseException):
    """As KeyboardInterrupt, but not the tester's own."""


def interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


@pytest.fixture
def interrupting(proxy: Proxy) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Runs a call whose answer is held, and interrupts it where it waits."""
    old = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()

    def run(call: Callable[[], object]) -> None:
        gate = proxy.hold_answer(ONE)

        def strike() -> None:
            assert proxy.reached.wait(10)
            signal.pthread_kill(main, signal.SIGUSR1)

        striking = threading.Thread(target=strike)
        striking.start()
        with pytest.raises(Interrupted) as caught:
            call()
        assert caught.value.__cause__ is None
        striking.join()
        gate.set()

    yield run
    signal.signal(signal.SIGUSR1, old)


def test_an_interrupted_call_leaves_no_answer_behind(
    proxy: Proxy, interrupting: Callable[[Callable[[], object]], None]
) -> None:
    """
    Ctrl-C in the middle of a call: its answer is not taken for that of the next one.
    """
    with opened(proxy.url()) as engine:
        engine.inspect(ONE)
        for call in (
            partial(engine.fetch, ONE),
            partial(engine.fetch_many, [OTHER, ONE, OTHER]),
            partial(engine.store_if_absent, ONE, b"new", None),
            partial(engine.inspect, ONE),
        ):
            interrupting(call)
            assert b"other" == engine.fetch(OTHER)
            assert [None, b"other"] == engine.fetch_many([b"cg:none", OTHER])
        gc.collect()  # a socket that was left would warn, and a warning fails the test


def test_an_interrupted_batch_leaves_no_connection_behind(grid: LoopbackGrid) -> None:
    """
    When a batch is interrupted while one member answers, the connections to the others are closed.
    """
    old = signal.signal(signal.SIGUSR1, interrupt)
    before = sockets()
    with opened(grid.url) as engine:
        addresses = [b"cg:sync:%d" % number for number in range(20)]
        engine.store_many([(address, address, None) for address in addresses])
        first = grid.owner_of(addresses[0])
        grid.pause(first)
        try:
            timer = threading.Timer(0.05, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1])
            timer.start()
            with pytest.raises(Interrupted):
                engine.fetch_many(addresses)
            timer.join()
        finally:
            grid.resume(first)
            signal.signal(signal.SIGUSR1, old)
        gc.collect()
        assert addresses == engine.fetch_many(addresses)
    assert before == sockets()


def test_many_threads_share_an_engine(grid: LoopbackGrid) -> None:
    """
    Each of many threads gets its own answers, and no more connections are kept than are of use.
    """
    with opened(grid.url) as engine:

        def work(number: int) -> None:
            address = b"cg:thread:%d" % number
            for turn in range(25):
                frame = b"%d:%d" % (number, turn)
                engine.store(address, frame, None)
                assert frame == engine.fetch(address)
                assert [frame, None] == engine.fetch_many([address, b"cg:none"])
                assert turn + 1 == engine.add(b"cg:thread:sum:%d" % number, 1, 0, None)

        together(*[partial(work, number) for number in range(24)])
        assert all(len(link._idle) <= 24 for link in set(engine._owners))


def test_no_more_connections_are_kept_than_are_of_use(server: Server) -> None:
    """
    When very many threads have called at once, most of their connections are closed.
    """
    with opened(server.url(options="?patience=5s")) as engine:
        server.pause()
        with ThreadPoolExecutor(80) as threads:
            calls = [threads.submit(engine.fetch, b"cg:none") for _ in range(80)]
            wait_until(lambda: threads._work_queue.qsize() == 0)
            server.resume()
            assert [None] * 80 == [call.result() for call in calls]
        assert len(engine._owners[0]._idle) <= 64


def test_tls_connections_are_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """
    What must not be repeated does not take a new connection each time, with TLS neither.
    """
    files = make_certificates(tmp_path_factory.mktemp("tls"))
    settings = {"tls-ca-cert-file": files.ca, "tls-cert-file": files.cert, "tls-key-file": files.key}
    with Server(redis(), settings) as server:
        server.settings |= {"port": 0, "tls-port": server.port}
        server.restart()
        with opened(
            server.url(options=f"?ca={files.ca}&cert={files.cert}&key={files.key}", scheme="valkeys")
        ) as engine:
            engine.add(ONE, 1, 0, None)
            before = connections_of(server)
            for turn in range(20):
                assert turn + 2 == engine.add(ONE, 1, 0, None)
            assert before + 1 == connections_of(server)  # ours, to ask


def test_without_pollrdhup_a_connection_is_looked_at(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where the system does not tell the end of a connection from a bell, both are told apart, with TLS and without.
    """
    monkeypatch.setattr("cachegrid.engines.valkey._sio.wire._HUNG_UP", 0)
    files = make_certificates(tmp_path_factory.mktemp("tls"))
    settings = {"tls-ca-cert-file": files.ca, "tls-cert-file": files.cert, "tls-key-file": files.key}
    with Server(redis(), settings) as server:
        plain = server.url()
        server.settings |= {"tls-port": free_port()}
        server.restart()
        tls = plain.replace("valkey://", "valkeys://").replace(str(server.port), str(server.settings["tls-port"]))
        for url in (plain, f"{tls}?ca={files.ca}&cert={files.cert}&key={files.key}"):
            with opened(url) as engine, opened(plain) as other:
                start = engine.add(ONE, 1, 0, None)
                doubt, before = engine.doubt, connections_of(server)
                other.raise_epoch(b"prices")  # which is heard, and no end
                assert start + 1 == engine.add(ONE, 1, 0, None)
                assert doubt != engine.doubt
                assert before + 1 == connections_of(server)  # ours, to ask
                server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                assert start + 2 == engine.add(ONE, 1, 0, None)  # on a new one, and not unknown whether it was done


def test_closing_ends_what_comes_back(proxy: Proxy) -> None:
    """
    A connection in use when the engine is closed is closed when its answer is there; later calls are told.
    """
    before = sockets()
    with opened(proxy.url()) as engine, ThreadPoolExecutor(1) as threads:
        gate = proxy.hold_answer(ONE)
        call = threads.submit(engine.fetch, ONE)
        assert proxy.reached.wait(10)
        engine.close()
        gate.set()
        assert b"one" == call.result()
        for late in (
            partial(engine.fetch, ONE),
            partial(engine.fetch_many, [ONE]),
            partial(engine.add, ONE, 1, 0, None),
        ):
            with pytest.raises(EngineError, match="closed here"):
                late()
    wait_until(lambda: before == sockets())


@pytest.mark.slow
def test_a_slow_network_is_no_dead_member(proxy: Proxy) -> None:
    """
    A frame that takes longer on its way than one answer may is waited for, as long as something moves.
    """
    frame = os.urandom(1 << 20) * 64
    with opened(proxy.url(options="?patience=1s"), timeout=60) as engine:
        engine.add(b"cg:sync:sum", 1, 0, None)
        proxy.pace = 0.0015  # 64 MiB take a second and a half, and more
        assert engine.store_if_absent(b"cg:slow", frame, None) is True
        proxy.pace = 0.0
        assert 2 == engine.add(b"cg:sync:sum", 1, 0, None)
        assert frame == engine.fetch(b"cg:slow")
        assert engine.drop(b"cg:slow") is True


# Forks.


def in_child(work: Callable[[], object]) -> None:
    """Run `work` in a forked child; its errors are shown, and fail the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is what is tested
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - nothing of the child may go on into the tests
            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    assert 0 == os.waitstatus_to_exitcode(done[1])


def use(engine: SyncValkeyEngine, name: bytes) -> None:
    """Use an engine in some ways, and see that the answers are right."""
    for turn in range(20):
        address, frame = b"cg:fork:%b:%d" % (name, turn), b"%b %d" % (name, turn)
        engine.store(address, frame, None)
        assert frame == engine.fetch(address)
        assert turn + 1 == engine.add(b"cg:fork:sum:" + name, 1, 0, None)
        assert [frame, None] == engine.fetch_many([address, b"cg:none"])


def in_forked(engine: SyncValkeyEngine | AsyncValkeyEngine, work: Callable[[], object]) -> None:
    """Run `work` in a child that has let go of its parent's connections, as a grid sees to."""

    def begin() -> None:
        engine.forget()
        work()

    in_child(begin)


def test_a_fork_works_on_both_sides(grid: LoopbackGrid) -> None:
    """
    A child makes connections of its own, and the parent's go on as they were.
    """
    with opened(grid.url) as engine:
        use(engine, b"before")
        in_forked(engine, partial(use, engine, b"child"))
        use(engine, b"parent")
        doubt = engine.doubt
        in_forked(engine, partial(engine.raise_epoch, b"fork"))
        engine.fetch_many([b"cg:%d" % number for number in range(50)])
        assert doubt != engine.doubt


def test_a_fork_in_the_middle_of_calls(grid: LoopbackGrid) -> None:
    """
    Children that are forked while threads of the parent call work, and so do those threads.
    """
    with opened(grid.url) as engine, ThreadPoolExecutor(4) as threads:
        engine.epoch(b"fork")
        is_over = threading.Event()

        def call_on(number: int) -> None:
            turn = 0
            while not is_over.is_set():
                turn += 1
                use(engine, b"%d-%d" % (number, turn))

        calling = [threads.submit(call_on, number) for number in range(4)]
        try:
            for number in range(5):
                in_forked(engine, partial(use, engine, b"child-%d" % number))
        finally:
            is_over.set()
        for call in calling:
            call.result()


@pytest.mark.parametrize("word", [ONE, b"HELLO"])
def test_a_fork_while_an_answer_is_awaited(word: bytes, proxy: Proxy) -> None:
    """
    The answer that a thread of the parent waits for is the parent's, also when others wait for what that thread does.
    """
    with opened(proxy.url()) as engine, ThreadPoolExecutor(2) as threads:
        engine.add(b"cg:fork:sum:child", 1, -1, None)
        if word == b"HELLO":  # it learns anew who owns what, which one at a time does
            proxy.cut()
        gate = proxy.hold_answer(word)
        calls: list[Future[bytes | None]] = [threads.submit(engine.fetch, ONE)]
        assert proxy.holding.wait(10)
        if word == b"HELLO":
            proxy.lose(word)  # the child has to learn, too
        begun = time.monotonic()
        in_forked(engine, partial(use, engine, b"child"))
        assert time.monotonic() - begun < 4, "the child waited for a thread that it does not have"
        gate.set()
        assert [b"one"] == [call.result() for call in calls]
        assert b"other" == engine.fetch(OTHER)


def test_a_fork_of_an_async_program(grid: LoopbackGrid) -> None:
    """
    A child runs a loop of its own, on connections of its own; the parent's loop goes on with its own.
    """
    engine = AsyncValkeyEngine(parse(grid.url, timeout=5))

    async def use_it(name: bytes) -> None:
        for turn in range(10):
            address = b"cg:fork:%b:%d" % (name, turn)
            await engine.store(address, name, None)
            frames = await asyncio.gather(*[engine.fetch(address) for _ in range(5)])
            assert [name] * 5 == frames

    with asyncio.Runner() as runner:
        runner.run(engine.open())
        runner.run(use_it(b"before"))
        in_forked(engine, lambda: asyncio.run(use_it(b"child")))
        runner.run(use_it(b"parent"))
        runner.run(engine.aclose())


def connections_of(server: Server) -> int:
    """How many connections a server has taken so far."""
    lines = server.run("INFO", "stats").decode().splitlines()
    return int(next(line for line in lines if line.startswith("total_connections_received:")).partition(":")[2])


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be so"
        time.sleep(0.002)
