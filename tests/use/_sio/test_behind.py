# Generated from tests/use/_aio/test_behind.py by tools/colour.py. Edit that file, then run `make colour`.
"""Writing behind: nothing is lost but by a crash, keys keep their order, and no more waits than there is room for."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid import NOTHING, through
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import BacklogFull, ChangesLost, EngineError, ValueRefused
from cachegrid.use._sio import behind
from cachegrid.use._sio.through import SyncThrough
from tests.flow._sio.flow import SyncFlow
from tests.flow.waits._sio import begin, other_colour, until
from tests.use._sio.source import SyncSource


def lazily(cache: SyncCache, source: SyncSource, **settings: Any) -> SyncThrough:
    """A cache that writes when it is told to, or has a batch together."""
    return through(cache, load_many=source.load_many, writer=source.write, **{"behind": "1h", **settings})


def test_changes_are_written_together_and_once(cache: SyncCache, source: SyncSource) -> None:
    """
    Of each key the newest, in batches; the cache has them at once.
    """
    stock = lazily(cache, source)
    stock.set("a", 1)
    stock.set_many({"a": 2, "b": 3})
    stock.delete("c")
    assert ({}, {"a": 2, "b": 3}) == (source.rows, cache.get_many(["a", "b"]))
    before = stock.stats()
    assert (3, 1, 0) == (before.pending, before.merged, before.written)
    assert before.oldest > 0
    assert stock.flush()
    assert [{"a": 2, "b": 3, "c": NOTHING}] == source.writes
    after = stock.stats()
    assert (0, 3, 0.0) == (after.pending, after.written, after.oldest)
    assert stock.flush()


def test_changes_are_written_by_themselves(cache: SyncCache, source: SyncSource) -> None:
    """
    So long after the oldest, or as soon as there is a batch of them.
    """

    def is_written() -> bool:
        return len(source.rows) >= 2

    lazily(cache, source, behind="10ms").set_many({1: 1, 2: 2})
    until(is_written)
    source.rows.clear()
    lazily(cache, source, batch=2).set_many({3: 3, 4: 4, 5: 5})
    until(is_written)


def test_keys_keep_their_order(cache: SyncCache, flow: SyncFlow) -> None:
    """
    What comes while its key is being written, is written next.
    """
    source = SyncSource(flow.gate())
    stock = lazily(cache, source, batch=1)
    stock.set("a", 1)
    source.gate.reached()
    stock.set("a", 2)
    stock.delete("b")
    assert (3, 2) == (stock.stats().pending, stock.get("a"))
    source.gate.open()
    assert stock.flush()
    assert [{"a": 1}, {"a": 2}, {"b": NOTHING}] == source.writes


def test_what_fails_is_written_later(cache: SyncCache, source: SyncSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Again and again, unless a newer change took its place.
    """
    monkeypatch.setattr(behind, "_FIRST_PAUSE", 0.001)
    stock = lazily(cache, source)
    source.failures = 5
    stock.set_many({"a": 1, "b": 2})
    assert stock.flush()
    assert ({"a": 1, "b": 2}, 0, 2) == (source.rows, stock.stats().pending, stock.stats().written)
    assert 2 < stock.stats().retried < 5


