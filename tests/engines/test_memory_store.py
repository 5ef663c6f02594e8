"""What the memory engine's store does with time and space, by a clock that obeys."""

from __future__ import annotations

import pytest

from cachegrid._core.frame import pack, unpack
from cachegrid.engines.memory import Store
from cachegrid.engines.memory.store import _OVERHEAD
from cachegrid.errors import GridFull, NotANumber
from cachegrid.testing import FakeClock

MS = 0.001


@pytest.fixture
def clock() -> FakeClock:
    """A clock that starts in 2023."""
    return FakeClock()


def store_on(clock: FakeClock, max_bytes: int = 0) -> Store:
    """A store that has only this clock."""
    return Store(max_bytes=max_bytes, clock=clock.monotonic_ns, wall=clock.time_ns)


@pytest.fixture
def store(clock: FakeClock) -> Store:
    """A store without bounds."""
    return store_on(clock)


def frame_at(clock: FakeClock, *, ttl: int | None = None, idle: int | None = None) -> bytes:
    """A frame that is created now."""
    return pack(b"payload", codec=1, created=clock.time_ns() // 1_000_000, version=7, ttl=ttl, idle=idle)


# Time.


@pytest.mark.parametrize("ttl", [1, 2, 999, 1000, 86_400_000])
def test_an_entry_ends_at_its_millisecond(clock: FakeClock, store: Store, ttl: int) -> None:
    """
    An entry is there one nanosecond before its end, and gone at it, for every way of looking.
    """
    clock.advance(0.000_000_7)  # entries do not begin at whole milliseconds
    for address in (b"fetch", b"many", b"inspect", b"idle", b"absent", b"touch", b"drop", b"list"):
        store.store(address, b"x", ttl)
    clock.advance(ttl * MS - 1e-9)
    assert b"x" == store.fetch(b"fetch")
    assert (b"x", 1) == store.inspect(b"inspect")
    assert 8 == len(store.present(store.listed(b"")))
    clock.advance(1e-9)
    assert store.fetch(b"fetch") is None
    assert [None] == store.fetch_many([b"many"])
    assert store.inspect(b"inspect") is None
    assert store.fetch_idle(b"idle", 1000) is None
    assert store.store_if_absent(b"absent", b"y", None) is True
    assert store.touch(b"touch", 1000, 0) is False
    assert store.drop(b"drop") is False
    assert [b"absent"] == store.present(store.listed(b""))


def test_the_wall_clock_ends_nothing(clock: FakeClock, store: Store) -> None:
    """
    Entries and leases do not care where an administrator puts the hands of the clock.
    """
    store.store(b"a", b"x", 1000)
    store.acquire(b"lease", b"mine", 1000)
    clock.jump(+3600)
    assert b"x" == store.fetch(b"a")
    assert store.acquire(b"lease", b"yours", 1000) is None
    clock.jump(-7200)
    clock.advance(1)
    assert store.fetch(b"a") is None
    assert store.acquire(b"lease", b"yours", 1000) is not None


def test_reads_keep_an_idle_entry(clock: FakeClock, store: Store) -> None:
    """
    An entry that is read in time goes on, up to its absolute end, and not a millisecond longer.
    """
    frame = frame_at(clock, idle=100, ttl=250)
    store.store(b"a", frame, 100)
    for _ in range(4):
        clock.advance(0.06)
        assert frame == store.fetch_idle(b"a", 1)
    assert (frame, 10) == store.inspect(b"a")
    clock.advance(0.01)
    assert store.fetch_idle(b"a", 1) is None


def test_what_its_header_calls_ended_is_not_read(clock: FakeClock, store: Store) -> None:
    """
    A frame that comes with more time than its header has left is gone at the header's end.
    """
    store.store(b"a", frame_at(clock, idle=500, ttl=100), None)
    clock.advance(0.1)
    assert store.fetch_idle(b"a", 1) is None
    assert store.fetch(b"a") is None


def test_an_idle_time_that_ran_out_is_not_restored_by_a_touch(clock: FakeClock, store: Store) -> None:
    """
    A touched entry ends when its idle time does, if that is sooner than its new time to live.
    """
    store.store(b"a", frame_at(clock, idle=100, ttl=1000), 100)
    clock.advance(0.04)
    assert store.touch(b"a", 5000, clock.time_ns() // 1_000_000) is True
    touched = store.fetch(b"a") or b""
    assert 5040 == unpack(touched).ttl
    assert (touched, 60) == store.inspect(b"a")


def test_a_touch_behind_the_absolute_end_gives_the_idle_time(clock: FakeClock, store: Store) -> None:
    """
    Where the absolute end came first, the entry has at most its idle time from the touch on.
    """
    store.store(b"a", frame_at(clock, idle=100, ttl=50), 50)
    clock.advance(0.02)
    store.touch(b"a", 5000, clock.time_ns() // 1_000_000)
    assert 100 == (store.inspect(b"a") or (b"", 0))[1]


def test_a_touch_from_a_slow_clock_is_no_negative_time(clock: FakeClock, store: Store) -> None:
    """
    A header says no less than 0 ms, also if its writer's clock runs ahead of that of the caller.
    """
    store.store(b"a", frame_at(clock), None)
    store.touch(b"a", 10, clock.time_ns() // 1_000_000 - 60_000)
    assert 0 == unpack(store.fetch(b"a") or b"").ttl


# Space.


def test_ended_entries_are_removed_though_nobody_reads_them(clock: FakeClock, store: Store) -> None:
    """
    A store that is only written to holds what lives, not all that ever did.
    """
    for number in range(20_000):
        store.store(b"%d" % number, b"x", 10)
        clock.advance(MS)
        assert len(store._entries) <= 11
    assert len(store._deadlines) <= 11


@pytest.mark.parametrize("ttl", [None, 1_000_000])
def test_overwriting_takes_no_memory(clock: FakeClock, store: Store, ttl: int | None) -> None:
    """
    Marks of the same entries do not pile up, whether they are written, read, touched or dropped.
    """
    for number in range(20_000):
        address = b"%d" % (number % 10)
        store.store(address, b"x", ttl or 1_000_000 - number)
        store.fetch_idle(address, 500_000 - number)
        if number % 3 == 0:
            store.drop(address)
    assert len(store._deadlines) <= 2 * 10 + 1024


def test_members_counts_only_what_is_there(clock: FakeClock, store: Store) -> None:
    """
    Looking at the members removes all that has ended, and counts entries, bytes, hits and misses.
    """
    for number in range(100):
        store.store(b"%03d" % number, b"x" * 100, 10 if number % 2 else None)
    store.fetch(b"000")
    clock.advance(0.01)
    store.fetch(b"001")
    (member,) = store.members()
    assert (50, 50 * (_OVERHEAD + 103), 1, 1) == (member.entries, member.memory_bytes, member.hits, member.misses)


def test_a_full_store_evicts_what_was_unused_for_longest(clock: FakeClock) -> None:
    """
    Reading, storing, counting and touching an idle time use an entry; looking at it does not.
    """
    store = store_on(clock, max_bytes=5 * (_OVERHEAD + 2))
    for name in b"abcde":
        store.store(bytes([name]), b"1", None)
    store.fetch(b"a")
    store.add(b"b", 1, 0, None)
    store.fetch_idle(b"c", 60_000)
    store.inspect(b"d")
    store.store(b"f", b"1", None)
    store.store(b"g", b"1", None)
    assert {b"a", b"b", b"c", b"f", b"g"} == set(store.listed(b""))


def test_a_full_store_first_removes_what_has_ended(clock: FakeClock) -> None:
    """
    Nothing that lives is evicted for something while dead entries take its place.
    """
    store = store_on(clock, max_bytes=3 * (_OVERHEAD + 2))
    store.store(b"a", b"1", None)
    store.store(b"b", b"1", 10)
    store.store(b"c", b"1", None)
    store.fetch(b"b")
    clock.advance(0.01)
    store.store(b"d", b"1", None)
    assert [b"a", b"c", b"d"] == store.listed(b"")


def test_a_large_entry_evicts_as_many_as_it_takes(clock: FakeClock) -> None:
    """
    The bytes of addresses and frames count, and the bound holds after every write.
    """
    store = store_on(clock, max_bytes=100_000)
    for number in range(1000):
        store.store(b"%d" % number, b"x" * (number * 37 % 5000), None)
        assert store.members()[0].memory_bytes <= 100_000
    store.store(b"large", b"x" * (100_000 - _OVERHEAD - 5), None)
    assert [b"large"] == store.listed(b"")


def test_what_cannot_fit_is_refused(clock: FakeClock) -> None:
    """
    An entry larger than the whole grid raises GridFull, and what was there stays.
    """
    store = store_on(clock, max_bytes=1000)
    store.store(b"a", b"old", None)
    with pytest.raises(GridFull, match="1,000"):
        store.store(b"a", b"x" * 1001, None)
    assert b"old" == store.fetch(b"a")


def test_bytes_are_given_back(clock: FakeClock, store: Store) -> None:
    """
    After everything has gone, in whatever way, no byte is counted.
    """
    store.store(b"a", b"x" * 50, None)
    store.store(b"a", b"x", 5)
    store.add(b"b", 10**15, 0, 5)
    store.store_if_absent(b"c", b"xxx", None)
    store.drop_many([b"c", b"d"])
    clock.advance(0.01)
    assert (0, 0) == (store.members()[0].entries, store.members()[0].memory_bytes)


# Leases, epochs, counts.


def test_ended_leases_are_forgotten(clock: FakeClock, store: Store) -> None:
    """
    Leases on ever new names take no memory for ever.
    """
    for number in range(10_000):
        store.acquire(b"%d" % number, b"me", 10)
        clock.advance(MS)
    assert len(store._leases) <= 64


def test_numbers_grow_although_the_clock_goes_back(clock: FakeClock, store: Store) -> None:
    """
    Epochs and fencing numbers come from the wall clock, and go on counting where that goes back.
    """
    now = clock.time_ns() // 1_000_000
    assert now == store.epoch(b"cache")
    assert now == store.acquire(b"lease", b"mine", 1000)
    clock.jump(-3600)
    assert now + 1 == store.raise_epoch(b"cache")
    store.release(b"lease", b"mine")
    assert now + 1 == store.acquire(b"lease", b"mine", 1000)
    clock.jump(7200)
    assert now + 3_600_000 == store.raise_epoch(b"cache")
    assert 2 == store.doubt


def test_what_is_not_counted_says_why(store: Store) -> None:
    """
    The error names the address, and what stood in the way.
    """
    store.store(b"a", b"12 apples", None)
    with pytest.raises(NotANumber, match="12 apples"):
        store.add(b"a", 1, 0, None)
    with pytest.raises(NotANumber, match="64 bits"):
        store.add(b"b", 1, 2**63 - 1, None)
