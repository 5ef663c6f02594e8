"""Slots move between real members while programs use them, and nothing is lost, whatever cuts it short."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid.cluster import Way, add, handover, heal, migration, remove, stop
from cachegrid.cluster.admin import Admin
from cachegrid.cluster.balance import Move, moves
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.moving import FAST, GENTLE, Pace, carry_out, entries_per_slot, owned, settled, span_text
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import CacheError, EngineError, GridError, OutcomeUnknown
from cachegrid.testing.certificates import make_certificates
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines import servers
from tests.engines.moving import Move as HandMove

pytestmark = [pytest.mark.grid, pytest.mark.slow]

ENTRIES = 3_000
WAYS = ["at once", "key by key", "redis"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[tuple[LoopbackGrid, bool]]:
    """A grid of three owners with a replica each, and whether its servers move slots by themselves."""
    server = servers.redis() if request.param == "redis" else None
    with LoopbackGrid(server=server) as grid:
        yield grid, request.param == "at once"


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    """The same, of servers that can move slots by themselves."""
    with LoopbackGrid() as grid:
        yield grid


class Load:
    """Programs that read, write and count while something happens: every answer is checked, and no call may fail."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.errors: list[Exception] = []
        self.rounds = [0, 0, 0]
        self.unknown = 0  # counts that may have been made or not, as an owner died
        self._over = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Fill the grid, and use it until the block is through; then everything is there as it was written last."""
        with cachegrid.connect(self.url) as grid:
            grid.cache("still").set_many({number: f"value {number}" for number in range(ENTRIES)})
            grid.cache("counts").delete_many(range(50))
        threads = [threading.Thread(target=self._work, args=(index,)) for index in range(len(self.rounds))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        assert self.errors == []
        assert all(self.rounds)
        with cachegrid.connect(self.url) as grid:
            expected = {number: f"value {number}" for number in range(ENTRIES)}
            assert grid.cache("still").get_many(range(ENTRIES)) == expected

    def _work(self, index: int) -> None:
        try:
            with cachegrid.connect(self.url) as grid:
                while not self._over.is_set():
                    (self._read, self._write, self._count)[index](grid, self.rounds[index])
                    self.rounds[index] += 1
        except Exception as error:  # noqa: BLE001 - told by the test, in its own thread
            self.errors.append(error)

    def _read(self, grid: Any, turn: int) -> None:
        number = turn % ENTRIES
        assert grid.cache("still")[number] == f"value {number}"
        assert len(grid.cache("still").get_many(range(turn % 100, ENTRIES, 100))) == ENTRIES // 100

    def _write(self, grid: Any, turn: int) -> None:
        changing = grid.cache("changing")
        changing[turn % 200] = turn
        assert changing[turn % 200] == turn
        if turn % 3 == 0:
            del changing[turn % 200]
            assert changing.get(turn % 200) is None

    def _count(self, grid: Any, turn: int) -> None:
        try:
            assert grid.cache("counts").incr(turn % 50) <= turn // 50 + 1  # nothing is counted twice
        except OutcomeUnknown:
            self.unknown += 1


def crowd(grid: LoopbackGrid) -> tuple[Move, ...]:
    """A plan by which the first two owners get some more slots of the third, which keeps most of them."""
    third, first, second = (grid.state.members[index].id for index in (2, 0, 1))
    start = Contacts.of_state(grid.state).of(third).slots[0].start
    return (
        Move(third, first, (range(start, start + 60), range(start + 70, start + 71))),
        Move(third, second, (range(start + 80, start + 140),)),
    )


def sizes(grid: LoopbackGrid) -> list[int]:
    """How many slots each of the owners has, the largest first."""
    return sorted((sum(map(len, slots)) for slots in owned(grid.state).values()), reverse=True)


def test_slots_move_under_load_and_back(way: tuple[LoopbackGrid, bool]) -> None:
    """No call fails, no entry is lost, progress ends with the whole, and a rebalance undoes it."""
    grid, by_server = way
    plan, told = crowd(grid), list[tuple[str, int, int]]()
    before, load = owned(grid.state), Load(grid.url)
    with load.flowing():
        carry_out(grid.state, plan, progress=lambda *done: told.append(done), by_server=by_server)
        assert sizes(grid) == [5522, 5521, 5341]
        carry_out(grid.state, moves(owned(grid.state), before), by_server=by_server)
    assert sizes(grid) == [5462, 5461, 5461]
    assert load.unknown == 0
    assert told[0] == ("slots", 0, 121)
    assert told[-1] == ("slots", 121, 121)
    assert list(handover.half_moved(Contacts.of_state(grid.state))) == []


def test_what_was_cut_short_is_run_again(way: tuple[LoopbackGrid, bool]) -> None:
    """An interrupt between two steps leaves slots where they are; a new plan goes on from there."""
    grid, by_server = way
    plan = crowd(grid)

    def interrupt(_what: str, done: int, _total: int) -> None:
        if done >= plan[0].size:
            raise KeyboardInterrupt

    with Load(grid.url).flowing():
        with pytest.raises(KeyboardInterrupt):
            carry_out(grid.state, plan, progress=interrupt, by_server=by_server)
        assert sizes(grid) == [5522, 5461, 5401]
        carry_out(grid.state, plan, by_server=by_server)
        assert sizes(grid) == [5522, 5521, 5341]


def noting(entries: int) -> tuple[Pace, list[float], list[float]]:
    """A pace with as many entries in each step, however long a fork takes; what forks it is told of, and what moved."""
    forks: list[float] = []
    rests: list[float] = []

    class Noting(Pace):
        def step(self, fork: float) -> int:
            forks.append(fork)
            return super().step(0.0)

        def after(self, seconds: float, entries: float) -> float:
            assert seconds > 0
            rests.append(entries)
            return super().after(seconds, entries)

    return Noting(entries=entries, rest=0.1), forks, rests


def fill(grid: LoopbackGrid) -> None:
    """Put entries into all slots."""
    with cachegrid.connect(grid.url) as client:
        client.cache("still").set_many(dict.fromkeys(range(ENTRIES), "x"))


def test_between_steps_it_rests_according_to_what_they_moved(grid: LoopbackGrid) -> None:
    """Steps have about as many entries as the pace says; after the last one nobody waits."""
    fill(grid)
    in_each_slot = entries_per_slot(Contacts.of_state(grid.state), grid.state.members[2].id)
    pace, _, rests = noting(entries=5)
    carry_out(grid.state, crowd(grid), pace=pace)
    of_one_step = int(5 / in_each_slot)
    sizes_of_steps = [min(of_one_step, total - done) for total in (61, 60) for done in range(0, total, of_one_step)]
    assert len(sizes_of_steps) > 3
    assert rests == pytest.approx([size * in_each_slot for size in sizes_of_steps[:-1]], rel=0.05)


def test_the_pace_is_told_how_long_the_owner_took_to_fork(way: tuple[LoopbackGrid, bool]) -> None:
    """
    Before each step anew, as each step forks: the shortest of three, for one may have waited for a processor.

    Where entries go key by key none does, and steps stay small.
    """
    grid, by_server = way
    fill(grid)
    pace, forks, _ = noting(entries=5)
    with grid.admin(2) as admin:
        taken: dict[str, list[float]] = {"first": [], "second": []}

        def note(_what: str, done: int, _total: int) -> None:
            is_second = done > 61 or len(taken["first"]) > len(forks)  # before its first step
            taken["second" if is_second else "first"].append(int(admin.facts("stats")["latest_fork_usec"]) / 1e6)

        carry_out(grid.state, crowd(grid), pace=pace, progress=note, by_server=by_server)
    assert len(forks) > 3
    if by_server:
        parts = [part[:-1] for part in taken.values()]  # nobody asks after the last step
        assert [min(part[max(0, at - 2) : at + 1]) for part in parts for at in range(len(part))] == forks
    else:
        assert set(forks) == {0.0}


@pytest.mark.parametrize("is_fast", [True, False])
def test_owners_come_and_go_at_the_pace_that_was_asked_for(is_fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Gently, unless somebody is in a hurry."""
    paces: list[Pace] = []

    def note(pace: Pace, seconds: float, entries: float) -> float:
        assert seconds > 0 <= entries
        paces.append(pace)
        return 0.0

    monkeypatch.setattr(Pace, "after", note)
    expected = FAST if is_fast else GENTLE
    with LoopbackGrid(owners=2, replicas=0) as grid:
        add("loopback", 1, root=grid.root, way=Way(is_fast=is_fast))
        assert {expected} == set(paces)
        paces.clear()
        remove("loopback", grid.state.members[0].address, root=grid.root, way=Way(is_fast=is_fast))
        assert {expected} == set(paces)


