"""The store of py-key-value."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from key_value.aio.errors import SerializationError, ValueTooLargeError
from key_value.aio.protocols.key_value import (
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncEnumerateKeysProtocol,
    AsyncKeyValueProtocol,
)

import cachegrid
from cachegrid import AsyncCache, AsyncGrid
from cachegrid.integrations.key_value import CacheGridStore

pytestmark = pytest.mark.grid


@pytest.fixture
def grid(url: str) -> AsyncGrid:
    """A grid that connects at its first use: settings are read here, where that blocks nobody."""
    return cachegrid.aconnect(url)


@pytest.fixture
async def cache(grid: AsyncGrid, name: str) -> AsyncIterator[AsyncCache]:
    """A cache of the test's own."""
    async with grid:
        yield grid.cache(name, max_value="1MB")


@pytest.fixture
def store(cache: AsyncCache) -> CacheGridStore:
    """A store on it."""
    return CacheGridStore(cache)


async def test_what_was_put_is_got(store: CacheGridStore) -> None:
    """
    In its own collection.
    """
    value = {"price": 9.90, "parts": [1, None, {"ü": True}]}
    await store.put("k", value)
    assert value == await store.get("k")
    assert await store.get("k", collection="another") is None
    assert await store.delete("k")
    assert not await store.delete("k")
    assert await store.get("k") is None


@pytest.mark.parametrize("long", ["x" * 5000, "ü" * 300, "\0 !@#$%^&*()"])
async def test_names_may_be_of_any_length(store: CacheGridStore, long: str) -> None:
    """
    And of any letters.
    """
    for collection, key in itertools.product([long, f"{long}!", "c"], repeat=2):
        await store.put(key, {"it": [collection, key]}, collection=collection)
    for collection, key in itertools.product([long, f"{long}!", "c"], repeat=2):
        assert {"it": [collection, key]} == await store.get(key, collection=collection)
    assert sorted([long, f"{long}!", "c"]) == sorted(await store.keys(long))
    await store.destroy_collection(long)
    assert [[], 3, 3] == [await store.keys(long), len(await store.keys(f"{long}!")), len(await store.keys("c"))]


async def test_many_are_one_trip(store: CacheGridStore) -> None:
    """
    In the order that was asked for.
    """
    values: list[dict[str, Any]] = [{"n": number} for number in range(20)]
    keys = [f"k{number}" for number in range(20)]
    await store.put_many(keys, values, collection="c", ttl=60)
    assert [*values, None] == await store.get_many([*keys, "gone"], collection="c")
    assert 2 == await store.delete_many(["k0", "k1", "gone"], collection="c")
    assert [None, None, {"n": 2}] == await store.get_many(["k0", "k1", "k2"], collection="c")


async def test_times(store: CacheGridStore, cache: AsyncCache) -> None:
    """
    The grid ends what the store says has ended.
    """
    await store.put_many(["a", "b"], [{}, {}], ttl=60)
    await store.put("c", {}, ttl=60.5)
    await store.put("d", {})
    (_, left), *rest = await store.ttl_many(["a", "b", "c", "d", "gone"])
    assert left is not None
    assert 59 < left <= 60
    assert [{}, {}, {}, None] == [value for value, _ in rest]
    assert (None, None) == (rest[2][1], rest[3][1])
    ends = [await cache.entry(("default_collection", key)) for key in "acd"]
    assert [True, True, False] == [entry is not None and entry.expires is not None for entry in ends]


async def test_collections_are_listed_and_destroyed(store: CacheGridStore) -> None:
    """
    One of them, or all.
    """
    for collection in ("x", "y"):
        await store.put_many(["a", "b", "c"], [{}, {}, {}], collection=collection)
    assert ["a", "b", "c"] == sorted(await store.keys("x"))
    assert 2 == len(await store.keys("x", limit=2))
    assert await store.destroy_collection("x")
    assert [[], 3] == [await store.keys("x"), len(await store.keys("y"))]
    assert await store.destroy()
    assert [None, []] == [await store.get("a", collection="y"), await store.keys("y")]


async def test_its_errors_are_those_of_stores(store: CacheGridStore) -> None:
    """
    Whoever uses a store need not know what it stands on.
    """
    with pytest.raises(SerializationError, match="object"):
        await store.put("k", {"it": object()})
    with pytest.raises(ValueTooLargeError, match="default_collection"):
        await store.put("k", {"it": random.randbytes(2_000_000).hex()})


def test_it_is_what_it_says(cache: AsyncCache) -> None:
    """
    For those who look at protocols.
    """
    store = CacheGridStore(cache, default_collection="mine")
    assert isinstance(store, AsyncKeyValueProtocol)
    assert isinstance(store, AsyncEnumerateKeysProtocol)
    assert isinstance(store, AsyncDestroyCollectionProtocol)
    assert isinstance(store, AsyncDestroyStoreProtocol)
    assert "mine" == store.default_collection
