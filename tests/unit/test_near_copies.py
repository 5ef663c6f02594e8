"""Copies in this process: what may be kept, and what goes when there is no more room."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.near.copies import COPY_OVERHEAD, ENDLESS, GONE, Copies, Copy, Fill, Guard

ROOM = 10 * (COPY_OVERHEAD + 100)


def made(table: dict[Any, Copy], key: str, size: int = 100) -> Copy:
    """A copy of an entry whose value is its key."""
    return Copy(table, key, key, raw=None, guard=Guard(), ends=ENDLESS, size=size)


def kept(copies: Copies, table: dict[Any, Copy], key: str, size: int = 100) -> bool:
    """Keep a copy of what was asked for just now."""
    return not copies.keep([Fill(made(table, key, size), key.encode(), copies.token(key.encode()))])


def dropped(copies: Copies, table: dict[Any, Copy], key: str) -> None:
    """Forget it as who brings news does."""
    copies.spoil(key.encode())
    copies.drop(table, key)


def test_a_copy_is_found_by_its_key() -> None:
    """What was kept stands in its table."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    assert kept(copies, table, "a")
    assert "a" == table["a"].value
    assert (1, 100 + COPY_OVERHEAD) == (copies.entries, copies.size)


def test_what_changed_since_it_was_asked_for_is_not_kept() -> None:
    """The answer may be older than the news."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    token = copies.token(b"a")
    dropped(copies, table, "a")
    assert [b"a"] == copies.keep([Fill(made(table, "a"), b"a", token)])
    assert {} == table


def test_nothing_that_was_on_its_way_is_kept_after_all_was_dropped() -> None:
    """A flush, or an owner that was lost, concerns every address."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    kept(copies, table, "b")
    token = copies.token(b"a")
    copies.drop_all(table)
    assert [b"a"] == copies.keep([Fill(made(table, "a"), b"a", token)])
    assert ({}, 0, 0) == (table, copies.entries, copies.size)


def test_a_dropped_copy_lets_go_of_its_value() -> None:
    """It may stand in a queue for a while, and must not hold a large value; whoever looks at its end sees that."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    kept(copies, table, "a")
    copy = table["a"]
    dropped(copies, table, "a")
    assert (GONE, None, -ENDLESS) == (copy.value, copy.raw, copy.ends)


def test_a_copy_of_more_than_a_tenth_of_the_room_is_not_kept() -> None:
    """It would push out too much."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    assert not kept(copies, table, "a", ROOM // 10 + 1)


def test_what_is_asked_for_again_stays_when_a_scan_goes_through() -> None:
    """Ten hot copies, then a thousand that are read once: the hot ones are there still."""
    copies, table = Copies(max_bytes=20 * (COPY_OVERHEAD + 100), max_entries=100), dict[Any, Copy]()
    for key in "abcdefghij":
        kept(copies, table, key)
        table[key].is_hot = True
    for number in range(1000):
        kept(copies, table, f"scan {number}")
    assert set("abcdefghij") <= set(table)


def test_what_was_pushed_out_and_comes_again_has_proved_itself() -> None:
    """It is remembered for a while by its hash, and does not have to pass the small queue again."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    for number in range(12):
        kept(copies, table, f"{number}")
    gone = next(f"{number}" for number in range(12) if f"{number}" not in table)
    kept(copies, table, gone)
    assert not table[gone].is_new


def test_the_queues_hold_no_more_dropped_copies_than_living_ones() -> None:
    """Entries that change all the time must not fill the memory with what is left of their copies."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    for _ in range(5000):
        kept(copies, table, "a")
        dropped(copies, table, "a")
    assert len(copies._small) + len(copies._main) < 300


def look_inside(copies: Copies, table: dict[Any, Copy]) -> None:
    """Bytes and entries are those of the only table, and inside the bounds."""
    assert len(table) == copies.entries <= copies._max_entries
    assert sum(copy.size for copy in table.values()) == copies.size <= copies._max_bytes
    standing = [copy for copy in [*copies._small, *copies._main] if copy.size]
    assert len(table) == len(standing)
    new = [copy for copy in standing if copy.is_new]
    assert (len(new), sum(copy.size for copy in new)) == (copies._small_entries, copies._small_bytes)
    assert 0 <= copies._dead


STEPS = st.lists(st.tuples(st.sampled_from(["keep", "drop", "hit", "stale"]), st.integers(0, 30), st.integers(0, 400)))


