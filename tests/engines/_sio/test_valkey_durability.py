# Generated from tests/engines/_aio/test_valkey_durability.py by tools/colour.py. Edit that file, then run `make colour`.
"""Writes that wait for replicas or the disk: where they are when they return, and what is said where they cannot be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

import cachegrid
from cachegrid._core.durability import Durability
from cachegrid.config import Settings
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey._sio.lasting import SyncLasting
from cachegrid.engines.valkey._sio.turn import SyncTurn
from cachegrid.engines.valkey.leases import lease_key
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.errors import EngineTimeout, LockTimeout, NotDurable, Unsupported
from cachegrid.testing._sio.bench import frame_of, version_in
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._sio import together
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import hurry, opened
from tests.engines.moving import Move, addresses_of
from tests.engines.servers import Server, redis
from tests.flow.waits._sio import SyncRun, begin

pytestmark = [pytest.mark.grid, pytest.mark.slow]

OWNERS = 3
ONE, DISK = Durability(1), Durability(disk=True)
SLACK = 2.0  # seconds that a busy machine may add
PATIENT = "?patience=400ms"


@pytest.fixture(scope="module", params=["valkey", "redis"])
def grid(request: pytest.FixtureRequest) -> Iterator[LoopbackGrid]:
    """Three owners with a replica each, that does not take over: it may stand still for as long as a test wants."""
    server = redis() if request.param == "redis" else None
    with LoopbackGrid(server=server, settings={"cluster-node-timeout": "60000"}) as grid:
        grid.wait_for(partial(are_linked, grid))
        yield grid


@pytest.fixture
def mortal() -> Iterator[LoopbackGrid]:
    """A grid that finds a new owner within a second."""
    with LoopbackGrid(settings={"cluster-node-timeout": "300"}) as grid:
        grid.wait_for(partial(are_linked, grid))
        yield grid


def are_linked(grid: LoopbackGrid) -> bool:
    """Whether every member lives, and every replica follows its owner."""
    return all(member.up and member.link_up and member.lag_bytes == 0 for member in grid.members())


def on_replica(grid: LoopbackGrid, address: bytes) -> bytes | None:
    """What the replica of the first owner has."""
    with grid.admin(OWNERS) as admin:
        admin.run("READONLY")
        value = admin.run("GET", address)
    assert value is None or isinstance(value, bytes)
    return value


Write = Callable[[SyncValkeyEngine, bytes], object]
OLD, NEW = frame_of(b"old"), frame_of(b"new")
WRITES: dict[str, tuple[Write, bytes | None]] = {
    "store": (lambda engine, address: engine.store(address, NEW, None), NEW),
    "store_many": (lambda engine, address: engine.store_many([(address, NEW, None)]), NEW),
    "store_if_present": (lambda engine, address: engine.store_if_present(address, NEW, None), NEW),
    "store_if_version": (lambda engine, address: engine.store_if_version(address, version_in(OLD), NEW, None), NEW),
    "drop": (lambda engine, address: engine.drop(address), None),
    "drop_many": (lambda engine, address: engine.drop_many([address]), None),
    "drop_if_version": (lambda engine, address: engine.drop_if_version(address, version_in(OLD)), None),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_returned_is_on_the_replica(grid: LoopbackGrid, name: str) -> None:
    """
    Whichever call wrote it, and each time.
    """
    write, expected = WRITES[name]
    [address] = aside(addresses_of, grid, 0)
    with opened(grid.url) as engine:
        lasting = engine.lasting(ONE)
        for _ in range(5):
            lasting.store(address, OLD, None)
            assert OLD == aside(on_replica, grid, address)
            write(lasting, address)
            assert expected == aside(on_replica, grid, address)


@pytest.mark.parametrize("name", WRITES)
def test_a_replica_that_stands_still_is_told(grid: LoopbackGrid, name: str) -> None:
    """
    Within the deadline; the owner has it all the same. Who writes it again, which changes nothing, is told as well.
    """
    write, expected = WRITES[name]
    [address, other] = aside(addresses_of, grid, 0, 2)
    with opened(grid.url + PATIENT) as engine, opened(grid.url + PATIENT) as again:
        lasting = engine.lasting(ONE)
        lasting.store(address, OLD, None)
        again.lasting(ONE).store(other, OLD, None)
        hurry(engine, 0.6, patience=0.4)
        hurry(again, 0.6, patience=0.4)
        aside(grid.pause, OWNERS)
        try:
            for writer in (engine, again):
                began = time.monotonic()
                with pytest.raises(NotDurable, match="0 of the 1 replicas that were asked for had it") as caught:
                    write(writer.lasting(ONE), address)
                assert 0.5 < time.monotonic() - began < 0.6 + SLACK
                assert (0, 1, None) == (caught.value.replicas, caught.value.wanted, caught.value.on_disk)
                assert caught.value.where in str(caught.value)
                assert expected == engine.fetch(address)
        finally:
            aside(grid.resume, OWNERS)
        lasting.store(address, OLD, None)


def test_a_count_that_falls_short_is_counted_once(grid: LoopbackGrid) -> None:
    """
    And what waits goes on when the replica does: nothing is repeated for that.
    """
    [address] = aside(addresses_of, grid, 0)
    with opened(grid.url) as engine:
        engine.drop(address)
        lasting = engine.lasting(ONE)
        assert 1 == lasting.add(address, 1, 0, None)
        aside(grid.pause, OWNERS)
        try:
            late = begin(partial(lasting.add, address, 1, 0, None))
            while engine.fetch(address) != b"2":
                assert not late.is_done
        finally:
            aside(grid.resume, OWNERS)
        assert 2 == late.result()
        assert b"2" == aside(on_replica, grid, address)


def test_nobody_has_so_many_replicas(grid: LoopbackGrid) -> None:
    """
    That is said without waiting for the deadline, and how many are connected.
    """
    with opened(grid.url, timeout=20) as engine:
        began = time.monotonic()
        with pytest.raises(NotDurable, match="1 of the 2 replicas .* had it, and 1 are connected") as caught:
            engine.lasting(Durability(2)).store(b"cg:durable", NEW, None)
        assert time.monotonic() - began < SLACK
        assert (1, 2) == (caught.value.replicas, caught.value.wanted)
        assert NEW == engine.fetch(b"cg:durable")


@pytest.fixture
def usual() -> Iterator[LoopbackGrid]:
    """A grid as users have it."""
    with LoopbackGrid() as grid:
        grid.wait_for(partial(are_linked, grid))
        yield grid


def test_a_replica_that_is_lost_for_a_moment_is_waited_for(usual: LoopbackGrid) -> None:
    """
    No member takes it for dead, and it comes back.
    """
    [address] = aside(addresses_of, usual, 0)
    with opened(usual.url) as engine:
        lasting = engine.lasting(ONE)
        lasting.store(address, OLD, None)
        aside(usual.pause, OWNERS)
        try:
            aside(lose_replicas, usual, 0)
            asked = aside(times_asked, usual, 0)
            waiting = begin(partial(lasting.store, address, NEW, None))
            while asked == aside(times_asked, usual, 0):
                assert not waiting.is_done
        finally:
            aside(usual.resume, OWNERS)
        waiting.result()
        assert NEW == aside(on_replica, usual, address)


@pytest.fixture
def patient() -> Iterator[LoopbackGrid]:
    """A grid that takes nobody for dead for a long time."""
    with LoopbackGrid(settings={"cluster-node-timeout": "30000"}) as grid:
        grid.wait_for(partial(are_linked, grid))
        yield grid


def test_a_replica_that_is_lost_while_one_waits_is_waited_for(patient: LoopbackGrid) -> None:
    """
    It has as long to come back as one that was lost before, however long the write has waited for it until then.
    """
    [address] = aside(addresses_of, patient, 0)
    with opened(patient.url, timeout=30) as engine:
        lasting = engine.lasting(ONE)
        lasting.store(address, OLD, None)
        aside(patient.pause, OWNERS)
        try:
            waiting = begin(partial(lasting.store, address, NEW, None))
            for _ in range(4):  # it asks twice a second: one that was lost at first is given up by then
                is_asked_again(patient, waiting)
            aside(lose_replicas, patient, 0)
            is_asked_again(patient, waiting)
        finally:
            aside(patient.resume, OWNERS)
        waiting.result()
        assert NEW == aside(on_replica, patient, address)


def is_asked_again(grid: LoopbackGrid, waiting: SyncRun[None]) -> None:
    """Wait until a call that waits has asked the first owner once more who follows it."""
    asked = aside(times_asked, grid, 0)
    while asked == aside(times_asked, grid, 0):
        assert not waiting.is_done


def times_asked(grid: LoopbackGrid, index: int) -> str:
    """How often a member was asked who follows it."""
    with grid.admin(index) as admin:
        return admin.facts("commandstats").get("cmdstat_cluster|nodes", "").partition(",")[0]


@pytest.mark.parametrize(("ends", "index"), [("kill", 0), ("pause", OWNERS)])
def test_nobody_waits_for_who_is_taken_for_dead(mortal: LoopbackGrid, ends: str, index: int) -> None:
    """
    Neither at the owner that has taken over from it, nor where it is a replica that stands still.
    """
    [address] = aside(addresses_of, mortal, 0)
    with opened(mortal.url + "?patience=4s", timeout=20) as engine:
        lasting = engine.lasting(ONE)
        lasting.store(address, OLD, None)
        aside(getattr(mortal, ends), index)
        began = time.monotonic()
        try:
            with pytest.raises(NotDurable, match="0 of the 1 replicas"):
                lasting.store(address, NEW, None)
            assert time.monotonic() - began < 4  # the patience
        finally:
            aside(mortal.resume, index)
        assert NEW == engine.fetch(address)


def lose_replicas(grid: LoopbackGrid, owner: int) -> None:
    """Break the connections of an owner's replicas, which are made anew within a second."""
    with grid.admin(owner) as admin:
        admin.run("CLIENT", "KILL", "TYPE", "replica")


