# Generated from tests/engines/_aio/test_valkey_moves.py by tools/colour.py. Edit that file, then run `make colour`.
"""Slots that move, and scripts that are forgotten: callers notice nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cachegrid.config import Settings
from cachegrid.engines.valkey._sio import rounds
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey._sio.link import SyncLink
from cachegrid.engines.valkey.leases import lease_key
from cachegrid.engines.valkey.slots import SLOTS, Endpoint, Routes, slot_of
from cachegrid.engines.valkey.trouble import LinkError
from cachegrid.errors import EngineTimeout
from cachegrid.opening._sio import make_grid
from cachegrid.testing._sio.bench import frame_of, version_in
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.waits._sio import aside, sleep
from tests.engines._sio.opened import hurry, opened
from tests.engines._sio.traffic import SyncTraffic
from tests.engines.moving import Move, move_at_once, owned_by

pytestmark = pytest.mark.grid

FRAME, NEW = frame_of(b"kept"), frame_of(b"new")


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """For slots that are moved by hand, each of them once."""
    with LoopbackGrid(owners=3, replicas=0) as grid:
        yield grid


@pytest.fixture
def whole() -> Iterator[LoopbackGrid]:
    """For many slots at once. A member that has given all its slots away stays an owner."""
    with LoopbackGrid(owners=3, replicas=0, settings={"cluster-allow-replica-migration": "no"}) as grid:
        yield grid


def use_in_every_way(engine: SyncValkeyEngine, at: Callable[[bytes], bytes]) -> None:
    """Use an engine on addresses that `at` makes, and see that every answer is right."""
    engine.store(at(b"1"), FRAME, 60_000)
    assert FRAME == engine.fetch(at(b"1"))
    assert engine.store_if_version(at(b"1"), version_in(FRAME), NEW, 60_000) is True
    assert engine.store_if_version(at(b"1"), version_in(FRAME), NEW, 60_000) is False
    assert NEW == engine.fetch_idle(at(b"1"), 60_000)
    assert engine.touch(at(b"1"), 60_000, time.time_ns() // 1_000_000) is True
    found = engine.inspect(at(b"1"))
    assert found is not None
    assert version_in(NEW) == version_in(found[0])
    assert engine.drop_if_version(at(b"1"), version_in(NEW)) is True
    assert engine.drop(at(b"1")) is False
    assert engine.store_if_absent(at(b"2"), FRAME, None) is True
    assert engine.store_if_present(at(b"2"), NEW, None) is True
    assert 10 == engine.add(at(b"3"), 1, 9, None)
    assert 11 == engine.add(at(b"3"), 1, 9, None)
    engine.store_many([(at(b"4"), FRAME, None), (at(b"5"), NEW, 60_000)])
    assert [FRAME, NEW, None] == engine.fetch_many([at(b"4"), at(b"5"), at(b"none")])
    assert 4 == engine.drop_many([at(b"%d" % number) for number in range(2, 7)])


def in_slot_of(name: bytes) -> Callable[[bytes], bytes]:
    """Makes addresses that are all in one slot."""
    return lambda suffix: b"cg:moves:{" + name + b"}:" + suffix


def test_a_moved_slot_is_followed(grid: LoopbackGrid) -> None:
    """
    Who asks the old owner is sent to the new one, and asks that one from then on.
    """
    at = in_slot_of(b"moved")
    with opened(grid.url) as engine, opened(grid.url) as other:
        engine.store(at(b"before"), FRAME, None)
        move = aside(Move, grid, at(b""))
        aside(move.begin)
        aside(move.finish)
        assert FRAME == engine.fetch(at(b"before"))
        assert move.target_endpoint == engine._owners[slot_of(at(b""))].endpoint
        use_in_every_way(other, at)
        assert move.target_endpoint == other._owners[slot_of(at(b""))].endpoint


def test_every_kind_of_call_follows_a_moved_slot(grid: LoopbackGrid) -> None:
    """
    Whatever is asked first of the old owner is done by the new one, once.
    """
    acts: list[tuple[Callable[[SyncValkeyEngine, bytes], object], object]] = [
        (lambda engine, at: engine.store(at, FRAME, None), None),
        (lambda engine, at: engine.add(at, 1, 0, None), 1),
        (lambda engine, at: engine.store_if_absent(at, FRAME, None), True),
        (lambda engine, at: engine.inspect(at), None),
        (lambda engine, at: engine.fetch_many([at, b"cg:moves"]), [None, None]),
        (lambda engine, at: engine.drop_many([at, b"cg:moves"]), 0),
    ]
    for number, (act, answer) in enumerate(acts):
        address = b"cg:moves:kind-%d" % number
        with opened(grid.url) as engine:
            move = aside(Move, grid, address)
            aside(move.begin)
            aside(move.finish)
            assert answer == act(engine, address)
            assert move.target_endpoint == engine._owners[slot_of(address)].endpoint


def test_a_slot_that_is_moving_is_followed(grid: LoopbackGrid) -> None:
    """
    While a slot moves, what the old owner no longer has, and what is new, is asked of the new owner.
    """
    at = in_slot_of(b"asked")
    with opened(grid.url) as engine:
        engine.store_many([(at(b"goes"), FRAME, None), (at(b"stays"), NEW, None)])
        move = aside(Move, grid, at(b""))
        aside(move.begin)
        aside(move.carry, at(b"goes"))
        assert FRAME == engine.fetch(at(b"goes"))
        assert NEW == engine.fetch(at(b"stays"))
        assert [NEW, FRAME, None] == engine.fetch_many([at(b"stays"), at(b"goes"), at(b"none")])
        use_in_every_way(engine, at)
        assert move.source_endpoint == engine._owners[slot_of(at(b""))].endpoint, "it has not moved yet"
        aside(move.finish)
        assert [NEW, FRAME] == engine.fetch_many([at(b"stays"), at(b"goes")])
        use_in_every_way(engine, at)


@pytest.mark.parametrize("carried", [False, True])
def test_leases_of_a_slot_that_moves_key_by_key(grid: LoopbackGrid, carried: bool) -> None:  # noqa: FBT001
    """
    They are taken, renewed and given back at whichever of the two members has them, and fencing numbers go on growing.
    """
    name = b"moving-%d" % carried
    lease = lease_key(name)
    with opened(grid.url) as engine:
        first = engine.acquire(name, b"token", 60_000)
        assert first is not None
        move = aside(Move, grid, lease)
        aside(move.begin)
        if carried:
            aside(move.carry, lease)
        assert first == engine.acquire(name, b"token", 60_000)
        assert engine.acquire(name, b"other", 60_000) is None
        assert engine.renew(name, b"token", 60_000)
        assert engine.release(name, b"token")
        second = engine.acquire(name, b"other", 60_000)
        assert second is not None
        assert first < second
        aside(move.finish)
        assert engine.renew(name, b"other", 60_000)
        assert engine.release(name, b"other")


def test_loads_of_a_slot_that_stays_half_way_are_handed_out(grid: LoopbackGrid) -> None:
    """
    What is loaded cannot land while its lease and its entry may be at two members: it is handed out soon, and counted.
    """
    connected = make_grid(Settings(url=grid.url))
    connected.connect()
    try:
        cache = connected.cache("prices")
        cache.set("warm", 1)
        address = cache._space.address("key")
        move = aside(Move, grid, address)
        aside(move.begin)
        begun = time.monotonic()
        assert "loaded" == cache.get_or_load("key", _load)
        assert time.monotonic() - begun < 2.5
        assert (1, 1) == (cache.stats().stores, cache.stats().store_failures)
        with cache.lock("key"):
            cache.set("key", "set")
        assert "set" == cache.get_or_load("key", _load)
        cache.delete("key")
        aside(move.finish)
        assert "loaded" == cache.get_or_load("key", _load)
        assert "loaded" == cache.get("key")
        assert 1 == cache.stats().store_failures
    finally:
        connected.close()


def _load() -> str:
    return "loaded"


def test_entries_move_under_traffic(grid: LoopbackGrid) -> None:
    """
    Slots are moved one by one, entry by entry, and nobody who reads or writes them meets an error.
    """
    with opened(grid.url) as engine:
        traffic = SyncTraffic(engine, 12)

        def move_some() -> None:
            for address in traffic.addresses[:6]:
                move = aside(Move, grid, address)
                aside(move.begin)
                traffic.rounds_pass(2)
                aside(move.carry)
                traffic.rounds_pass(2)
                aside(move.finish)

        traffic.flow(move_some)
        assert 0 == traffic.unknown


def test_many_slots_move_at_once_under_traffic(whole: LoopbackGrid) -> None:
    """
    Ranges of slots change hands all at once, back and forth, and nobody meets an error.
    """
    with opened(whole.url) as engine:
        traffic = SyncTraffic(engine)
        move = aside(Move, whole, b"any")
        first, last = aside(some_slots, whole, move.source)

        def move_some() -> None:
            aside(move_at_once, whole, first, last, move.source, move.target)
            traffic.rounds_pass(2)
            aside(move_at_once, whole, first, last, move.target, move.source)

        traffic.flow(move_some)
        assert 0 == traffic.unknown


def some_slots(grid: LoopbackGrid, index: int) -> tuple[int, int]:
    """The first and the last of the first slots in a row that a member owns."""
    owned = owned_by(grid, index)
    first = last = min(owned)
    while last + 1 in owned:
        last += 1
    return first, last


@pytest.mark.parametrize("pages", [0, 1])
def test_a_walk_lists_what_moves_behind_its_back(pages: int, whole: LoopbackGrid) -> None:
    """
    What moves during a walk, to a member that has been walked already, is listed all the same.

    It moves before its owner is walked, and in the middle of that.
    """
    prefix = b"cg:walked:%d:" % pages
    addresses = {prefix + b"%d" % number for number in range(9000)}
    with opened(whole.url) as engine:
        engine.store_many([(address, b"", None) for address in addresses])
        seen: set[bytes] = set()
        walked: list[int] = []  # whose pages came, in order
        moved = False
        for page in engine.walk(prefix):
            seen.update(page)
            walked.append(aside(whole.owner_of, page[0]))
            owners = list(dict.fromkeys(walked))
            if not moved and len(owners) == 2 + pages:
                # Two have been begun, the first of them ended: now the last gives what it has to the first.
                last = ({0, 1, 2} - set(owners[:2])).pop()
                aside(give_all, whole, last, owners[0])
                moved = True
        assert moved
        assert addresses == seen
        engine.drop_many(list(addresses))


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_walk_ends_where_members_never_agree(
    grid: LoopbackGrid, monkeypatch: pytest.MonkeyPatch, *, is_answered: bool
) -> None:
    """
    Each of two says that the other owns everything: that is told when the deadline has passed, whoever is silent then.
    """
    with opened(grid.url) as engine:
        hurry(engine, 0.3)
        routing = engine._routing
        one, two, *_ = routing.routes.owners
        everything = [(0, SLOTS - 1)]

        def hear_the_other(*_: object, first: Endpoint | None = None, **__: object) -> bool:
            routing._adopt(Routes({two if first == one else one: everything}, {}))
            if not is_answered:
                monkeypatch.setattr(rounds, "answer", say_nothing)
            return True

        def say_nothing(link: SyncLink, _request: bytes, deadline: float) -> LinkError:
            sleep(max(0.0, deadline - time.monotonic()))
            return LinkError(link.endpoint, "no answer in time", sent=True, waited=0.3)

        monkeypatch.setattr(routing, "learn", hear_the_other)
        with pytest.raises(EngineTimeout, match="do not agree"):
            for _ in engine.walk(b"cg:"):
                pass


def give_all(grid: LoopbackGrid, source: int, target: int) -> None:
    """Let a member give the first slots in a row to another."""
    first, last = some_slots(grid, source)
    move_at_once(grid, first, last, source, target)


def test_scripts_are_taught_again(grid: LoopbackGrid) -> None:
    """
    A member that has forgotten all scripts, as after a restart, is sent them again.
    """
    with opened(grid.url) as engine:
        for number in range(3):
            aside(forget_scripts, grid)
            use_in_every_way(engine, in_slot_of(b"scripts-%d" % number))
            aside(forget_scripts, grid)
            fence = engine.acquire(b"scripts-%d" % number, b"token", 60_000)
            aside(forget_scripts, grid)
            assert fence == engine.acquire(b"scripts-%d" % number, b"token", 60_000)
            assert engine.renew(b"scripts-%d" % number, b"token", 60_000) is True
            aside(forget_scripts, grid)
            assert engine.release(b"scripts-%d" % number, b"token") is True
            aside(forget_scripts, grid)
            epoch = engine.epoch(b"scripts-%d" % number)
            aside(forget_scripts, grid)
            assert epoch < engine.raise_epoch(b"scripts-%d" % number)


def forget_scripts(grid: LoopbackGrid) -> None:
    """Let every member forget the scripts that it knows."""
    for member in grid.state.members:
        with grid.admin(member.index) as admin:
            admin.run("SCRIPT", "FLUSH")
