# Generated from tests/engines/_aio/test_valkey_outages.py by tools/colour.py. Edit that file, then run `make colour`.
"""Members that die, stand still, and come back: what callers notice of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest

from cachegrid._core.durability import Durability
from cachegrid.engines.valkey._sio import asking
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.slots import Endpoint, slot_of
from cachegrid.engines.valkey.trouble import REFUSAL_KEPT
from cachegrid.errors import CircuitOpen, EngineError, EngineTimeout, OutcomeUnknown
from cachegrid.testing._sio.bench import frame_of
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.testing.waits._sio import together
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import hurry, once_asked, opened
from tests.engines._sio.traffic import SyncTraffic
from tests.engines.moving import addresses_of
from tests.engines.servers import Server
from tests.flow.waits._sio import begin

pytestmark = [pytest.mark.grid, pytest.mark.slow]

T = TypeVar("T")
TIMEOUT = 5.0
SLACK = 2.0  # seconds that a busy machine may add


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    """A grid that finds a new owner within a second."""
    with LoopbackGrid(settings={"cluster-node-timeout": "300"}) as grid:
        yield grid


@pytest.fixture
def loyal() -> Iterator[LoopbackGrid]:
    """A grid whose replicas never take over."""
    with LoopbackGrid(owners=2) as grid:
        for member in grid.state.members:
            with grid.admin(member.index) as admin:
                admin.run("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        yield grid


@pytest.fixture
def kept() -> Iterator[LoopbackGrid]:
    """A grid that is kept on disk, and so can come back when all of it was gone."""
    with LoopbackGrid(owners=2, persist=True) as grid:
        yield grid


def test_a_killed_owner_costs_no_error(grid: LoopbackGrid) -> None:
    """
    While an owner is killed and replaced, nobody who reads or writes meets an error, and nothing is counted twice.
    """
    with opened(grid.url) as engine:
        traffic = SyncTraffic(engine)

        def kill() -> None:
            aside(grid.kill, 0)
            aside(grid.wait_whole)

        traffic.flow(kill)
        assert max(traffic.longest.values()) < TIMEOUT


def test_a_member_that_stands_still_costs_no_error(grid: LoopbackGrid) -> None:
    """
    An owner that answers nothing, and whose connections stay open, is replaced without an error, too.
    """
    with opened(grid.url + "?patience=200ms") as engine:
        traffic = SyncTraffic(engine)

        def pause() -> None:
            aside(grid.pause, 0)
            try:
                aside(grid.wait_whole)
                traffic.rounds_pass()
            finally:
                aside(grid.resume, 0)
            aside(grid.wait_whole)

        traffic.flow(pause)
        assert max(traffic.longest.values()) < TIMEOUT


def test_every_member_may_die_in_turn(grid: LoopbackGrid) -> None:
    """
    A grid whose members are killed and started again, one after the other, serves all the while.

    How soon an owner is replaced is shown above; here two are, one shortly after the other, and nobody is refused.
    """
    with opened(grid.url, timeout=4 * TIMEOUT) as engine:
        traffic = SyncTraffic(engine)

        def roll() -> None:
            for index in (0, 3):
                aside(grid.kill, index)
                aside(grid.wait_whole)
                aside(grid.restart)
                aside(grid.wait_for, lambda: all(member.link_up and member.up for member in grid.members()))

        traffic.flow(roll)


def test_who_pauses_goes_on_as_soon_as_the_next_owner_is_known(
    grid: LoopbackGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    To whoever of this process that was told first.
    """
    [address] = aside(addresses_of, grid, 0)
    with opened(grid.url, timeout=20) as engine:
        engine.store(address, b"old", None)
        monkeypatch.setattr(asking, "pause_before", lambda attempt, _: 10.0 * bool(attempt))
        aside(grid.kill, 0)
        began = time.monotonic()
        storing = begin(partial(engine.store, address, b"new", None))
        aside(grid.wait_whole)
        assert not storing.is_done
        engine._routing.learn(time.monotonic() + TIMEOUT)
        storing.result()
        assert time.monotonic() - began < 10
        assert b"new" == engine.fetch(address)