def test_what_can_never_be_written_is_given_up(
    cache: SyncCache, source: SyncSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    After so many tries, if that was said; it holds up no other, and the cache does not keep it.
    """
    monkeypatch.setattr(behind, "_FIRST_PAUSE", 0.001)
    stock = lazily(cache, source, retries=1)
    source.refused = {"bad"}
    stock.set_many({"a": 1, "bad": 2, "b": 3})
    assert stock.flush()
    assert ({"a": 1, "b": 3}, 1) == (source.rows, stock.stats().failed)
    assert {"a": 1, "b": 3} == cache.get_many(["a", "bad", "b"])


def test_who_finds_no_room_waits_for_it(cache: SyncCache, flow: SyncFlow) -> None:
    """
    A while, then it is an error, and nothing was changed.
    """
    source = SyncSource(flow.gate())
    hasty = lazily(cache, source, queue=2, timeout="30ms")
    hasty.set_many({1: 1, 2: 2})
    with pytest.raises(BacklogFull, match="2 changes waiting to be written, and there was no room for 1 more"):
        hasty.set(3, 3)
    assert None is cache.get(3)
    patient = lazily(cache, source, queue=1)
    patient.set(4, 4)
    waiting = begin(patient.set, 5, 5)
    source.gate.reached()
    source.gate.open()
    waiting.result()
    assert [True, True] == [one.flush() for one in (hasty, patient)]
    assert {1: 1, 2: 2, 4: 4, 5: 5} == source.rows


def test_more_than_there_is_room_for_goes_alone(cache: SyncCache, source: SyncSource) -> None:
    """
    It would never find room.
    """
    stock = lazily(cache, source, queue=2)
    stock.set_many({number: number for number in range(5)})
    assert stock.flush()
    assert 5 == len(source.rows)


def test_to_close_the_grid_writes_what_is_left(flow: SyncFlow, source: SyncSource) -> None:
    """
    Before its engine is closed.
    """
    grid = flow.grid()
    lazily(grid.cache("prices"), source).set_many({"a": 1, "b": 2})
    grid.close()
    assert {"a": 1, "b": 2} == source.rows


def test_what_is_not_written_when_it_closes_is_told(flow: SyncFlow, source: SyncSource) -> None:
    """
    The grid is closed nevertheless, and the error has the changes.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    source.failures = 1_000_000
    lazily(cache, source, timeout="50ms").set("a", 1)
    with pytest.raises(ChangesLost, match="before cache 'prices' had written 1 change to its source") as lost:
        grid.close()
    assert {"a": 1} == lost.value.changes
    with pytest.raises(EngineError, match="closed"):
        cache.get("a")
    grid.close()


def test_reads_find_what_waits(cache: SyncCache, source: SyncSource) -> None:
    """
    Though the cache has it no more, and the source has it not yet; what is to be deleted is not there.
    """
    source.rows = {"a": "old", "b": "old", "c": "old"}
    stock, keeps = lazily(cache, source), through(cache, writer=source.write, behind="1h")
    stock.set("a", 1)
    stock.delete("b")
    cache.clear()
    assert {"a": 1, "c": "old"} == stock.get_many(["a", "b", "c"])
    assert [["c"]] == source.loads
    keeps.set("d", 4)
    cache.clear()
    assert {"d": 4} == keeps.get_many(["d", "e"])
    assert stock.flush()
    assert keeps.flush()
    assert {"a": 1, "c": "old", "d": 4} == source.rows


def test_what_others_loaded_meanwhile_is_dropped(flow: SyncFlow, source: SyncSource) -> None:
    """
    It is older than what was written.
    """
    ours, theirs = [(flow.grid()).cache("rows") for _ in range(2)]
    source.rows = {"a": "old", "b": "old"}
    stock, other = lazily(ours, source), through(theirs, load_many=source.load_many)
    stock.set("a", 1)
    stock.delete("b")
    ours.clear()
    assert {"a": "old", "b": "old"} == other.get_many(["a", "b"])
    assert stock.flush()
    assert {"a": 1} == other.get_many(["a", "b"])


def test_what_the_cache_refuses_is_not_written(cache: SyncCache, source: SyncSource) -> None:
    """
    The caller hears of it, and its room is free again.
    """
    stock = lazily(cache, source, queue=1)
    for _ in range(2):
        with pytest.raises(ValueRefused):
            stock.set("a", object())
    stock.set("a", 1)
    assert stock.flush()
    assert [{"a": 1}] == source.writes


def test_a_forked_child_has_nothing_to_write(grid: SyncGrid, source: SyncSource) -> None:
    """
    What waits is the parent's; the child counts for itself.
    """
    stock = lazily(grid.cache("prices"), source)
    assert stock._behind is not None
    stock._behind.backlog.offer({"a": 1}, 0.0)
    grid._hub._attached[0].forget()
    assert (0, 0) == (stock.stats().pending, stock.stats().merged)
    assert stock.flush()
    assert [] == source.writes


def test_a_writer_of_the_other_colour_is_called_once(grid: SyncGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where only its call can tell: what it may have written is not written again and again.
    """
    monkeypatch.setattr(behind, "_FIRST_PAUSE", 0.001)
    calls: list[Any] = []

    class Writer:
        def __call__(self, changes: dict[Any, Any]) -> Any:
            calls.append(changes)
            return other_colour(None)()

    stock = through(grid.cache("rows"), writer=Writer(), behind="1ms", timeout="50ms")
    stock.set("a", 1)

    def has_failed() -> bool:
        return stock.stats().retried > 2

    until(has_failed)
    assert [{"a": 1}] == calls
    with pytest.raises(ChangesLost):
        grid.close()
