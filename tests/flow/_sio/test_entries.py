# Generated from tests/flow/_aio/test_entries.py by tools/colour.py. Edit that file, then run `make colour`.
"""One entry and many, written and read: what comes out is what was put in."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from cachegrid._core.address import Key
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import CacheError, EntryNotFound, KeyRefused, ValueRefused
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow.waits._sio import listed, together

VALUES = [
    None,
    True,
    0,
    -(1 << 63),
    1 << 80,
    1.5,
    "",
    "text",
    b"",
    b"\xc9" * 40,
    [1, [2, (3,)]],
    {"a": {1: None}},
    {1, 2},
    Decimal("1.10"),
    datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_was_set_is_got(cache: SyncCache, value: Any) -> None:
    """
    A value comes back equal and of its type, to each way of reading it.
    """
    cache.set("key", value)
    entry = cache.entry("key")
    assert entry is not None
    loaded = cache.get_or_load("key", _never)
    for got in (cache.get("key"), (cache.get_many(["key"]))["key"], entry.value, loaded):
        assert (value, type(value)) == (got, type(got))


def test_a_miss_gives_the_default(cache: SyncCache) -> None:
    """
    Where there is no entry `get` answers what it was told to, by default None.
    """
    assert None is cache.get("key")
    assert 7 == cache.get("key", 7)
    assert None is cache.entry("key")
    assert not cache.has("key")


def test_none_is_a_value(cache: SyncCache) -> None:
    """
    An entry whose value is None is an entry: found, counted and not loaded again.
    """
    cache.set("key", None)
    assert None is cache.get("key", 7)
    assert cache.has("key")
    assert {"key": None} == cache.get_many(["key", "other"])
    assert None is cache.get_or_load("key", _never)
    assert not cache.add("key", 1)


def test_values_are_fresh_copies(cache: SyncCache) -> None:
    """
    Neither the writer's object nor another reader's is what a reader gets.
    """
    written = [1]
    cache.set("key", written)
    written.append(2)
    (cache.get("key")).append(3)
    assert [1] == cache.get("key")


def test_a_set_replaces(cache: SyncCache) -> None:
    """
    The last value wins, whatever kind was there.
    """
    for value in (1, "one", None, 2):
        cache.set("key", value)
        assert value == cache.get("key", "miss")


def test_delete_tells_whether_there_was_one(cache: SyncCache) -> None:
    """
    A second delete finds nothing; other entries stay.
    """
    cache.set_many({"key": 1, "other": 2})
    assert cache.delete("key")
    assert not cache.delete("key")
    assert {"other": 2} == cache.get_many(["key", "other"])


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_many_at_once(cache: SyncCache, count: int) -> None:
    """
    Any number of entries, over all owners, is written, read in the order asked for, and dropped.
    """
    entries = {("many", number): number for number in range(count)}
    cache.set_many(entries)
    absent = ("many", "absent")
    assert list(reversed(entries.items())) == list((cache.get_many([*reversed(entries), absent])).items())
    assert count == cache.delete_many([*entries, absent])
    assert {} == cache.get_many(entries)


def test_many_may_be_pairs(cache: SyncCache) -> None:
    """
    As of a dict: a list of them, or whatever gives them once; the last one of a key counts.
    """
    cache.set_many([("a", 1), ["b", 2], ("a", 3)])  # type: ignore[list-item]
    cache.set_many((number, str(number)) for number in range(2))
    assert {"a": 3, "b": 2, 0: "0", 1: "1"} == cache.get_many(["a", "b", 0, 1])
    assert 4 == cache.stats().stores


@pytest.mark.parametrize(
    ("values", "kind"),
    [("ab", ValueRefused), (["ab"], ValueRefused), ([1], ValueRefused), (5, ValueRefused), ([([], 1)], KeyRefused)],
    ids=repr,
)
def test_what_has_no_pairs_is_refused(cache: SyncCache, values: Any, kind: type[CacheError]) -> None:
    """
    With what was meant to be said; nothing is stored, and nothing taken for pairs that is none.
    """
    with pytest.raises(kind, match=r"a mapping, or pairs of a key and a value|cannot be one \(.*list"):
        cache.set_many(values)
    assert 0 == cache.stats().stores


def test_many_keys_at_once_cost_one_call(grid: SyncGrid) -> None:
    """
    The many-forms ask the engine once, not once for each key.
    """
    cache = grid.cache("prices")
    cache.get("any")
    engine = engine_of(grid)
    engine.calls.clear()
    cache.set_many(dict.fromkeys(range(50), "x"))
    cache.get_many(range(50))
    cache.delete_many(range(50))
    assert [1, 1, 1, 0] == [engine.calls[name] for name in ("store_many", "fetch_many", "drop_many", "fetch")]


def test_keys_asked_for_twice_count_once(cache: SyncCache) -> None:
    """
    Doubles among the keys change neither answers nor counters.
    """
    cache.set("key", 1)
    assert {"key": 1} == cache.get_many(["key", "key", "other", "other"])
    assert (1, 1) == (cache.stats().hits, cache.stats().misses)
    assert 1 == cache.delete_many(["key", "key"])


@pytest.mark.parametrize("keys", ["sku-1", b"sku-1", [["sku-1"]], [{}]], ids=repr)
def test_what_is_no_list_of_keys_is_refused(cache: SyncCache, keys: Any) -> None:
    """
    A single key where several are expected would be taken apart; it is an error, and so is a key that cannot be one.
    """
    with pytest.raises(KeyRefused):
        cache.get_many(keys)
    with pytest.raises(KeyRefused):
        cache.delete_many(keys)


def test_a_batch_with_a_value_that_cannot_be_kept_stores_nothing(cache: SyncCache) -> None:
    """
    All values are encoded before the first one is stored.
    """
    with pytest.raises(TypeError):
        cache.set_many({"good": 1, "bad": object()})
    assert {} == cache.get_many(["good", "bad"])


def test_caches_and_namespaces_do_not_mix(flow: SyncFlow) -> None:
    """
    The same key in caches of other names, names that begin alike included, and in other namespaces, is another entry.
    """
    grid = flow.grid()
    other = flow.grid(namespace=flow.backing.namespace + ".other")
    caches = [grid.cache("a"), grid.cache("ab"), grid.cache("a.b"), other.cache("a")]
    for number, cache in enumerate(caches):
        cache.set("key", number)
    assert list(range(4)) == [cache.get("key") for cache in caches]
    for cache in caches:
        assert ["key"] == listed(cache.keys())


def test_grids_share_their_entries(flow: SyncFlow) -> None:
    """
    What one process writes another one reads, at once.
    """
    ours, theirs = (flow.grid()).cache("prices"), (flow.grid()).cache("prices")
    ours.set("key", 1)
    assert 1 == theirs.get("key")
    theirs.delete("key")
    assert None is ours.get("key")


def test_reads_and_writes_are_counted(cache: SyncCache) -> None:
    """
    Counters tell what this process did; a ratio without reads is 0.
    """
    assert 0.0 == cache.stats().hit_ratio
    cache.set("key", 1)
    cache.set_many({"a": 1, "b": 2})
    cache.add("key", 2)
    cache.get("key")
    cache.get("gone")
    cache.get_many(["a", "b", "gone"])
    cache.delete("key")
    cache.delete("key")
    stats = cache.stats()
    assert (3, 2, 3, 1) == (stats.hits, stats.misses, stats.stores, stats.drops)
    assert 0.6 == stats.hit_ratio


@pytest.mark.parametrize("made", ["text", "large", 5, None, "tagged", "many tags", "idle"], ids=str)
def test_an_entry_is_told_of_without_its_value(flow: SyncFlow, made: Any) -> None:
    """
    All that is known of it, in one trip that brings no more than its beginning.
    """
    grid = flow.grid()
    cache = grid.cache("prices", compress=None)
    rules: dict[Any, dict[str, Any]] = {
        "tagged": {"tags": "menu"},
        "many tags": {"tags": [f"{'t' * 60}{number}" for number in range(64)]},
        "idle": {"idle": 60},
    }
    value = b"x" * 100_000 if made == "large" else made
    assert cache.entry("key", value=False) is None
    cache.set("key", value, ttl=100, **rules.get(made, {}))
    engine = engine_of(grid)
    engine.calls.clear()
    found = cache.entry("key", value=False)
    assert {"glance": 1, **({"inspect": 1} if made == "many tags" else {})} == dict(engine.calls)
    whole = cache.entry("key")
    assert found is not None
    assert whole is not None
    assert (None, value) == (found.value, whole.value)
    assert found.expires is not None
    assert whole.expires is not None
    assert abs(found.expires - whole.expires) < timedelta(seconds=5)
    assert dataclasses.replace(whole, value=None, expires=None) == dataclasses.replace(found, expires=None)
    if made == "tagged":
        cache.invalidate("menu")
        assert cache.entry("key", value=False) is None


def test_an_entry_tells_what_is_known_of_it(cache: SyncCache) -> None:
    """
    Value, version, times and size; looking counts as no read.
    """
    before = datetime.now(UTC)
    cache.set("key", "value", ttl="1h", idle="10m")
    entry = cache.entry("key")
    after = datetime.now(UTC)
    assert entry is not None
    assert ("key", "value", 8) == (entry.key, entry.value, len(entry.version))
    assert entry.created is not None
    assert entry.expires is not None
    assert entry.idle is not None
    assert -0.001 <= (entry.created - before).total_seconds() <= (after - before).total_seconds()
    assert 599 < (entry.expires - before).total_seconds() < 601
    assert 600 == entry.idle.total_seconds()
    assert 0 < entry.size < 100
    assert (0, 0) == (cache.stats().hits, cache.stats().misses)


def test_versions_differ_after_every_write(cache: SyncCache) -> None:
    """
    Even the same value, written again, has another version.
    """
    versions = set()
    for _ in range(20):
        cache.set("key", "same")
        entry = cache.entry("key")
        assert entry is not None
        versions.add(entry.version)
    assert 20 == len(versions)


def test_keys_are_listed_once_each(cache: SyncCache) -> None:
    """
    All kinds of keys come back as they were; a pattern chooses among the text ones.
    """
    keys: set[Key] = {1, "1", b"1", ("1",), ("1", 1), "", "user:1", "user:2", "ключ", "a{b}c*?[", ()}
    cache.set_many(dict.fromkeys(keys, 0))
    found = listed(cache.keys())
    assert (keys, len(keys)) == (set(found), len(found))
    assert {"user:1", "user:2"} == set(listed(cache.keys("user:*")))
    assert {"1"} == set(listed(cache.keys("[0-9]")))
    assert set() == set(listed(cache.keys("USER:*")))


def test_items_are_keys_with_their_values(cache: SyncCache) -> None:
    """
    Entries come with their values; one that goes while they are listed is left out.
    """
    cache.set_many({number: number for number in range(20)})
    found: dict[Key, Any] = {}
    for key, value in cache.items():
        if not found:
            cache.delete_many([number for number in range(10) if number != key])
        found[key] = value
    assert set(range(10, 20)) <= set(found)
    assert len(found) <= 11
    assert all(key == value for key, value in found.items())


def test_a_cache_is_iterated_by_its_keys(cache: SyncCache) -> None:
    """
    As a dict is.
    """
    cache.set_many({"a": 1, "b": 2})
    assert {"a", "b"} == set(listed(cache))


def test_an_update_of_what_is_not_there_names_it(cache: SyncCache) -> None:
    """
    The error is a KeyError that tells cache and key.
    """
    with pytest.raises(EntryNotFound, match=r"^cache 'prices' has no entry for 'key'$") as caught:
        cache.update("key", str)
    assert isinstance(caught.value, KeyError)
    assert ("prices", "key") == (caught.value.cache, caught.value.key)


def _never() -> Any:
    raise AssertionError("nothing had to be loaded")


def test_nothing_is_left_uncounted(cache: SyncCache) -> None:
    """
    However many callers write, read and drop at once.
    """

    def use(key: int) -> None:
        cache.set(key, key)
        cache.set_many({(key, 1): 1, (key, 2): 2})
        assert key == cache.get(key)
        assert cache.delete(key)
        assert None is cache.get(key)

    together(*[partial(use, key) for key in range(40)])
    stats = cache.stats()
    assert (120, 40, 40, 40) == (stats.stores, stats.hits, stats.misses, stats.drops)
