"""Who shares a memory grid: names, colours, threads, and forked children."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import threading
import time
import warnings
import weakref
from collections.abc import Callable

import pytest

import cachegrid
from cachegrid.engines.memory import AsyncMemoryEngine, Store, SyncMemoryEngine, store_for
from cachegrid.errors import ConfigError


def in_child(work: Callable[[], object]) -> object:
    """What `work` gives in a forked child, as text; the child has 10 s."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.write(writing, repr(work()).encode())
        os._exit(0)
    os.close(writing)
    killer = threading.Timer(10, os.kill, (pid, 9))
    killer.start()
    answer = os.read(reading, 10_000)
    os.close(reading)
    os.waitpid(pid, 0)
    killer.cancel()
    return answer.decode()


async def test_a_name_is_one_grid_in_both_colours() -> None:
    """
    Sync and async engines on one name see the same entries; other names are other grids.
    """
    name = secrets.token_hex(4)
    with contextlib.closing(SyncMemoryEngine(store_for(name))) as engine:
        engine.store(b"a", b"shared", None)
    assert b"shared" == await AsyncMemoryEngine(store_for(name)).fetch(b"a")
    assert await AsyncMemoryEngine(store_for(name + "x")).fetch(b"a") is None


def test_without_a_name_each_grid_is_its_own() -> None:
    """
    Two grids without a name share nothing, nor do engines that were given no store.
    """
    store_for("").store(b"a", b"mine", None)
    assert store_for("").fetch(b"a") is None
    SyncMemoryEngine().store(b"a", b"mine", None)
    assert SyncMemoryEngine().fetch(b"a") is None


def test_a_name_has_one_bound() -> None:
    """
    A grid that exists is found without saying its bound, and refuses another one.
    """
    name = secrets.token_hex(4)
    store = store_for(name, 10_000)
    assert store is store_for(name)
    assert store is store_for(name, 10_000)
    with pytest.raises(ConfigError, match=rf"memory://{name} is 20000; it must be 10000"):
        store_for(name, 20_000)


def test_a_grid_that_was_let_go_is_told_no_more() -> None:
    """
    Else what it kept near would stay for as long as anybody has the entries.
    """
    with cachegrid.connect("memory://let-go") as grid:
        cache = cachegrid.connect("memory://let-go").cache("prices", near=True)
        cache.get("key")
        nearby = weakref.ref(cache._nearby)  # type: ignore[attr-defined]
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            del cache
            gc.collect()
        grid.cache("prices").set("key", "value")
        assert nearby() is None


def test_ten_threads_that_name_a_grid_at_once_get_one() -> None:
    """
    However many ask first, there is one grid of a name.
    """
    name, everybody, found = secrets.token_hex(4), threading.Barrier(10), set()

    def ask() -> None:
        everybody.wait()
        found.add(store_for(name))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on Windows")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestForks:
    def test_a_child_sees_a_copy_as_it_was(self) -> None:
        """
        A forked child has the entries, and what it or its parent changes stays with them.
        """
        engine = SyncMemoryEngine()
        engine.store(b"a", b"before", None)

        def work() -> object:
            engine.store(b"b", b"child's", None)
            return engine.fetch_many([b"a", b"b"])

        assert "[b'before', b\"child's\"]" == in_child(work)
        assert engine.fetch(b"b") is None

    def test_a_fork_waits_for_calls_under_way(self) -> None:
        """
        A child never finds a store that another thread was changing: its lock is free, its tables agree.
        """
        store = Store()
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                store.store_many([(b"%d" % (number % 50 + at), b"x" * at, None) for at in range(50)])
                store.drop_many([b"%d" % (number % 50 + at) for at in range(0, 50, 2)])

        def work() -> object:
            (member,) = store.members()
            counted = sum(len(store.fetch(address) or b"") for address in store.listed(b""))
            store.drop_many(store.listed(b""))
            return member.entries > 0 or counted == 0, store.members()[0].memory_bytes

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            answers = {in_child(work) for _ in range(10)}
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert {"(True, 0)"} == answers

    def test_two_threads_may_fork_at_once(self) -> None:
        """
        Forking takes the locks of all stores, and two forks at once do not wait for each other for ever.
        """
        stores = [Store() for _ in range(20)]
        answers: list[object] = []

        def fork() -> None:
            answers.append(in_child(lambda: [store.fetch(b"a") for store in stores].count(None)))

        threads = [threading.Thread(target=fork) for _ in range(4)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 30
        for thread in threads:
            thread.join(end - time.monotonic())
        assert ["20"] * 4 == answers

    def test_the_parent_goes_on(self) -> None:
        """
        After a fork other threads of the parent use the store as before.
        """
        store = Store()
        in_child(lambda: store.fetch(b"a"))
        thread = threading.Thread(target=store.store, args=(b"a", b"later", None))
        thread.start()
        thread.join(10)
        assert b"later" == store.fetch(b"a")