def test_who_does_not_wait_is_not_held_up(grid: LoopbackGrid) -> None:
    """
    While a replica stands still, other calls go past those that wait for it; and they wait apart, and not for ever.
    """
    [address] = aside(addresses_of, grid, 0)
    with opened(grid.url) as engine:
        lasting = engine.lasting(ONE)
        lasting.store(address, OLD, None)
        hurry(engine, 1, patience=0.5)
        aside(grid.pause, OWNERS)
        try:
            began = time.monotonic()
            waiting = [begin(partial(falls_short, lasting, address)) for _ in range(50)]
            longest = 0.0
            while not all(one.is_done for one in waiting):
                before = time.monotonic()
                assert engine.fetch(address) in (OLD, NEW)
                longest = max(longest, time.monotonic() - before)
            outcomes = [one.result() for one in waiting]
            assert time.monotonic() - began < 2 + SLACK
            assert longest < 0.5
            assert {"NotDurable"} <= set(outcomes) <= {"NotDurable", "EngineTimeout"}
        finally:
            aside(grid.resume, OWNERS)
        hurry(engine, 5)
        together(*[partial(lasting.store, address, NEW, None)] * 100)


def test_a_wait_for_a_place_is_part_of_the_call(grid: LoopbackGrid) -> None:
    """
    Who gets a place among those who wait for replicas when half of his time is over has the other half for the rest.
    """
    [address] = aside(addresses_of, grid, 0)
    with opened(grid.url) as engine:
        lasting = engine.lasting(ONE)
        assert isinstance(lasting, SyncLasting)
        lasting.store(address, OLD, None)
        turn = SyncTurn(1)
        lasting._turns = {engine._owners[slot_of(address)].endpoint: turn}
        hurry(engine, 1.2, patience=0.2)
        aside(grid.pause, OWNERS)
        try:
            began = time.monotonic()
            with turn.taken(1):
                waiting = begin(partial(falls_short, lasting, address))
                while time.monotonic() - began < 0.6:
                    assert OLD == engine.fetch(address)
            assert "NotDurable" == waiting.result()
            assert time.monotonic() - began < 1.6
        finally:
            aside(grid.resume, OWNERS)


