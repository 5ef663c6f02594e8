"""What changes at the owners is told unasked; and while it may not be, nobody is led to believe so."""

from __future__ import annotations

import gc
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

import cachegrid
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.url import parse
from cachegrid.near.copies import Guard
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines.cutting import CUTTABLE, cut_off
from tests.engines.moving import move_at_once
from tests.engines.servers import Server, redis, sockets, valkey

pytestmark = pytest.mark.grid

PATIENCE = 10.0
PREFIX = b"cg:prices:"
ADDRESS = b"cg:prices:0:$key"
# Of two owners each has one of these.
ONE_EACH = [
    b"cg:prices:0:$%d" % next(number for number in range(99) if half == slot_of(b"cg:prices:0:$%d" % number) // 8192)
    for half in (0, 1)
]


class Sink:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.lost: list[Callable[[bytes], bool]] = []
        self.refusals = 0

    def changed(self, address: bytes) -> None:
        """One entry."""
        self.told.append(address)

    def changed_if(self, is_lost: Callable[[bytes], bool]) -> None:
        """Many."""
        self.lost.append(is_lost)

    def refused(self) -> None:
        """So often."""
        self.refusals += 1


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server, that is no cluster."""
    with Server(valkey() if request.param == "valkey" else redis()) as server:
        yield server


@pytest.fixture
def engine(server: Server) -> Iterator[SyncValkeyEngine]:
    """An engine on the server."""
    engine = SyncValkeyEngine(Target(seeds=(server.endpoint,)))
    engine.open()
    yield engine
    engine.close()


@pytest.fixture
def sink(engine: SyncValkeyEngine) -> Sink:
    """Who is told what happens to prices, from now on."""
    sink = Sink()
    engine.follow(PREFIX, sink, 0.2)
    until(lambda: engine.guard(ADDRESS, PREFIX))
    return sink


def guard_of(engine: SyncValkeyEngine, address: bytes = ADDRESS) -> Guard:
    """The guard of an address, as soon as there is one."""
    found: list[Guard] = []

    def look() -> bool:
        guard = engine.guard(address, PREFIX)
        found.extend([guard] if guard else [])
        return bool(found)

    until(look)
    return found[0]


def test_every_way_of_changing_an_entry_is_told(server: Server, engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    Writes by this engine, by others, drops, and the end of its time.
    """
    changes: list[Callable[[], object]] = [
        lambda: engine.store(ADDRESS, b"1", None),
        lambda: engine.add(ADDRESS, 1, 0, None),
        lambda: engine.touch(ADDRESS, 1000, 0),
        lambda: engine.drop(ADDRESS),
        lambda: server.run("SET", ADDRESS, "x"),
        lambda: server.run("PEXPIRE", ADDRESS, 20),
    ]
    for change in changes:
        sink.told.clear()
        change()
        until(lambda: ADDRESS in sink.told)
    sink.told.clear()
    until(lambda: ADDRESS in sink.told)  # its time has ended
    assert 0 == server.run("EXISTS", ADDRESS)


def test_only_who_follows_is_told(server: Server, engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    Of its own prefix; and one that follows later, of its own as well.
    """
    later = Sink()
    engine.follow(b"cg:other:", later, 0.2)
    until(lambda: engine.guard(b"cg:other:0:$key", b"cg:other:"))
    server.run("SET", "cg:third:0:$key", "x")
    server.run("SET", "cg:other:0:$key", "x")
    server.run("SET", ADDRESS, "x")
    until(lambda: ADDRESS in sink.told)
    assert ([ADDRESS], [b"cg:other:0:$key"]) == (sink.told, later.told)
    engine.unfollow(PREFIX)
    server.run("SET", ADDRESS, "y")
    server.run("SET", "cg:other:0:$key", "y")
    until(lambda: 2 == len(later.told))
    assert [ADDRESS] == sink.told


def test_who_follows_beside_the_patient_need_not_wait(server: Server, engine: SyncValkeyEngine) -> None:
    """
    Whatever the others say how long their copies may be unproved.
    """
    patient, later = Sink(), Sink()
    engine.follow(PREFIX, patient, 3600)
    guard_of(engine)
    engine.follow(b"cg:other:", later, 0.2)
    until(lambda: engine.guard(b"cg:other:0:$key", b"cg:other:"))
    server.run("SET", "cg:other:0:$key", "x")
    until(lambda: later.told)
    assert not patient.told


def test_a_flush_concerns_every_address(server: Server, sink: Sink) -> None:
    """
    Which the server tells in one word.
    """
    before = len(sink.lost)
    server.run("FLUSHALL")
    until(lambda: len(sink.lost) > before)
    assert sink.lost[-1](ADDRESS)


def test_a_bell_is_heard_though_nothing_is_asked(server: Server, engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    Whoever only reads copies has to hear of a raised epoch too.
    """
    assert not sink.told
    doubt = engine.doubt
    server.run("SET", "cg!bell:{1}", "")
    until(lambda: engine.doubt != doubt)


def test_nothing_is_guarded_before_the_prefix_is_listened_to(engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    What changed between an answer and the listening would not be told.
    """
    assert not sink.told
    assert None is engine.guard(b"cg:other:0:$key", b"cg:other:")


def test_a_broken_connection_ends_its_guard(server: Server, engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    At once, and for good: the next one guards what is asked for from then on. What it guarded takes no room any more.
    """
    assert not sink.told
    guard = guard_of(engine)
    sink.lost.clear()
    server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    until(lambda: guard.heard < 0)
    until(lambda: any(is_lost(ADDRESS) for is_lost in sink.lost))
    until(lambda: engine.guard(ADDRESS, PREFIX) not in (None, guard))
    assert guard.heard < 0


def test_a_member_that_stands_still_proves_nothing(server: Server, engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    Its connection is open, and its guard is not heard of until it goes on.
    """
    assert not sink.told
    guard = guard_of(engine)
    server.pause()
    paused = time.monotonic()
    until(lambda: time.monotonic() > paused + 0.5)
    assert guard.heard <= paused
    server.resume()
    until(lambda: guard_of(engine).heard > paused + 0.5)


def test_a_member_that_comes_back_is_listened_to_again(server: Server, engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    With another guard.
    """
    assert not sink.told
    guard = guard_of(engine)
    server.restart()
    until(lambda: engine.guard(ADDRESS, PREFIX) not in (None, guard))
    server.run("SET", ADDRESS, "x")
    until(lambda: ADDRESS in sink.told)


def test_closing_ends_threads_and_connections(server: Server) -> None:
    """
    Also while the member does not answer.
    """
    threads, open_before = threading.active_count(), sockets()
    engine = SyncValkeyEngine(Target(seeds=(server.endpoint,), patience=0.5))
    engine.open()
    engine.follow(PREFIX, Sink(), 0.2)
    guard_of(engine)
    server.pause()
    engine.close()
    server.resume()
    assert (threads, open_before) == (threading.active_count(), sockets())


def test_who_is_let_go_without_being_closed_leaves_no_threads(server: Server) -> None:
    """
    As when a program forgets its grid: what it held ends with it.
    """
    threads, open_before = threading.active_count(), sockets()
    engine = SyncValkeyEngine(Target(seeds=(server.endpoint,)))
    engine.open()
    engine.follow(PREFIX, sink := Sink(), 0.2)
    guard_of(engine)
    assert threads < threading.active_count()
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        del engine, sink
        gc.collect()
    until(lambda: (threads, open_before) == (threading.active_count(), sockets()))


def test_a_mistake_does_not_end_the_listening(
    server: Server, engine: SyncValkeyEngine, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    """
    It is told in the log, and the guard is another one, since something may have been missed.
    """
    guard, told = guard_of(engine), sink.changed

    def fail(address: bytes) -> None:
        sink.changed = told  # type: ignore[method-assign]
        raise ValueError(address)

    sink.changed = fail  # type: ignore[method-assign]
    server.run("SET", ADDRESS, "x")
    until(lambda: engine.guard(ADDRESS, PREFIX) not in (None, guard))
    server.run("SET", ADDRESS, "y")
    until(lambda: ADDRESS in sink.told)
    assert ["cachegrid"] == [record.name for record in caplog.records]


def test_a_grid_that_began_anew_is_listened_to() -> None:
    """
    Its routes are no older than those of the one before, though it counts their epochs from the beginning.
    """
    with LoopbackGrid(owners=2, replicas=0) as grid, closing(SyncValkeyEngine(parse(grid.url, timeout=5))) as engine:
        with grid.admin(0) as admin:
            for _ in range(20):
                admin.run("CLUSTER", "BUMPEPOCH")
        engine.open()
        engine.follow(PREFIX, sink := Sink(), 0.2)
        guards = {guard_of(engine, address) for address in ONE_EACH}
        for member in grid.state.members:
            grid.kill(member.index)
        until(lambda: all(engine.guard(address, PREFIX) is None for address in ONE_EACH))
        grid.restart()
        assert guards.isdisjoint({guard_of(engine, address) for address in ONE_EACH})
        assert not sink.told


def test_who_may_not_be_told_hears_of_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """
    A warning says where, what, and what to do; and as soon as the user has the right, there is a guard.
    """
    with Server(users=["default on nopass ~* &* +@all", "app on >s ~* &* +@all -ping"]) as server:
        engine = SyncValkeyEngine(parse(server.url("app:s"), timeout=5))
        with closing(engine):
            engine.open()
            engine.follow(PREFIX, sink := Sink(), 0.2)
            until(lambda: sink.refusals > 2)
            assert None is engine.guard(ADDRESS, PREFIX)
            [record] = caplog.records
            assert ("cachegrid", "WARNING") == (record.name, record.levelname)
            for words in (str(server.endpoint), "'ping' command", "docs/access.md"):
                assert words in record.getMessage()
            server.run("ACL", "SETUSER", "app", "+ping")
            guard_of(engine)
    assert [record] == caplog.records


def test_a_cache_counts_that_nobody_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    """
    In `stats()`, where whoever wonders why no hit is a near one looks first.
    """
    users = ["default on nopass ~* &* +@all", "app on >s ~* &* +@all -ping"]
    with Server(users=users) as server, cachegrid.connect(server.url("app:s")) as grid:
        prices = grid.cache("prices", near=True)
        assert 0 == prices.stats().near_refusals
        prices["sku-1"] = 1
        until(lambda: prices.stats().near_refusals)
        assert 1 == prices["sku-1"]
        assert 0 == prices.stats().near_hits
    assert 1 == len(caplog.records)


def test_the_last_one_who_follows_ends_the_listening(engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    Nothing goes on for nobody.
    """
    assert not sink.told
    engine.unfollow(PREFIX)
    until(lambda: not [thread for thread in threading.enumerate() if "cachegrid ear" in thread.name])
    assert None is engine.guard(ADDRESS, PREFIX)


def test_a_forked_child_listens_for_itself(server: Server, engine: SyncValkeyEngine, sink: Sink) -> None:
    """
    It is told nothing until it follows, on a connection of its own; the parent goes on.
    """
    guard = guard_of(engine)
    child = os.fork()
    if not child:
        code = 1
        try:
            engine.forget()
            mine = Sink()
            assert engine.guard(ADDRESS, PREFIX) is None
            engine.follow(PREFIX, mine, 0.2)
            guard_of(engine)
            engine.store(b"cg:prices:0:$child", b"x", None)
            until(lambda: b"cg:prices:0:$child" in mine.told)
            engine.close()
            code = 0
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    until(lambda: b"cg:prices:0:$child" in sink.told)
    assert guard is engine.guard(ADDRESS, PREFIX)
    server.run("SET", ADDRESS, "x")
    until(lambda: ADDRESS in sink.told)


class TestCluster:
    """On 3 owners and 3 replicas."""

    @pytest.fixture
    def grid(self) -> Iterator[LoopbackGrid]:
        """A grid of the test's own."""
        with LoopbackGrid() as grid:
            yield grid

    @pytest.fixture
    def engine(self, grid: LoopbackGrid) -> Iterator[SyncValkeyEngine]:
        """An engine on it."""
        engine = SyncValkeyEngine(parse(grid.url, timeout=5))
        engine.open()
        yield engine
        engine.close()

    def test_changes_at_every_owner_are_told(self, engine: SyncValkeyEngine, sink: Sink) -> None:
        """
        An ear at each.
        """
        addresses = [b"cg:prices:0:$%d" % number for number in range(30)]
        for address in addresses:
            guard_of(engine, address)
            engine.store(address, b"x", None)
        until(lambda: set(addresses) <= set(sink.told))

    def test_a_killed_owner_ends_its_guard_and_the_next_one_has_another(
        self, grid: LoopbackGrid, engine: SyncValkeyEngine, sink: Sink
    ) -> None:
        """
        Nobody asks for anything meanwhile: the others tell who it is.
        """
        assert not sink.told
        guard = guard_of(engine)
        until(lambda: all(engine.guard(one, PREFIX) for one in map(_address, range(100))))  # every owner is heard
        others = [one for one in map(_address, range(100)) if engine.guard(one, PREFIX) is not guard]
        assert others
        sink.lost.clear()
        owner = engine._owners[slot_of(ADDRESS)].endpoint
        index = next(at for at, member in enumerate(grid.state.members) if member.port == owner.port)
        grid.kill(index)
        until(lambda: guard.heard < 0)
        until(lambda: any(is_lost(ADDRESS) for is_lost in sink.lost))
        until(lambda: engine._watch._by_slot[slot_of(ADDRESS)].endpoint != owner)  # type: ignore[union-attr]
        until(lambda: sum(is_lost(ADDRESS) for is_lost in sink.lost) > 1)
        assert not [one for one in others if any(is_lost(one) for is_lost in sink.lost)]

    def test_an_owner_that_is_cut_off_is_not_asked_again_without_doubt(self) -> None:
        """
        What an ear learns of it the next request makes sure of, however lately another one has.
        """
        with (
            LoopbackGrid(settings={**CUTTABLE, "cluster-node-timeout": "300"}) as grid,
            closing(SyncValkeyEngine(parse(grid.url, timeout=5))) as engine,
        ):
            engine.open()
            engine.follow(PREFIX, Sink(), 0.2)
            guard = guard_of(engine)
            engine.store(ADDRESS, b"x", None)
            link = engine._owners[slot_of(ADDRESS)]
            link._proved_until += 1e6
            with cut_off(grid, grid.owner_of(ADDRESS)):
                until(lambda: guard.heard < 0)
                until(lambda: link._proved_until == 0)
                assert b"x" == engine.fetch(ADDRESS)

    def test_moved_slots_are_told_and_no_others(self, grid: LoopbackGrid, engine: SyncValkeyEngine, sink: Sink) -> None:
        """
        An absence may have ended at the new owner, and nobody would say so.
        """
        slot = slot_of(ADDRESS)
        ports = {member.port: member.index for member in grid.state.members}
        source = ports[engine._owners[slot].endpoint.port]
        target = ports[
            next(link.endpoint.port for link in engine._owners if link.endpoint.port not in _port(grid, source))
        ]
        guard_of(engine)
        until(lambda: engine._watch._epoch >= 0)
        before = len(sink.lost)
        move_at_once(grid, slot, slot, source, target)
        until(lambda: engine._watch._by_slot[slot].endpoint.port in _port(grid, target))  # type: ignore[union-attr]
        lost = sink.lost[before:]
        assert any(is_lost(ADDRESS) for is_lost in lost)
        others = [address for address in map(_address, range(100)) if slot_of(address) != slot]
        assert not [address for address in others if any(is_lost(address) for is_lost in lost)]


def _port(grid: LoopbackGrid, index: int) -> set[int]:
    return {grid.state.members[index].port}


def _address(number: int) -> bytes:
    return b"cg:prices:0:$%d" % number
