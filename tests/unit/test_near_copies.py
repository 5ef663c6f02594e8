"""Copies in this process: what may be kept, and what goes when there is no more room."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.near.copies import COPY_OVERHEAD, ENDLESS, Copies, Copy, Fill, Guard

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
    assert (1, 100 + COPY_OVERHEAD) == (copies.entries, copies.bytes)


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
    assert ({}, 0, 0) == (table, copies.entries, copies.bytes)


def test_a_dropped_copy_lets_go_of_its_value() -> None:
    """It may stand in a queue for a while, and must not hold a large value; whoever looks at its end sees that."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    kept(copies, table, "a")
    copy = table["a"]
    dropped(copies, table, "a")
    assert (None, -ENDLESS) == (copy.value, copy.ends)


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
        assert len(table) == copies.entries <= 7
        assert sum(copy.size for copy in table.values()) == copies.bytes <= ROOM
        standing = [copy for copy in [*copies._small, *copies._main] if copy.size]
        assert len(table) == len(standing)
        assert sum(copy.size for copy in standing if copy.is_new) == copies._small_bytes


def test_a_zipf_trace_with_scans_hits_no_less_often_than_with_an_lru() -> None:
    """The same trace, and room for the same number of copies."""
    numbers = random.Random(1)
    names, room = 2000, 200
    weights = [1 / (rank + 1) ** 0.9 for rank in range(names)]
    trace = [f"{number}" for number in numbers.choices(range(names), weights, k=20_000)]
    trace[10_000:10_000] = [f"scan {number}" for number in range(2000)]
    lru: dict[str, None] = {}
    lru_hits = hits = 0
    copies, table = Copies(max_bytes=room * (COPY_OVERHEAD + 100), max_entries=names), dict[Any, Copy]()
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
    assert hits >= lru_hits


class _Watched:
    """A lock that says when somebody has to wait for it."""

    def __init__(self) -> None:
        self._lock, self.is_awaited = threading.Lock(), threading.Event()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.is_awaited.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("is_all", [False, True])
def test_news_in_the_middle_of_keeping_is_not_lost(is_all: bool) -> None:  # noqa: FBT001 - the two kinds of news
    """The token was looked at, the copy is not in its table yet, and another thread hears that the entry changed."""
    copies, table = Copies(max_bytes=ROOM, max_entries=10), dict[Any, Copy]()
    lock = copies._lock = _Watched()  # type: ignore[assignment]

    def hear() -> None:
        if is_all:
            copies.spoil_all()
        else:
            copies.spoil(b"a")
        if "a" in table:
            dropped(copies, table, "a")
        lock.is_awaited.set()

    thread = threading.Thread(target=hear)
    remove = copies._remove

    def meanwhile(copy: Copy | None) -> None:
        if thread.ident is None:
            thread.start()
            lock.is_awaited.wait()
        remove(copy)

    copies._remove = meanwhile  # type: ignore[method-assign]
    kept(copies, table, "a")
    thread.join()
    assert {} == table