def falls_short(engine: SyncValkeyEngine, address: bytes) -> str:
    """How a write ends that cannot last."""
    try:
        engine.store(address, NEW, None)
    except (NotDurable, EngineTimeout) as error:
        return type(error).__name__
    return "lasts"


def test_a_server_without_an_append_only_file_is_refused(grid: LoopbackGrid) -> None:
    """
    At the first write that asks for the disk, and nothing is written; so is one that cannot tell what is on its disk.
    """
    with cachegrid.connect(config=Settings(url=grid.url)) as connected:
        cache = connected.cache("orders", durability="disk")
        for _ in range(2):
            with pytest.raises(Unsupported, match="append-only file|what is on its disk"):
                cache.set("key", 1)
        assert cache.get("key") is None
        cache.with_durability("replicated").set("key", 1)
        assert 1 == cache.get("key")


def test_a_server_by_itself_can_keep_on_disk() -> None:
    """
    It needs no cluster; of replicas it has none, and says so.
    """
    server = aside(Server, None, {"appendonly": "yes"})
    try:
        with opened(server.url()) as engine:
            engine.lasting(DISK).store(b"cg:durable", NEW, None)
            with pytest.raises(NotDurable, match="0 of the 1 replicas .* had it, and 0 are connected") as caught:
                engine.lasting(Durability(1, disk=True)).store(b"cg:durable", OLD, None)
            assert caught.value.on_disk
            aside(server.restart)
            assert OLD == engine.fetch(b"cg:durable")
    finally:
        aside(server.close)