def test_a_secured_grid_is_no_other(tmp_path: Path) -> None:
    """Its members are reached by TLS, by state and by URL, and entries go from one to the other by it."""
    with LoopbackGrid(server=servers.redis(), tls=make_certificates(tmp_path)) as grid:
        plan = crowd(grid)
        with Load(grid.url).flowing():
            carry_out(grid.state, plan[:1])
            carry_out(Contacts.at_url(grid.url), plan[1:])
        assert sizes(grid) == [5522, 5521, 5341]


def test_what_moved_stays_where_it_is_when_the_grid_is_stopped_and_started() -> None:
    """Of a grid that is kept on disk, with owners that have many ranges: slots and entries are there again."""
    with LoopbackGrid(persist=True) as grid:
        with cachegrid.connect(grid.url) as client:
            client.cache("still").set_many(dict.fromkeys(range(ENTRIES), "x"))
        carry_out(grid.state, crowd(grid))
        before = owned(grid.state)
        assert sorted(map(len, before.values())) == [2, 3, 3]
        stop("loopback", root=grid.root)
        assert owned(grid.restart()) == before
        with cachegrid.connect(grid.url) as client:
            assert len(client.cache("still").get_many(range(ENTRIES))) == ENTRIES


def test_an_owner_that_has_nothing_left_may_forget_how_it_came_to_that(
    grid: LoopbackGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows the new owner of its slots at once, as any server does whose replicas may move, and starts anew."""
    first, second = (grid.state.members[index].id for index in (0, 1))
    contacts, now = Contacts.of_state(grid.state), migration._now

    def now_and_late(admin: Admin, job: migration.Job) -> migration.Job:
        while admin.facts("replication").get("master_link_status") != "up":
            pass
        return now(admin, job)

    monkeypatch.setattr(migration, "_now", now_and_late)
    step = Move(first, second, contacts.members[first].slots)
    migration.move(contacts, step)
    assert slots_of(contacts.again(), second) > {slot for span in step.slots for slot in span}
    assert not contacts.again().members[first].is_owner


def test_a_migration_that_others_cancel_is_begun_again(grid: LoopbackGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice; whoever cancels it more often means it, and is told of."""
    third, first = (grid.state.members[index].id for index in (2, 0))
    contacts, begin, cancelled = Contacts.of_state(grid.state), migration._begun, list[str]()

    def begin_and_cancel(admin: Admin, step: Move) -> migration.Job:
        job = begin(admin, step)
        if len(cancelled) < limit:
            admin.run("CLUSTER", "CANCELSLOTMIGRATIONS")
            cancelled.append(job.name)
        return job

    monkeypatch.setattr(migration, "_begun", begin_and_cancel)
    limit = 2
    migration.move(contacts, Move(third, first, (range(16_000, 16_010),)))
    limit = 5
    with pytest.raises(GridError, match="the server said: cancelled"):
        migration.move(contacts.again(), Move(third, first, (range(16_020, 16_030),)))
    assert len(cancelled) == limit
    assert 16_000 in slots_of(contacts.again(), first)
    assert 16_020 in slots_of(contacts.again(), third)


SCRIPT = """
import sys
from pathlib import Path
from cachegrid.cluster import balance, moving, state
grid = state.load(Path(sys.argv[1]), "loopback")
ids = [member.id for member in grid.members[:3]]
moving.STEP_SLOTS = 64
print("ready", flush=True)
moving.carry_out(grid, balance.moves(moving.owned(grid), ids[:2] if sys.argv[2] == "two" else ids),
    progress=lambda *done: print(*done, flush=True), by_server=sys.argv[3] == "True")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_ends_half_way_leaves_nothing_that_the_next_does_not_put_right(
    way: tuple[LoopbackGrid, bool], number: signal.Signals
) -> None:
    """Whether it could clean up or not: callers see nothing of it, and what it began is finished, or taken back."""
    grid, by_server = way
    words = [sys.executable, "-c", SCRIPT, str(grid.root), "two", str(by_server)]
    with Load(grid.url).flowing():
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout
            next(line for line in process.stdout if line.startswith("slots") and int(line.split()[1]) >= 128)
            process.send_signal(number)
        half = list(handover.half_moved(Contacts.of_state(grid.state)))
        if number == signal.SIGINT:
            assert half == []
            assert not _running(Contacts.of_state(grid.state))
        after = settled(grid.state)
        assert list(handover.half_moved(after)) == []
        assert not _running(after)
        back = moves(after.owned, [member.id for member in grid.state.members[:3]])
        assert back
        carry_out(grid.state, back, by_server=by_server)
    assert sizes(grid) == [5462, 5461, 5461]


def _running(grid: Contacts) -> list[migration.Job]:
    found: list[migration.Job] = []
    for member in grid.owners:
        with grid.open(member) as admin:
            found += [job for job in migration.jobs(admin) if not job.is_over]
    return found


def keys_of_one_slot(count: int) -> list[bytes]:
    """Addresses that are in one slot."""
    return [b"cg:half:{one}%d" % number for number in range(count)]


@contextmanager
def half_way(grid: LoopbackGrid) -> Iterator[HandMove]:
    """A slot of which some entries have been carried over, and some have not; afterwards all are there once."""
    keys = keys_of_one_slot(20)
    with closing(SyncValkeyEngine(parse(grid.url, timeout=10))) as engine:
        engine.open()
        engine.store_many([(key, key, None) for key in keys])
        grid.wait_for(lambda: all(_copied(grid)))
        move = HandMove(grid, keys[0])
        move.begin()
        move.carry(*keys[:10])
        yield move
        assert engine.fetch_many(keys) == keys
    held = [_held(grid, index, move.slot) for index, member in enumerate(grid.members()) if member.up]
    assert sorted(set(held)) in ([0, 20], [20])


def _held(grid: LoopbackGrid, index: int, slot: int) -> int:
    member = grid.members()[index]
    with Contacts.of_state(grid.state).open(member.id) as admin:
        held = admin.run("CLUSTER", "COUNTKEYSINSLOT", slot)
    assert isinstance(held, int)
    return held


def _copied(grid: LoopbackGrid) -> Iterator[bool]:
    return (member.lag_bytes == 0 and member.link_up for member in grid.members())


def _owners_live(grid: LoopbackGrid) -> bool:
    return all(owner.is_up for owner in Contacts.of_state(grid.state).owners if owner.slots)


def test_a_half_moved_slot_comes_to_its_end(way: tuple[LoopbackGrid, bool]) -> None:
    """Where both members live it goes to the new owner."""
    grid, _ = way
    with half_way(grid) as move:
        after = settled(grid.state)
        assert move.slot in slots_of(after, grid.state.members[move.target].id)
        assert list(handover.half_moved(after)) == []


def test_a_slot_that_only_one_side_thinks_half_moved_comes_to_its_end(way: tuple[LoopbackGrid, bool]) -> None:
    """Neither a new owner that waits for nothing, nor an old one that was told too little, is left so."""
    grid, _ = way
    with half_way(grid) as move:
        with grid.admin(move.source) as admin:
            admin.run("CLUSTER", "SETSLOT", move.slot, "STABLE")
        assert len(list(handover.half_moved(Contacts.of_state(grid.state)))) == 1
        after = settled(grid.state)
        assert list(handover.half_moved(after)) == []
        assert move.slot in slots_of(after, grid.state.members[move.target].id)


def test_a_half_moved_slot_whose_new_owner_died_is_whole_again(way: tuple[LoopbackGrid, bool]) -> None:
    """What had been carried over is with the replica that replaced it; the slot is brought together again."""
    grid, _ = way
    with half_way(grid) as move:
        grid.wait_for(lambda: all(_copied(grid)))
        grid.kill(move.target)
        grid.wait_for(lambda: _owners_live(grid), 30)
        after = settled(grid.state)
        assert list(handover.half_moved(after)) == []


def test_a_half_moved_slot_whose_old_owner_died_comes_to_its_end(way: tuple[LoopbackGrid, bool]) -> None:
    """The replica that replaced it gives away what is left, though it may not know of the move."""
    grid, _ = way
    with half_way(grid) as move:
        grid.wait_for(lambda: all(_copied(grid)))
        grid.kill(move.source)
        grid.wait_for(lambda: _owners_live(grid), 30)  # but for the new owner, which takes the old one for it still
        after = settled(grid.state)
        assert list(handover.half_moved(after)) == []
        assert move.slot in slots_of(after, grid.state.members[move.target].id)


def slots_of(grid: Contacts, member: str) -> set[int]:
    """The slots that a member owns."""
    return {slot for span in grid.members[member].slots for slot in span}


def test_a_target_that_dies_is_named_and_the_rest_goes_on_when_run_again(way: tuple[LoopbackGrid, bool]) -> None:
    """What had moved to it is with its replica, and nothing is half-moved."""
    grid, by_server = way
    plan = crowd(grid)

    def kill(_what: str, done: int, _total: int) -> None:
        if done == plan[0].size and not dead:
            dead.append(grid.kill(1).address)

    dead: list[str] = []
    with Load(grid.url).flowing():
        with pytest.raises(
            EngineError, match="slots .* did not move from .*; see to these members, and run it again"
        ) as met:
            carry_out(grid.state, plan, progress=kill, by_server=by_server)
        assert dead[0] in str(met.value)
        if grid.state.version.startswith("redis"):
            # Its epoch was raised a moment before it died, and a replica that did not hear of it gets no votes there.
            heal("loopback", root=grid.root)
        grid.wait_whole(30)
        after = settled(grid.state)
        assert list(handover.half_moved(after)) == []
        carry_out(
            after, moves(after.owned, [member.id for member in after.owners if member.is_up]), by_server=by_server
        )
        assert sizes(grid)[:3] == [5462, 5461, 5461]


def test_a_target_that_stands_still_is_given_up(grid: LoopbackGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """The move is cancelled, its slots stay where they were, and nobody waits for minutes."""
    monkeypatch.setattr(migration, "SILENCE", 0.0)
    monkeypatch.setattr(migration, "CHECK_EVERY", 0.0)
    third, first = (grid.state.members[index].id for index in (2, 0))
    contacts = Contacts.of_state(grid.state)
    step = Move(third, first, (range(16_000, 16_010),))
    grid.pause(0)
    try:
        with pytest.raises(EngineError, match="does not answer"):
            migration.move(contacts, step)
    finally:
        grid.resume(0)
    with contacts.open(third) as admin:
        assert [job.state for job in migration.jobs(admin)] == ["cancelled"]
    grid.wait_whole()
    assert sum(map(len, owned(grid.state).values())) == 3


def test_a_target_without_room_says_so(way: tuple[LoopbackGrid, bool]) -> None:
    """Servers that refuse what they have no memory for leave the slots with their owner."""
    grid, by_server = way
    plan = crowd(grid)
    with cachegrid.connect(grid.url) as client:
        client.cache("still").set_many(dict.fromkeys(range(ENTRIES), "x" * 100))
    for index in (0, 1):
        with grid.admin(index) as admin:
            admin.run("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction")
    with pytest.raises(CacheError, match="did not move from .* to .*OOM"):
        carry_out(grid.state, plan, by_server=by_server)
    for index in (0, 1):
        with grid.admin(index) as admin:
            admin.run("CONFIG", "SET", "maxmemory", "0")
    carry_out(grid.state, plan, by_server=by_server)
    with cachegrid.connect(grid.url) as client:
        assert len(client.cache("still").get_many(range(ENTRIES))) == ENTRIES
    assert sizes(grid) == [5522, 5521, 5341]


def test_slots_that_are_there_already_are_told_to_all_again(grid: LoopbackGrid) -> None:
    """A run that was cut short may have left some who have not heard of it: so the next one's plan names them again."""
    contacts = Contacts.of_state(grid.state)
    first, third = (grid.state.members[index].id for index in (0, 2))
    start = contacts.of(third).slots[0].start
    step = Move(third, first, (range(start, start + 3),))
    for _ in range(2):  # as it was seen before the first
        handover.move(contacts, step)
    assert sizes(grid) == [5464, 5461, 5459]


def test_plans_that_are_out_of_date_are_refused(grid: LoopbackGrid) -> None:
    """Slots of others do not move, nor anything from or to a replica; what is there already is passed over."""
    first, second, third, replica = (grid.state.members[index].id for index in (0, 1, 2, 3))
    start = Contacts.of_state(grid.state).of(third).slots[0].start
    with pytest.raises(GridError, match=f"slots {start}-{start + 4} are owned by others than planned"):
        carry_out(grid.state, [Move(second, first, (range(start, start + 5),))])
    with pytest.raises(GridError, match="is no owner any more: make a new plan"):
        carry_out(grid.state, [Move(third, replica, (range(start, start + 5),))])
    there = [Move(second, third, (range(start, start + 5),))]
    carry_out(grid.state, there)
    assert sizes(grid) == [5462, 5461, 5461]


def test_many_ranges_are_told_in_short() -> None:
    """A message stays readable."""
    assert (
        span_text([range(start, start + 2) for start in range(0, 60, 10)])
        == "0-1, 10-11, 20-21, 30-31 and 2 more ranges"
    )
