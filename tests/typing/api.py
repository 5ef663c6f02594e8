"""
A user's code, that a type checker reads with every strictness; nothing here is run.

A line that is wrong carries an `ignore` with the error's code: if the checker did not complain, the ignore would be
one too many, and that is an error as well.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import cachegrid
from cachegrid import AsyncCache, AsyncGrid, CachePolicy, CacheStats, Entry, Settings, SyncCache, SyncGrid, errors


def opening() -> None:
    with cachegrid.connect() as grid:
        assert_type(grid, SyncGrid)
    cachegrid.connect("valkey://db-1:6379,db-2:6379").close()
    cachegrid.connect(name="orders").close()
    cachegrid.connect(config={"timeout": "2s"}).close()
    cachegrid.connect(config=Settings(timeout=2.5, caches={"prices": CachePolicy(ttl=60)})).close()
    cachegrid.connect(b"valkey://db-1")  # type: ignore[arg-type]
    cachegrid.connect(url="memory://", pool=3)  # type: ignore[call-arg]


def as_a_mapping(grid: SyncGrid) -> None:
    prices = grid.cache("prices", ttl="5m")
    assert_type(prices, SyncCache)
    prices["sku-1"] = 9.90
    prices["sku-1", 2] = 9.90
    prices[b"sku-1"] = None
    del prices["sku-1"]
    assert_type("sku-1" in prices, bool)
    prices[1.5] = 1  # type: ignore[index]


def reading_and_writing(prices: SyncCache) -> None:
    prices.set("a", 1, ttl=60, idle=timedelta(minutes=5))
    prices.set("a", 1, ttl=None)
    prices.set_many({"a": 1, "b": 2}, ttl=1.5)
    assert_type(prices.add("a", 1), bool)
    assert_type(prices.replace("a", 1), bool)
    assert_type(prices.touch("a", "1h"), bool)
    assert_type(prices.delete("a"), bool)
    assert_type(prices.delete_many(["a", "b"]), int)
    assert_type(prices.incr("hits", 2, start=10), int)
    assert_type(prices.update("a", lambda value: str(value)), str)
    prices.set("a", 1, 60)  # type: ignore[call-arg]
    prices.set("a", 1, ttl=[60])  # type: ignore[arg-type]
    prices.incr("hits", 0.5)  # type: ignore[arg-type]


def entries(prices: SyncCache) -> None:
    entry = prices.entry("a")
    assert_type(entry, Entry | None)
    prices.compare_and_set("a", entry.version, 2)  # type: ignore[union-attr]
    if entry is not None:
        assert_type(prices.compare_and_set("a", entry.version, 2), bool)
    assert_type(prices.stats(), CacheStats)
    assert_type(prices.stats().hit_ratio, float)


def load_price() -> float:
    return 9.90


async def aload_price() -> float:
    return 9.90


def loading(prices: SyncCache) -> None:
    assert_type(prices.get_or_load("a", load_price, ttl="5m"), float)

    @prices.cached
    def price(sku: str, *, currency: str = "EUR") -> float:
        return float(len(sku + currency))

    @prices.cached(ttl="5m", version=2, ignore=["currency"])
    def price_for_long(sku: str, currency: str) -> float:
        return float(len(sku + currency))

    assert_type(price("sku-1"), float)
    assert_type(price_for_long("sku-1", "EUR"), float)
    assert_type(price.uncached("sku-1", currency="USD"), float)
    assert_type(price.invalidate("sku-1"), bool)
    price_for_long.invalidate_all()
    price(1)  # type: ignore[arg-type]
    price_for_long("sku-1")  # type: ignore[call-arg]
    price.invalidate(sku=1)  # type: ignore[arg-type]


def locking(grid: SyncGrid) -> None:
    with grid.lock("stocktaking", lease="10s") as lock:
        lock.check()
    assert_type(grid.lock("stocktaking").acquire(), int)


def failing(prices: SyncCache) -> str:
    try:
        prices["a"] = object()
    except errors.ValueRefused as error:
        assert_type(error.path, str)
    except cachegrid.CacheError as error:
        assert_type(error.retryable, bool)
    return "done"


async def the_same_awaited() -> None:
    async with cachegrid.aconnect("memory://") as grid:
        assert_type(grid, AsyncGrid)
        prices = grid.cache("prices", ttl=60)
        assert_type(prices, AsyncCache)
        await prices.set("a", 1)
        assert_type(await prices.add("a", 1), bool)
        assert_type(await prices.entry("a"), Entry | None)
        assert_type(await prices.get_or_load("a", aload_price), float)
        await prices.get_or_load("a", load_price)  # type: ignore[arg-type]
        async for key in prices.keys():
            await prices.delete(key)

        @prices.cached(ttl="5m")
        async def price(sku: str) -> float:
            return float(len(sku))

        assert_type(await price("sku-1"), float)
        assert_type(await price.invalidate("sku-1"), bool)
        await price(1)  # type: ignore[arg-type]
        async with grid.lock("stocktaking"):
            await prices.clear()