def test_all_members_may_die_where_the_disk_has_it() -> None:
    """
    What was acknowledged at "disk" is there when all were killed at that moment, and started again.
    """
    grid = aside(lambda: LoopbackGrid(owners=2, persist=True).__enter__())
    try:
        with cachegrid.connect(config=Settings(url=grid.url)) as connected:
            cache = connected.cache("orders", durability="disk")
            for turn in range(2):
                values = {f"{turn}-{number}": number for number in range(300)}
                cache.set_many(values)
                cache.set("last", turn)
                for member in grid.state.members:
                    aside(grid.kill, member.index)
                aside(grid.restart)
                aside(grid.wait_whole)
                assert values == cache.get_many(list(values))
                assert turn == cache.get("last")
    finally:
        aside(grid.close)


def test_an_owner_may_die_where_its_replica_has_it(mortal: LoopbackGrid) -> None:
    """
    What was acknowledged at "replicated" is there, each time that its owner is killed right after that; so are locks.
    """
    with cachegrid.connect(config=Settings(url=mortal.url, timeout=10)) as connected:
        cache = connected.cache("orders", durability="replicated")
        for turn in range(5):
            lock = cache.lock(turn, lease="30s")
            lock.acquire()
            owner = aside(mortal.owner_of, lease_key(lock._address))
            values = {f"{turn}-{number}": turn for number in range(100)}
            for key, value in values.items():
                cache.set(key, value)
            aside(mortal.kill, owner)
            aside(mortal.wait_whole)
            assert values == cache.get_many(list(values))
            with pytest.raises(LockTimeout):
                cache.with_durability("memory").lock(turn, wait=0).acquire()
            lock.release()
            aside(mortal.restart)
            aside(mortal.wait_for, partial(are_linked, mortal))


@pytest.fixture
def doomed() -> Iterator[LoopbackGrid]:
    """A grid like that, which writes to disk before each answer."""
    settings = {"cluster-node-timeout": "300", "appendfsync": "always"}
    with LoopbackGrid(persist=True, settings=settings) as grid:
        grid.wait_for(partial(are_linked, grid))
        yield grid


def test_an_owner_takes_along_what_its_replica_lacks(doomed: LoopbackGrid) -> None:
    """
    What was acknowledged at "memory" or "disk" is lost where the replica did not follow at the moment.

    At "replicated" it is not acknowledged.
    """
    first, second, third = aside(addresses_of, doomed, 0, 3)
    with opened(doomed.url + PATIENT) as engine:
        engine.lasting(ONE).store_many([(first, OLD, None), (third, OLD, None)])
        aside(hold_replica, doomed)
        engine.store(first, NEW, None)
        engine.lasting(DISK).store(third, NEW, None)
        with pytest.raises(NotDurable, match="0 of the 1 replicas .* had it, and 0 are connected"):
            engine.lasting(ONE).store(second, NEW, None)
        assert [NEW] * 3 == engine.fetch_many([first, second, third])
        aside(doomed.kill, 0)
        aside(doomed.wait_whole)
        assert [OLD, None, OLD] == engine.fetch_many([first, second, third])


def hold_replica(grid: LoopbackGrid) -> None:
    """Let the replica of the first owner follow it no longer."""
    with grid.admin(OWNERS) as replica, grid.admin(0) as owner:
        replica.run("CONFIG", "SET", "masterauth", "wrong")
        owner.run("CLIENT", "KILL", "TYPE", "replica")
        grid.wait_for(lambda: replica.facts("replication")["master_link_status"] == "down")