@given(STEPS)
def test_the_counts_are_those_of_what_is_kept(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens in whatever order: bytes and entries are those of the table, and inside the bounds."""
    copies, table = Copies(max_bytes=ROOM, max_entries=7), dict[Any, Copy]()
    token = copies.token(b"1")
    for what, number, size in steps:
        key = f"{number}"
        if what == "keep":
            kept(copies, table, key, size)
        elif what == "drop":
            dropped(copies, table, key)
        elif what == "stale":
            copies.keep([Fill(made(table, "1"), b"1", token)])
        elif key in table:
            table[key].is_hot = True
        look_inside(copies, table)


def test_a_zipf_trace_with_scans_hits_no_less_often_than_with_an_lru() -> None:
    """The same trace, and room for the same number of copies."""
    room = 200
    ours, lru = hits_of(Copies(max_bytes=room * (COPY_OVERHEAD + 100), max_entries=2000), room)
    assert ours >= lru


def hits_of(copies: Copies, room: int) -> tuple[int, int]:
    """How often copies, and an LRU with room for so many, have what is asked for."""
    numbers = random.Random(1)
    names = 2000
    weights = [1 / (rank + 1) ** 0.9 for rank in range(names)]
    trace = [f"{number}" for number in numbers.choices(range(names), weights, k=20_000)]
    trace[10_000:10_000] = [f"scan {number}" for number in range(2000)]
    lru: dict[str, None] = {}
    lru_hits = hits = 0
    table = dict[Any, Copy]()
    for key in trace:
        lru_hits += key in lru
        lru.pop(key, None)
        lru[key] = None
        if len(lru) > room:
            del lru[next(iter(lru))]
        if key in table:
            hits += 1
            table[key].is_hot = True
        else:
            kept(copies, table, key)
    return hits, lru_hits


@pytest.mark.parametrize("is_all", [False, True])
@pytest.mark.parametrize("at", ["_remove", "_enter", "_make_room", "spoil"])
def test_news_in_the_middle_of_keeping_is_not_lost(at: str, is_all: bool) -> None:  # noqa: FBT001 - the two kinds of news
    """Another thread hears, somewhere in the middle, that the entry changed: it never waits."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    step: Callable[..., None] = getattr(copies, at)
    found: list[bool] = []

    def hear() -> None:
        copies._changes = [-1] * len(copies._changes) if at == "spoil" else copies._changes
        if is_all:
            copies.spoil_all()
        elif at != "spoil":
            copies.spoil(b"a")
        found.append("a" in table)
        copies.drop(table, "a")

    def meanwhile(*args: Any) -> None:
        if not found:
            thread = threading.Thread(target=hear)
            thread.start()
            thread.join(10)
            assert not thread.is_alive(), "whoever brings news waits"
        step(*args)

    setattr(copies, at, meanwhile)
    kept(copies, table, "a")
    assert {} == table
    assert 0 == copies.size == copies.entries
    look_inside(copies, table)


def test_nobody_is_given_a_copy_before_its_token_was_looked_at_again() -> None:
    """News that came between the first look and the table has found nothing there."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    enter, given = copies._enter, []

    def meanwhile(copy: Copy) -> None:
        given.append(table["a"].ends)
        enter(copy)

    copies._enter = meanwhile  # type: ignore[method-assign]
    kept(copies, table, "a")
    assert [-ENDLESS] == given
    assert ENDLESS == table["a"].ends


def test_an_interrupt_in_the_middle_leaves_a_cache_that_keeps() -> None:
    """A time limit or Ctrl-C that somebody catches may be raised anywhere."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    enter = copies._enter

    def interrupted(copy: Copy) -> None:
        raise KeyboardInterrupt

    copies._enter = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        kept(copies, table, "a")
    copies._enter = enter  # type: ignore[method-assign]
    assert kept(copies, table, "b")


class TestFullByCount:
    """Where there is room for so many copies, and for far more bytes."""

    def test_a_zipf_trace_with_scans_hits_no_less_often_than_with_an_lru(self) -> None:
        """The small queue is one by count, too."""
        ours, lru = hits_of(Copies(max_bytes=10**9, max_entries=200), 200)
        assert ours >= lru

    def test_it_is_decided_as_where_the_bytes_are_full(self) -> None:
        """All copies are of one size here: what stays is the same."""
        by_bytes = hits_of(Copies(max_bytes=200 * (COPY_OVERHEAD + 100), max_entries=10**9), 200)
        assert by_bytes == hits_of(Copies(max_bytes=10**9, max_entries=200), 200)

    def test_what_is_asked_for_again_stays_when_a_scan_goes_through(self) -> None:
        """Ten hot copies, then a thousand that are read once."""
        copies, table = Copies(max_bytes=10**9, max_entries=20), dict[Any, Copy]()
        for key in "abcdefghij":
            kept(copies, table, key)
            table[key].is_hot = True
        for number in range(1000):
            kept(copies, table, f"scan {number}")
        assert set("abcdefghij") <= set(table)
        assert 20 == copies.entries


def test_what_is_new_begins_in_the_small_queue() -> None:
    """And comes into the main one when it was asked for again."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    kept(copies, table, "a")
    assert table["a"].is_new
    table["a"].is_hot = True
    for number in range(20):
        kept(copies, table, f"{number}")
    assert not table["a"].is_new
    assert not table["a"].is_hot


def test_a_hot_copy_in_the_main_queue_has_another_turn() -> None:
    """One that nobody has asked for since goes before it."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    for key in "abcdefghij":
        kept(copies, table, key)
        table[key].is_hot = True
    kept(copies, table, "k")  # all pass into the main queue, and "a" goes
    assert "a" not in table
    table["b"].is_hot = True
    table["k"].is_hot = True
    kept(copies, table, "l")
    assert ("b" in table, "c" in table) == (True, False)


def test_a_dropped_copy_lets_go_of_its_key() -> None:
    """Keys may be long; whoever evicts or replaces it does the same."""
    copies, table = Copies(max_bytes=ROOM, max_entries=2), dict[Any, Copy]()
    gone = []
    for key in "abc":
        kept(copies, table, key)
        gone.append(table[key])
    kept(copies, table, "c")
    dropped(copies, table, "c")
    dropped(copies, table, "b")
    assert ({}, 0) == (table, copies.entries)
    assert [(None, GONE, None, 0)] * 3 == [(copy.key, copy.value, copy.raw, copy.size) for copy in gone]


def test_dropping_one_of_two_tables_leaves_the_other() -> None:
    """With the right counts."""
    copies, one, other = Copies(max_bytes=10**9, max_entries=1000), dict[Any, Copy](), dict[Any, Copy]()
    for number in range(50):
        kept(copies, one, f"{number}")
        kept(copies, other, f"other {number}")
    copies.drop_all(one)
    assert (0, 50) == (len(one), len(other))
    look_inside(copies, other)
    copies.drop_all(other)
    assert ({}, 0, 0) == (other, copies.entries, copies.size)


ROLES = ["keep", "keep the same", "drop", "drop the same", "drop all", "spoil"]


@pytest.mark.parametrize("at", ["_enter", "_remove", "_forget", "_make_room", "spoil", "_evict"])
@pytest.mark.parametrize("what", ROLES)
@pytest.mark.parametrize("comes", ["before", "after"])
def test_a_handler_that_uses_the_cache_in_the_middle_harms_nothing(at: str, what: str, comes: str) -> None:
    """A signal handler or finalizer runs in the thread that has the lock: it does not wait, and counts stay right."""
    copies, table = Copies(max_bytes=ROOM, max_entries=4), dict[Any, Copy]()
    for key in "abcd":
        kept(copies, table, key)
    table["b"].is_hot = True
    handlers: dict[str, Callable[[], object]] = {
        "keep": lambda: kept(copies, table, "handler"),
        "keep the same": lambda: kept(copies, table, "e"),
        "drop": lambda: dropped(copies, table, "c"),
        "drop the same": lambda: dropped(copies, table, "e"),
        "drop all": lambda: copies.drop_all(table),
        "spoil": lambda: copies.spoil(b"e"),
    }
    step: Callable[..., None] = getattr(copies, at)
    calls: list[str] = []

    def interrupted(*args: Any) -> None:
        calls.append(at)
        if comes == "after":
            step(*args)
        if len(calls) == 1:
            handlers[what]()
        if comes == "before":
            step(*args)

    setattr(copies, at, interrupted)

    def work() -> None:
        kept(copies, table, "e")
        dropped(copies, table, "a")

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive(), "it waits for itself"
    assert calls
    delattr(copies, at)
    kept(copies, table, "f")
    look_inside(copies, table)


@pytest.mark.parametrize("at", ["_remove", "_enter", "_make_room"])
@pytest.mark.parametrize("is_found", [False, True])
def test_what_a_handler_learns_in_the_middle_of_keeping_holds(at: str, is_found: bool) -> None:  # noqa: FBT001 - a case
    """It wrote the entry whose older answer is just being kept; or read it, and what it read is not kept."""
    copies, table = Copies(max_bytes=ROOM, max_entries=4), dict[Any, Copy]()
    step: Callable[..., None] = getattr(copies, at)
    refused: list[bool] = []

    def interrupted(*args: Any) -> None:
        if not refused:
            refused.append(not kept(copies, table, "other"))
            if is_found or at != "_remove":
                dropped(copies, table, "a")
            else:
                copies.spoil(b"a")
        step(*args)

    setattr(copies, at, interrupted)
    assert kept(copies, table, "a") is (at == "_make_room")  # it had been kept by then, and is gone again
    assert [True] == refused
    assert {} == table
    assert 0 == copies.size == copies.entries
    look_inside(copies, table)


class _Loud:
    """A value whose end uses the cache."""

    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end

    def __del__(self) -> None:
        self._end()


def test_a_finalizer_of_what_is_dropped_may_use_the_cache() -> None:
    """It runs under the lock, since that is where copies let go of their values."""
    copies, table = Copies(max_bytes=ROOM, max_entries=4), dict[Any, Copy]()
    ended: list[str] = []

    def end(key: str) -> None:
        ended.append(key)
        kept(copies, table, f"after {key}")
        dropped(copies, table, "b")

    def work() -> None:
        for key in "abcdefgh":
            copy = made(table, key)
            copy.value = _Loud(partial(end, key))
            copies.keep([Fill(copy, key.encode(), copies.token(key.encode()))])
            del copy
        dropped(copies, table, "h")
        copies.drop_all(table)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive(), "it waits for itself"
    assert list("abcdefgh") == sorted(ended)
    look_inside(copies, table)
