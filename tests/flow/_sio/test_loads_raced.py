# Generated from tests/flow/_aio/test_loads_raced.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loads beside which others set, delete, invalidate or load the same."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import LACKING, STORES, SyncOrigin
from tests.flow.waits._sio import begin, until


def test_what_is_set_while_it_is_loaded_stays(flow: SyncFlow) -> None:
    """
    By whichever process: it is newer than what the loader may have read. The loader's caller gets what was loaded.
    """
    ours, theirs = (flow.grid()).cache("prices"), (flow.grid()).cache("prices")
    for key, writer in (("ours", ours), ("theirs", theirs)):
        origin = SyncOrigin(flow)
        loading = begin(ours.get_or_load, key, origin.load)
        origin.gate.reached()
        writer.set(key, "newer")
        origin.gate.open()
        assert [1] == loading.result()
        assert ("newer", "newer") == (ours.get(key), theirs.get(key))


def test_what_comes_and_goes_while_it_is_loaded_is_not_followed_by_what_is_older(flow: SyncFlow) -> None:
    """
    By whichever process: nothing is there when the load is done, and what was there was newer.
    """
    ours, theirs = (flow.grid()).cache("prices"), (flow.grid()).cache("prices")

    def set_and_touch(key: str) -> None:
        theirs.set(key, "newer")
        theirs.touch(key, 0.02)

    writes: dict[str, Any] = {
        "ours": lambda: ours.set("ours", "newer", ttl=0.02),
        "theirs": lambda: theirs.set("theirs", "newer", ttl=0.02),
        "among": lambda: theirs.set_many({"other": 1, "among": "newer"}, ttl=0.02),
        "touched": lambda: set_and_touch("touched"),
    }
    for key, write in writes.items():
        origin = SyncOrigin(flow)
        loading = begin(ours.get_or_load, key, origin.load)
        origin.gate.reached()
        write()

        def is_gone(key: str = key) -> bool:
            return ours.get(key) is None and theirs.get(key) is None

        until(is_gone)
        origin.gate.open()
        assert [1] == loading.result()
        assert is_gone()


def test_what_is_deleted_while_it_is_loaded_does_not_come_back(flow: SyncFlow) -> None:
    """
    By whichever process: the loader may have read what the delete was meant for. Who asks after that gets a later load.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    deletes: list[Any] = [
        lambda: cache.delete("key"),
        lambda: cache.delete_many(["other", "key"]),
        lambda: other.delete("key"),
        lambda: other.delete_many(["other", "key"]),
    ]
    for number, delete in enumerate(deletes):
        gate = flow.gate()

        def load(gate: Any = gate) -> str:
            gate.stand()
            return "old"

        def load_again(number: int = number) -> str:
            return f"new {number}"

        loading = begin(cache.get_or_load, "key", load)
        gate.reached()
        assert not delete()
        assert f"new {number}" == other.get_or_load("key", load_again)
        gate.open()
        assert "old" == loading.result()
        assert [f"new {number}"] * 2 == [one.get("key") for one in (cache, other)]
        cache.delete("key")


def test_who_asks_after_a_delete_gets_no_load_from_before(flow: SyncFlow) -> None:
    """
    Nor who waits in the process that loads, and was not told that another one deleted it.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    for deleter in (cache, other):
        gate = flow.gate()

        def load(gate: Any = gate) -> str:
            gate.stand()
            return "old"

        def load_again() -> str:
            return "new"

        loading = begin(cache.get_or_load, "key", load)
        gate.reached()
        misses = cache.stats().misses
        deleter.delete("key")
        later = begin(cache.get_or_load, "key", load_again)

        def has_missed(misses: int = misses) -> bool:
            return cache.stats().misses > misses

        until(has_missed)
        gate.open()
        assert ("old", "new", "new") == (loading.result(), later.result(), other.get("key"))
        cache.delete("key")


@pytest.mark.parametrize("lacking", LACKING, ids=" ".join)
def test_what_is_deleted_while_it_is_stored_does_not_come_back(
    flow: SyncFlow, origin: SyncOrigin, lacking: list[str]
) -> None:
    """
    Whether the delete or the store reaches the owner first. The engine has to help if another process deletes it.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    deleters = [cache] if lacking else [cache, (flow.grid()).cache("prices")]
    grid._hub.lacking = frozenset(lacking)
    for answered, deleter in [(answered, deleter) for deleter in deleters for answered in (False, True)]:
        gate = engine_of(grid).hold(STORES[len(lacking)], answered=answered)
        loading = begin(cache.get_or_load, "key", origin.load_at_once)
        gate.reached()
        deleter.delete("key")
        gate.open()
        loading.result()
        assert not cache.has("key")


def test_a_function_invalidated_elsewhere_while_it_works(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Its result is its caller's alone, and whoever calls it then, in any process, calls it anew.
    """
    keeps = [(flow.grid()).cache("prices").cached(name="f", ignore=["self"]) for _ in range(2)]
    ours, theirs = [keep(origin.load) for keep in keeps]
    working = begin(ours)
    origin.gate.reached()
    assert not theirs.invalidate()
    origin.gate.open()
    assert [1] == working.result()
    assert ([2], [2]) == (theirs(), ours())


def test_a_function_that_is_invalidated_while_it_works_is_called_again(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    Its first result is not kept.
    """

    @cache.cached
    def function() -> list[int]:
        return origin.load()

    working = begin(function)
    origin.gate.reached()
    assert not function.invalidate()
    origin.gate.open()
    assert [1] == working.result()
    assert [2] == function()
    assert [2] == function()


def test_a_load_finds_what_another_has_stored_meanwhile(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Whoever gets the lease looks again before it loads.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    gate = engine_of(grid).hold("acquire")
    late = begin(cache.get_or_load, "key", origin.load)
    gate.reached()
    assert [1] == (flow.grid()).cache("prices").get_or_load("key", origin.load_at_once)
    gate.open()
    assert ([1], 1) == (late.result(), origin.calls)