def test_an_owner_may_die_while_one_waits() -> None:
    """
    What may be repeated is, at the next owner, and a count, too: it is made once, whether the next one had it or not.
    """
    grid = aside(lambda: LoopbackGrid(owners=3, replicas=2, settings={"cluster-node-timeout": "300"}).__enter__())
    replicas = [OWNERS, 2 * OWNERS]
    try:
        aside(grid.wait_for, partial(are_linked, grid))
        stored, counted = aside(addresses_of, grid, 0, 2)
        with opened(grid.url, timeout=10) as engine:
            lasting = engine.lasting(ONE)
            together(partial(lasting.store, stored, OLD, None), partial(lasting.add, counted, 1, 0, None))
            for index in replicas:
                aside(grid.pause, index)
            storing = begin(partial(lasting.store, stored, NEW, None))
            counting = begin(partial(lasting.add, counted, 1, 0, None))
            while [NEW, b"2"] != engine.fetch_many([stored, counted]):
                assert not storing.is_done
                assert not counting.is_done
            aside(grid.kill, 0)
            for index in replicas:
                aside(grid.resume, index)
            storing.result()
            assert 2 == counting.result()
            assert [NEW, b"2"] == engine.fetch_many([stored, counted])
    finally:
        aside(grid.close)


def test_an_owner_may_be_replaced_while_one_waits() -> None:
    """
    It tells those who wait that it is no owner any more: what may be repeated waits at the next one.
    """
    # Nobody takes the one that is held for dead meanwhile, and gives up waiting for it.
    patient = {"cluster-node-timeout": "30000"}
    grid = aside(lambda: LoopbackGrid(owners=3, replicas=2, settings=patient).__enter__())
    try:
        aside(grid.wait_for, partial(are_linked, grid))
        [address] = aside(addresses_of, grid, 0)
        with opened(grid.url, timeout=10) as engine:
            lasting = engine.lasting(Durability(2))
            lasting.store(address, OLD, None)
            aside(grid.pause, OWNERS)
            storing = begin(partial(lasting.store, address, NEW, None))
            while engine.fetch(address) != NEW:
                assert not storing.is_done
            aside(take_over, grid, 2 * OWNERS)
            aside(grid.resume, OWNERS)
            storing.result()
            assert NEW == engine.fetch(address)
            assert 2 * OWNERS == aside(grid.owner_of, address)
    finally:
        aside(grid.close)


def take_over(grid: LoopbackGrid, index: int) -> None:
    """Let a replica become the owner, with all that the owner has, which is a replica then."""
    with grid.admin(index) as admin, grid.admin(0) as owner:
        admin.run("CLUSTER", "FAILOVER")
        grid.wait_for(lambda: owner.facts("replication")["role"] == "slave")


@pytest.fixture
def kept() -> Iterator[LoopbackGrid]:
    """A grid without replicas, that writes to disk before each answer."""
    with LoopbackGrid(owners=2, replicas=0, persist=True, settings={"appendfsync": "always"}) as grid:
        yield grid


def test_slots_may_move(kept: LoopbackGrid) -> None:
    """
    A write that is sent on lasts where it arrives.
    """
    address = b"cg:durable:{moves}"
    with opened(kept.url) as engine:
        lasting = engine.lasting(DISK)
        move = aside(Move, kept, address)
        aside(move.begin)
        lasting.store(address, OLD, None)
        assert not lasting.drop(address + b"-absent")
        assert 5 == lasting.add(address + b"-count", 1, 4, None)
        aside(move.finish)
        assert OLD == engine.fetch(address)
        lasting.store_many([(address, NEW, None), (address + b"-other", NEW, None)])
        assert 6 == lasting.add(address + b"-count", 1, 4, None)
        assert lasting.drop(address)
        assert not lasting.drop(address)


def test_a_view_is_the_same_cache(grid: LoopbackGrid) -> None:
    """
    With a durability of its own: entries, counters and epochs are shared.
    """
    with cachegrid.connect(config=Settings(url=grid.url)) as connected:
        cache = connected.cache("views")
        lasting = cache.with_durability("replicated")
        assert lasting is cache.with_durability(replicas=1)
        lasting.set("a", 1)
        lasting.set_many({"b": 2, "c": 3})
        assert {"a": 1, "b": 2, "c": 3} == cache.get_many(["a", "b", "c"])
        assert 3 == lasting.incr("b")
        assert 5 == lasting.get_or_load("d", five)
        lasting.clear()
        assert {} == cache.get_many(["a", "b", "c", "d"])
        assert cache.stats() == lasting.stats()


def five() -> int:
    """Loads."""
    return 5
