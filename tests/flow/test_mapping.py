"""A sync cache is a mapping: whatever takes a dict to read and write takes a cache."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, MutableMapping, ValuesView
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import ConfigError, EntryNotFound, KeyRefused
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._sio import together


@pytest.fixture
def cache(backing: Backing) -> Any:
    """A cache of a grid that is closed after the test."""
    with SyncFlow(backing) as flow:
        yield flow.grid().cache("prices")


def test_a_cache_is_a_mutable_mapping(cache: SyncCache) -> None:
    """
    It says so, and does what one does.
    """
    assert isinstance(cache, MutableMapping)
    cache["a"] = 1
    cache["b"] = None
    assert 1 == cache["a"]
    assert None is cache["b"]
    assert "a" in cache
    assert "c" not in cache
    assert 2 == len(cache)
    assert {"a", "b"} == set(cache) == set(cache.keys())
    assert {("a", 1), ("b", None)} == set(cache.items())
    assert [1, None] == sorted(cache.values(), key=repr)
    assert {"a": 1, "b": None} == dict(cache) == {**cache}
    del cache["a"]
    assert ["b"] == list(cache)


def test_what_is_not_there_is_a_key_error(cache: SyncCache) -> None:
    """
    That says in words which key of which cache.
    """
    with pytest.raises(KeyError) as caught:
        cache["gone"]
    assert "cache 'prices' has no entry for 'gone'" == str(caught.value)
    for call in (lambda: cache.pop("gone"), cache.popitem, lambda: cache.__delitem__("gone")):
        with pytest.raises(EntryNotFound):
            call()


def test_an_empty_cache_is_true(cache: SyncCache) -> None:
    """
    `if cache:` asks whether there is one, and no member how many entries it has.
    """
    assert 0 == len(cache)
    assert cache


def test_pop_takes_out(cache: SyncCache) -> None:
    """
    And gives the default where nothing is; None is a value and a default.
    """
    cache["a"], cache["b"] = 1, None
    assert 1 == cache.pop("a")
    assert None is cache.pop("b", 7)
    assert 7 == cache.pop("a", 7)
    assert None is cache.pop("a", None)


def test_popitem_takes_out_one_after_the_other(cache: SyncCache) -> None:
    """
    Until nothing is left.
    """
    cache.set_many({"a": 1, "b": 2, "c": 3})
    assert {("a", 1), ("b", 2), ("c", 3)} == {cache.popitem() for _ in range(3)}
    with pytest.raises(KeyError):
        cache.popitem()


def test_of_many_who_pop_one_gets_it(cache: SyncCache) -> None:
    """
    A value that is taken out is given to one only.
    """
    for round_ in range(10):
        cache["key"] = round_
        popped = together(*[lambda: cache.pop("key", None)] * 4)
        assert [round_] == [value for value in popped if value is not None]


def test_setdefault_stores_where_nothing_is(cache: SyncCache) -> None:
    """
    And gives what is there afterwards.
    """
    assert [1] == cache.setdefault("key", [1])
    assert [1] == cache.setdefault("key", [2])
    assert None is cache.setdefault("none")
    assert None is cache.setdefault("none", 1)


def test_of_many_who_set_a_default_one_stores(cache: SyncCache) -> None:
    """
    All get its value.
    """
    for key in range(10):
        values = together(*[(lambda number=number: cache.setdefault(key, number)) for number in range(4)])  # noqa: B023
        assert {cache[key]} == set(values)


@pytest.mark.parametrize("raw", [b"\xc9 damaged", b"foreign", b"\xc9\x01" + bytes(22) + b"\xc1", b""], ids=repr)
def test_setdefault_replaces_what_cannot_be_read(cache: SyncCache, raw: bytes) -> None:
    """
    Bytes that are none of ours are a miss, and in nobody's way.
    """
    cache["other"] = 1
    cache._engine.store(cache._space.address("key"), raw, None)
    assert 5 == cache.setdefault("key", 5)
    assert 5 == cache["key"]


def test_a_cache_stands_for_a_dict(cache: SyncCache) -> None:
    """
    In a function that knows nothing of caches.
    """

    def count_words(text: str, counts: MutableMapping[str, int]) -> None:
        for word in text.split():
            counts[word] = counts.get(word, 0) + 1

    count_words("a b a c a", cache)
    assert {"a": 3, "b": 1, "c": 1} == dict(cache)


def test_update_is_that_of_a_dict_too(cache: SyncCache) -> None:
    """
    With a mapping, pairs, names, or another cache; what is there besides stays.
    """
    expected: dict[Any, Any] = {}
    for mapping in (expected, cache):
        mapping.update({"a": 1, 2: None})
        mapping.update([("b", 2), (("c", 1), 3)])
        mapping.update({"a": 5}, d=4)
        mapping.update(e=6)
        mapping.update()
    other: MutableMapping[Any, Any] = {}
    other.update(cache)
    assert expected == dict(cache) == other
    cache.update(cache)
    assert expected == dict(cache)


def test_update_says_which_one_was_meant(cache: SyncCache) -> None:
    """
    A key without a function, and times beside a mapping, are refused with a sentence, and nothing is stored.
    """
    with pytest.raises(KeyRefused, match="^update.'sku-1'. lacks the function that makes the new value"):
        cache.update("sku-1")  # type: ignore[arg-type]
    for times in ({"ttl": 5}, {"idle": 5}, {"default": 1}):
        with pytest.raises(ConfigError, match=r"of update is \d; it must be .*set_many\(values, ttl=...\)"):
            cache.update({"a": 1}, **times)
    assert 0 == len(cache)


def test_views_are_those_of_a_dict(cache: SyncCache) -> None:
    """
    They tell what is there when they are gone through, know their length, and what is in them.
    """
    keys, items, values, users = cache.keys(), cache.items(), cache.values(), cache.keys("user:*")
    cache.update({"a": 1, "user:1": 2})
    assert (2, 2, 2, 1) == (len(keys), len(items), len(values), len(users))
    assert {"a"} == keys - {"user:1"} == set(keys) - set(users)
    assert [True, False, True, False, False] == [
        "a" in keys,
        "b" in keys,
        "user:1" in users,
        "user:2" in users,
        "a" in users,
    ]
    assert [True, False, True, False] == [("a", 1) in items, ("a", 2) in items, 2 in values, 3 in values]
    assert isinstance(keys, KeysView)
    assert isinstance(items, ItemsView)
    assert isinstance(values, ValuesView)


def test_an_async_cache_is_no_mapping() -> None:
    """
    Its reads have to be awaited.
    """
    import cachegrid

    cache = cachegrid.aconnect("memory://").cache("prices")
    assert not isinstance(cache, MutableMapping)
    for use in (lambda: cache["a"], lambda: len(cache), lambda: "a" in cache, lambda: list(cache)):  # type: ignore[index, arg-type, operator, call-overload]
        with pytest.raises(TypeError):
            use()


@pytest.mark.parametrize("kind", ["memory"])
def test_reading_an_entry_costs_one_call(cache: SyncCache, backing: Backing) -> None:
    """
    By index or by `in`.
    """
    with SyncFlow(backing) as flow:
        grid: SyncGrid = flow.grid()
        cache = grid.cache("prices")
        cache["key"] = 1
        engine = engine_of(grid)
        engine.calls.clear()
        assert cache["key"] == 1
        assert "key" in cache
        assert {"fetch": 2} == dict(engine.calls)