def test_a_dead_owner_is_not_tried_by_each_read(loyal: LoopbackGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One tries now and then whether it is back; the others go to its replica at once.
    """
    [address] = aside(addresses_of, loyal, 0)
    with opened(loyal.url) as engine:
        engine.lasting(Durability(1)).store(address, b"kept", None)
        aside(loyal.kill, 0)
        assert b"kept" == engine.fetch(address)
        link = engine._owners[slot_of(address)]
        tries: list[object] = []
        dial = link._dial

        def count(*args: Any, **kwargs: Any) -> Any:
            tries.append(args)
            return dial(*args, **kwargs)

        monkeypatch.setattr(link, "_dial", count)
        began = time.monotonic()
        for _ in range(200):
            assert b"kept" == engine.fetch(address)
        assert len(tries) <= 2 + (time.monotonic() - began) / REFUSAL_KEPT


@pytest.mark.parametrize("ends", ["kill", "pause"])
def test_a_replica_answers_while_there_is_no_owner(ends: str, loyal: LoopbackGrid) -> None:
    """
    Reads are answered at once while an owner is away; writes wait for as long as they may, and then say so.
    """
    [address], frame = aside(addresses_of, loyal, 0), frame_of(b"kept")
    with opened(loyal.url + "?patience=100ms") as engine:
        engine.store(address, frame, None)
        engine.raise_epoch(address)  # when it returns, the replica has what was stored before
        hurry(engine, 0.6, patience=0.1)
        aside(getattr(loyal, ends), 0)
        assert frame == in_time(0.6, partial(engine.fetch, address))
        begun = time.monotonic()
        for _ in range(30):
            assert frame == engine.fetch(address)
            assert [frame, frame] == engine.fetch_many([address, address])
            assert (frame, None) == engine.inspect(address)
            assert frame == engine.fetch_idle(address, 60_000)
        # Now and then one looks whether the owner is back; 120 who each waited for it would have taken 12 s.
        assert time.monotonic() - begun < 8
        too_late(0.6, partial(engine.store, address, frame_of(b"lost"), None))
        hurry(engine, TIMEOUT)
        if ends == "pause":
            aside(loyal.resume, 0)
        else:
            aside(loyal.restart)
        engine.store(address, frame_of(b"new"), None)


def test_a_silent_replica_is_waited_for_now_and_then(loyal: LoopbackGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While its owner is silent, too, later reads give it a moment for some seconds. It is heard again.
    """
    [address], frame, waits = aside(addresses_of, loyal, 0), frame_of(b"kept"), list[float]()
    ask = asking.answer

    def noted(link: Any, request: bytes, deadline: float, **how: Any) -> object:
        if link in engine._routing.replicas_of(slot_of(address)):
            waits.append(deadline - time.monotonic())
        return ask(link, request, deadline, **how)

    with opened(loyal.url) as engine:
        engine.lasting(Durability(1)).store(address, frame, None)
        members = {member.port: member.index for member in loyal.state.members}
        while not engine._routing.replicas_of(slot_of(address)):  # whom it asked may not have heard of it yet
            engine._routing.learn(time.monotonic() + TIMEOUT)
        [replica] = [members[link.endpoint.port] for link in engine._routing.replicas_of(slot_of(address))]
        monkeypatch.setattr(asking, "answer", noted)
        for index in (0, replica):
            aside(loyal.pause, index)
        hurry(engine, 1.5)
        for _ in range(2):
            with pytest.raises(EngineError):
                engine.fetch(address)
        first, *others = waits
        assert first > engine._target.moment
        assert others
        assert max(others) <= engine._target.moment
        waits.clear()
        engine._mute.update(dict.fromkeys(engine._mute, 0.0))  # as if that was long ago
        with pytest.raises(EngineError):
            engine.fetch(address)
        assert waits[0] > engine._target.moment
        aside(loyal.resume, replica)
        assert frame == once_asked(partial(engine.fetch, address))
        aside(loyal.resume, 0)


def test_a_replica_is_found_that_most_have_not_heard_of(loyal: LoopbackGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One that has come back is named by itself first, and by others some tenths of a second later.

    Whoever is asked for the routes in between, it is found with them, and not forgotten where nobody tells of it.
    """
    [address] = aside(addresses_of, loyal, 0)
    with opened(loyal.url) as engine:
        engine.lasting(Durability(1)).store(address, b"kept", None)
        routing, owner = engine._routing, engine._owners[slot_of(address)].endpoint
        while not (replicas := routing.replicas_of(slot_of(address))):
            routing.learn(time.monotonic() + TIMEOUT)
        [replica] = replicas
        aside(loyal.kill, 0)
        ask, knowing = routing._ask, {replica.endpoint}

        def told(endpoint: Endpoint, seconds: float) -> Any:
            if (answer := ask(endpoint, seconds)) is None or endpoint in knowing:
                return answer
            health, routes = answer
            return health, routes._replace(replicas={**routes.replicas, owner: []})

        monkeypatch.setattr(routing, "_ask", told)
        for nobody in (False, True):
            if nobody:
                knowing.clear()
            for _ in range(4):  # each time another one is asked first
                assert routing.learn(time.monotonic() + TIMEOUT, last=owner)
                assert [replica] == routing.replicas_of(slot_of(address))
        assert b"kept" == engine.fetch(address)


def test_a_silent_owner_costs_a_batch_its_patience_once(loyal: LoopbackGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What was waited for an answer in vain counts as time of the call, also where parts of it are handed on at once.
    """
    addresses = [b"cg:outage:%d" % number for number in range(50)]
    with opened(loyal.url + "?patience=1s") as engine:
        engine.store_many([(address, address, None) for address in addresses])
        engine.raise_epoch((aside(addresses_of, loyal, 0))[0])
        deadlines: list[float] = []
        insist = engine._insist

        def noted(*args: Any, deadline: float, **others: Any) -> object:
            deadlines.append(deadline)
            return insist(*args, deadline=deadline, **others)

        monkeypatch.setattr(engine, "_insist", noted)
        aside(loyal.pause, 0)
        begun = time.monotonic()
        found: dict[int, bytes | None] = {}
        for places, frames in engine.fetch_parts(addresses):
            found.update(zip(places, frames, strict=True))
        aside(loyal.resume, 0)
        assert addresses == [found[place] for place in range(50)]
        assert deadlines
        assert max(deadlines) < begun + TIMEOUT + 0.5


def test_a_broken_connection_is_no_reason_to_ask_a_replica(loyal: LoopbackGrid) -> None:
    """
    The owner is well, and a replica may be behind, and lack what this process has written itself.
    """
    [address], frame = aside(addresses_of, loyal, 0), frame_of(b"kept")
    with opened(loyal.url) as engine:
        engine.store(address, frame, None)
        engine.raise_epoch(address)
        replica = aside(replica_of, loyal, 0)
        asked = aside(reads_at, loyal, replica)
        for read in (partial(engine.fetch, address), partial(engine.fetch_idle, address, 60_000)):
            aside(break_connections, loyal, 0)
            assert frame == read()
        aside(break_connections, loyal, 0)
        assert [frame, frame] == engine.fetch_many([address, address])
        assert asked == aside(reads_at, loyal, replica)


def replica_of(grid: LoopbackGrid, owner: int) -> int:
    """The member that follows an owner."""
    members = grid.state.members
    [port] = [one.port for one in grid.members() if one.owner_id == members[owner].id]
    return next(member.index for member in members if member.port == port)


def reads_at(grid: LoopbackGrid, index: int) -> int:
    """How often a member was asked for an entry."""
    with grid.admin(index) as admin:
        told = admin.facts("commandstats").get("cmdstat_get", "calls=0")
    return int(told.partition(",")[0].removeprefix("calls="))


def break_connections(grid: LoopbackGrid, index: int) -> None:
    """Close all connections of a member's callers."""
    with grid.admin(index) as admin:
        admin.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_who_only_reads_hears_of_the_next_owner(grid: LoopbackGrid) -> None:
    """
    A replica that answers is asked for only until there is a new owner.
    """
    [address] = aside(addresses_of, grid, 0)
    with opened(grid.url) as engine:
        engine.store(address, b"kept", None)
        engine.raise_epoch(address)
        dead = aside(grid.kill, 0)
        deadline = time.monotonic() + 10
        while dead.port == engine._owners[slot_of(address)].endpoint.port:
            assert time.monotonic() < deadline
            assert b"kept" == engine.fetch(address)
        assert b"kept" == engine.fetch(address)


@pytest.mark.parametrize("ends", ["kill", "pause"])
def test_a_grid_that_is_gone_is_told_in_time(ends: str, kept: LoopbackGrid) -> None:
    """
    With no member left every call raises EngineTimeout at its deadline, or CircuitOpen at once after some of them have.

    When the members are back, the engine goes on.
    """
    with opened(kept.url + "?patience=100ms") as engine:
        engine.store(b"cg:outage", b"kept", None)
        engine.add(b"cg:outage:sum", 1, 0, None)
        hurry(engine, 0.2, patience=0.1)
        for index in range(4):
            aside(getattr(kept, ends), index)
        too_late(0.2, partial(engine.fetch, b"cg:outage"))
        too_late(0.2, partial(engine.store, b"cg:outage", b"new", None))
        with pytest.raises(
            (EngineTimeout, CircuitOpen, OutcomeUnknown)
        ):  # the last, where its owner was not asked before
            engine.add(b"cg:outage:sum", 1, 0, None)
        too_late(0.2, partial(engine.fetch_many, [b"cg:outage:%d" % number for number in range(50)]))
        too_late(0.2, partial(engine.raise_epoch, b"cg:outage"))
        too_late(0.2, partial(everything_in, engine, b"cg:"))
        together(*[partial(too_late, 0.2, partial(engine.fetch, b"cg:outage:%d" % i)) for i in range(8)])
        for index in range(4) if ends == "pause" else ():
            aside(kept.resume, index)
        if ends == "kill":
            aside(kept.restart)
        aside(kept.wait_whole)
        hurry(engine, TIMEOUT)
        once_asked(partial(engine.store, b"cg:outage", b"new", None))
        assert b"new" == engine.fetch(b"cg:outage")


def test_a_grid_without_a_majority_is_told_at_once_after_a_while() -> None:
    """
    An owner that is left alone answers, and takes no writes: one call waits for that to change, and no other does.

    It is read from all the while, and written to again as soon as the others are back.
    """
    grid = aside(LoopbackGrid(replicas=0, settings={"cluster-node-timeout": "300"}).__enter__)
    try:
        address, other = aside(addresses_of, grid, 0, 2)
        with opened(grid.url) as engine:
            engine.store_many([(address, b"1", None), (other, b"1", None)])
            hurry(engine, 1.2, patience=0.3)
            for index in (1, 2):
                aside(grid.kill, index)
            aside(grid.wait_for, partial(is_cut_off, grid, 0))
            too_late(1.2, partial(engine.store, address, b"2", None))
            begun = time.monotonic()
            for _ in range(10):
                assert b"1" == engine.fetch(other)
                for act in (
                    partial(engine.store, address, b"2", None),
                    partial(engine.add, address, 1, 0, None),
                    partial(engine.store_many, [(address, b"2", None), (other, b"2", None)]),
                    partial(engine.acquire, address, b"mine", 1000),
                ):
                    with pytest.raises(CircuitOpen, match="cut off from most members"):
                        act()
            assert time.monotonic() - begun < 1.2
            assert "open" in [path.circuit for path in engine.paths()]
            hurry(engine, TIMEOUT)
            aside(grid.restart)
            aside(grid.wait_whole)
            engine.store(address, b"2", None)
            assert b"2" == engine.fetch(address)
            assert {"closed"} == {path.circuit for path in engine.paths() if path.port == grid.state.members[0].port}
    finally:
        aside(grid.close)


def is_cut_off(grid: LoopbackGrid, index: int) -> bool:
    """Whether a member knows that it is."""
    with grid.admin(index) as admin:
        return "cluster_state:fail" in admin.text("CLUSTER", "INFO")


def test_a_huge_batch_meets_a_dead_owner(grid: LoopbackGrid) -> None:
    """
    10,000 addresses are read and written although one of their owners has just died.
    """
    items = [(b"cg:outage:%d" % number, b"frame %d" % number, None) for number in range(10_000)]
    addresses = [address for address, _, _ in items]
    with opened(grid.url) as engine:
        engine.store_many(items)
        engine.raise_epoch(b"any")
        aside(grid.kill, 1)
        assert [frame for _, frame, _ in items] == in_time(TIMEOUT, partial(engine.fetch_many, addresses))
        in_time(TIMEOUT, partial(engine.store_many, items))
        assert 10_000 == engine.drop_many(addresses)


def test_an_epoch_is_raised_across_a_failover(grid: LoopbackGrid) -> None:
    """
    Raising an epoch waits for the next owner; then everybody doubts.
    """
    with opened(grid.url) as engine, opened(grid.url) as other:
        aside(grid.kill, 2)
        for number in range(6):
            name = b"cg:outage:%d" % number
            doubt, epoch = other.doubt, other.epoch(name)
            raised = in_time(TIMEOUT, partial(engine.raise_epoch, name))
            other.fetch(name)
            assert doubt != other.doubt
            assert epoch < raised == other.epoch(name)


def test_a_walk_goes_on_at_the_next_owner(grid: LoopbackGrid) -> None:
    """
    A walk whose owner dies lists everything all the same.
    """
    addresses = {b"cg:walked:%d" % number for number in range(6000)}
    with opened(grid.url) as engine:
        engine.store_many([(address, b"", None) for address in addresses])
        engine.raise_epoch(b"any")
        aside(grid.wait_for, lambda: all(member.lag_bytes == 0 for member in grid.members()))
        seen: set[bytes] = set()
        for page in engine.walk(b"cg:walked:"):
            if not seen:
                aside(grid.kill, aside(grid.owner_of, page[0]))
            seen.update(page)
        assert addresses == seen


def test_members_are_listed_although_some_are_away(grid: LoopbackGrid) -> None:
    """
    A member that is dead, or stands still, is listed as not up, and does not keep others from being asked.
    """
    with opened(grid.url + "?patience=200ms") as engine:
        dead = aside(grid.kill, 4)
        still = aside(grid.pause, 5)
        found = in_time(TIMEOUT, engine.members)
        assert 6 == len(found)
        assert {dead.port, still.port} == {member.port for member in found if not member.up}
        aside(grid.resume, 5)


def test_a_server_that_restarts_between_two_calls(server: Server) -> None:
    """
    After a restart every connection is dead: calls of every kind find that out by themselves.
    """
    with opened(server.url()) as engine:
        for act, answer in RESTARTS:
            together(*[partial(engine.fetch, b"cg:outage")] * 4)  # several connections, where there are several
            aside(server.restart)
            assert answer == act(engine)


RESTARTS: list[tuple[Callable[[SyncValkeyEngine], object], object]] = [
    (lambda engine: engine.fetch(b"cg:outage"), None),
    (lambda engine: engine.store(b"cg:outage", b"new", None), None),
    (lambda engine: engine.add(b"cg:outage", 1, 1, None), 2),
    (lambda engine: engine.store_if_absent(b"cg:outage", b"new", None), True),
    (lambda engine: engine.drop_if_version(b"cg:outage", b"12345678"), False),
    (lambda engine: engine.fetch_many([b"cg:outage", b"cg:other"]), [None, None]),
    (lambda engine: engine.inspect(b"cg:outage"), None),
    (lambda engine: engine.renew(b"cg:outage", b"token", 1000), False),
]


def test_a_member_that_was_silent_is_not_shunned(server: Server) -> None:
    """
    A member that stood still, then was away, and now is back, is used at once.
    """
    with opened(server.url(options="?patience=100ms")) as engine:
        engine.store(b"cg:outage", b"kept", None)
        hurry(engine, 0.2, patience=0.1)
        silence = engine._owners[0]._silence
        server.pause()
        too_late(0.2, partial(engine.fetch, b"cg:outage"))
        assert silence.is_on
        aside(server.kill)
        too_late(0.2, partial(engine.fetch, b"cg:outage"))
        assert not silence.is_on
        aside(server.start)
        hurry(engine, TIMEOUT)
        assert engine.fetch(b"cg:outage") is None


def everything_in(engine: SyncValkeyEngine, prefix: bytes) -> list[bytes]:
    """The addresses that begin so."""
    return [address for page in engine.walk(prefix) for address in page]


def in_time(seconds: float, act: Callable[[], T]) -> T:
    """The answer, which comes within so many seconds."""
    begun = time.monotonic()
    answer = act()
    assert time.monotonic() - begun < seconds + SLACK
    return answer


def too_late(seconds: float, act: Callable[[], object]) -> None:
    """Assert that the deadline passes, and that the error says where, and what to do."""
    begun = time.monotonic()
    with pytest.raises(EngineError) as caught:
        act()
    took = time.monotonic() - begun
    assert took < seconds + SLACK
    assert "127.0.0.1:" in str(caught.value)
    assert caught.value.where.startswith("127.0.0.1:")
    assert "cachegrid status" in str(caught.value)
    if isinstance(caught.value, CircuitOpen):
        assert took < SLACK
        return
    assert isinstance(caught.value, EngineTimeout), repr(caught.value)
    assert f"within {seconds:g} s" in str(caught.value)
    assert "setting timeout" in str(caught.value)
