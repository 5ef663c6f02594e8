"""
A user's code, that a type checker reads with every strictness; nothing here is run.

A line that is wrong carries an `ignore` with the error's code: if the checker did not complain, the ignore would be
one too many, and that is an error as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from datetime import timedelta
from typing import Any, assert_type

import cachegrid
import cachegrid.cluster
from cachegrid import AsyncCache, AsyncGrid, CachePolicy, CacheStats, Entry, Key, Settings, SyncCache, SyncGrid, errors


def opening() -> None:
    with cachegrid.connect() as grid:
        assert_type(grid, SyncGrid)
    cachegrid.connect("valkey://db-1:6379,db-2:6379").close()
    cachegrid.connect(name="orders").close()
    cachegrid.connect(config={"timeout": "2s"}).close()
    cachegrid.connect(config=Settings(timeout=2.5, caches={"prices": CachePolicy(ttl=60)})).close()
    cachegrid.connect(b"valkey://db-1")  # type: ignore[arg-type]
    cachegrid.connect("memory://", timeout=2, namespace="shop", caches={"prices": CachePolicy(ttl=60)}).close()
    cachegrid.connect("memory://", timeout=b"2")  # type: ignore[arg-type]
    cachegrid.connect(url="memory://", pool=3)  # type: ignore[call-arg]
    cachegrid.conect()  # type: ignore[attr-defined]
    cachegrid.cluster.strat()  # type: ignore[attr-defined]


def declaring(grid: SyncGrid, agrid: AsyncGrid) -> None:
    grid.cache("prices", ttl="5m", idle=60, codec="json", compress=None, max_value="8MB", lease=5, wait="1s")
    agrid.cache("prices", ttl=timedelta(minutes=5))
    grid.cache("prices", tll="5m")  # type: ignore[call-arg]
    agrid.cache("prices", tll="5m")  # type: ignore[call-arg]
    grid.cache("prices", ttl=b"5m")  # type: ignore[arg-type]


def many_at_once(prices: SyncCache, mixed: dict[Key, int], by_size: Mapping[tuple[str, int], float]) -> None:
    values: dict[str, int] = {"a": 1}
    prices.set_many(values, ttl="5m")
    prices.set_many(by_size)
    prices.set_many(mixed)
    prices.set_many({"a": 1, 5: 2, ("a", 5): 3})
    prices.set_many([("a", 1), (5, 2)])
    prices.set_many(zip(values, [1, 2], strict=True))
    prices.set_many({1.5: 1})  # type: ignore[dict-item]
    prices.set_many("ab")  # type: ignore[arg-type]
    prices.update(values)
    prices.update(by_size)
    found: dict[str, float] = prices.get_many(["a"])
    for key in prices.get_many(["a"]):
        key.upper()
    assert_type(found, dict[str, float])
    assert_type(prices.get_many(values), dict[str, Any])
    assert_type(prices.get_many(mixed), dict[Key, Any])
    assert_type(prices.get_many(["a", 5, ("a", 5)]), dict[Key, Any])
    assert_type(prices.get_many(by_size), dict[tuple[str, int], Any])
    assert_type(prices.delete_many(values), int)
    prices.get_many([1.5])  # type: ignore[type-var]


async def many_at_once_awaited(prices: AsyncCache, mixed: dict[Key, int]) -> None:
    values: dict[str, int] = {"a": 1}
    await prices.set_many(values, ttl="5m")
    await prices.set_many(mixed)
    await prices.set_many([("a", 1), (5, 2)])
    found: dict[str, float] = await prices.get_many(["a"])
    assert_type(found, dict[str, float])
    assert_type(await prices.get_many(mixed), dict[Key, Any])
    for key in await prices.get_many(["a"]):
        key.upper()


def as_a_mapping(grid: SyncGrid) -> None:
    prices = grid.cache("prices", ttl="5m")
    assert_type(prices, SyncCache)
    prices["sku-1"] = 9.90
    prices["sku-1", 2] = 9.90
    prices[b"sku-1"] = None
    del prices["sku-1"]
    assert_type("sku-1" in prices, bool)
    prices[1.5] = 1  # type: ignore[index]
    prices.update({"a": 1}, b=2)
    prices.update([("a", 1)])
    prices.update(a=1)
    prices.update("a")  # type: ignore[arg-type]
    takes_a_dict(prices)
    for key in prices.keys() | {"more"}:
        assert_type(prices.get(key), Any)


def takes_a_dict(counts: MutableMapping[str, int]) -> int:
    return sum(counts.values())


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
    assert_type(prices.expire("a"), bool)
    with prices.on("set", lambda event: str(event.key), everywhere=True) as subscription:
        subscription.off()
    prices.on("sets", print)  # type: ignore[arg-type]


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

    @prices.cached
    def priced(thing: object, share: float = 1) -> float:
        return len(str(thing)) * share

    @prices.cached(ttl="5m")
    def priced_for_long(thing: object) -> float:
        return len(str(thing))

    assert_type(priced("sku-1"), float)
    assert_type(priced(thing=5, share=0.5), float)
    assert_type(priced_for_long.refresh(thing=5), float)
    priced()  # type: ignore[call-arg]
    priced.invalidate(5, "all")  # type: ignore[arg-type]
    priced.key(5, 1, 2)  # type: ignore[call-arg]
    priced_for_long.invalidate(5, 2)  # type: ignore[call-arg]
    assert_type(price("sku-1"), float)
    assert_type(price_for_long("sku-1", "EUR"), float)
    assert_type(price.uncached("sku-1", currency="USD"), float)
    assert_type(price.invalidate("sku-1"), bool)
    price_for_long.invalidate_all()
    price(1)  # type: ignore[arg-type]
    price_for_long("sku-1")  # type: ignore[call-arg]
    price.invalidate(sku=1)  # type: ignore[arg-type]

    @prices.cached
    def shown(value: object, *, width: int = 80) -> str:
        return repr(value)[:width]

    assert_type(shown({"a": 1}, width=20), str)
    assert_type(shown(value=1), str)
    assert_type(shown.invalidate(1), bool)


class Shop:
    def __init__(self, city: str) -> None:
        self.city = city

    def __cache_key__(self) -> str:
        return self.city


grid = cachegrid.connect("memory://")
agrid = cachegrid.aconnect("memory://")


class Prices:
    """Methods of every kind, kept."""

    @grid.cache("prices").cached(ignore=("self",))
    def of(self, sku: str, count: int = 1) -> float:
        return float(len(sku) * count)

    @agrid.cache("prices").cached
    async def aof(self, sku: str) -> float:
        return float(len(sku))

    @grid.cache("prices").cached
    @classmethod
    def of_class(cls, sku: str) -> float:
        return float(len(sku))

    @staticmethod
    @agrid.cache("prices").cached
    async def astatic(sku: str) -> float:
        return float(len(sku))

    @agrid.cache("prices").cached(ttl="5m")
    @classmethod
    async def aof_class(cls, sku: str) -> float:
        return float(len(sku))

    @staticmethod
    @grid.cache("prices").cached
    def static(sku: str) -> float:
        return float(len(sku))

    @grid.cache("prices").cached(ttl="5m")
    @staticmethod
    def keyed(sku: str) -> float:
        return float(len(sku))

    @staticmethod
    @grid.cache("prices").cached
    def static_total() -> float:
        return 1.0

    @property
    @grid.cache("prices").cached(ttl="5m")
    def average(self) -> float:
        return 1.0

    @grid.cache("prices").cached  # type: ignore[prop-decorator] # mypy wants nothing above @property, and knows it
    @property
    def total(self) -> float:
        return 1.0

    @agrid.cache("prices").cached(ttl="5m")  # type: ignore[prop-decorator] # as above
    @property
    async def atotal(self) -> float:
        return 1.0

    @grid.cache("prices").cached(ttl="5m")
    @cachegrid.collected
    def pages(self, count: int) -> Iterator[str]:
        yield from map(str, range(count))

    @agrid.cache("prices").cached
    @cachegrid.collected
    async def apages(self, count: int) -> AsyncIterator[str]:
        for number in range(count):
            yield str(number)


def keeping_methods(prices: Prices) -> None:
    assert_type(prices.of("sku-1"), float)
    assert_type(prices.of("sku-1", count=2), float)
    assert_type(prices.of.invalidate("sku-1", 2), bool)
    assert_type(prices.of.uncached("sku-1"), float)
    assert_type(Prices.static("sku-1"), float)
    assert_type(Prices.of_class("sku-1"), float)
    assert_type(prices.of_class.invalidate("sku-1"), bool)
    Prices.of_class(1)  # type: ignore[arg-type]
    assert_type(Prices.static.invalidate("sku-1"), bool)
    prices.of.invalidate_all()
    Prices.of(prices, "sku-1")
    prices.of(1)  # type: ignore[arg-type]
    prices.of()  # type: ignore[call-arg]
    prices.of("sku-1", amount=2)  # type: ignore[call-arg]
    prices.of.invalidate()  # type: ignore[call-arg]
    prices.of.key(1)  # type: ignore[arg-type]
    prices.of.uncached("sku-1", "2")  # type: ignore[arg-type]
    Prices.static.key(1)  # type: ignore[arg-type]
    assert_type(prices.of.refresh("sku-1", count=2), float)
    assert_type(Prices.of_class.refresh("sku-1"), float)
    assert_type(Prices.static.refresh("sku-1"), float)
    assert_type(prices.static_total(), float)
    prices.of.refresh(1)  # type: ignore[arg-type]
    prices.of.refresh("sku-1", amount=2)  # type: ignore[call-arg]
    assert_type(prices.static("sku-1"), float)
    assert_type(prices.static.refresh(sku="sku-1"), float)
    prices.static(1)  # type: ignore[arg-type]
    prices.static.refresh()  # type: ignore[call-arg]
    assert_type(prices.keyed("sku-1"), float)
    assert_type(prices.keyed.invalidate("sku-1"), bool)


def keeping_properties_and_pages(prices: Prices) -> None:
    assert_type(prices.average, float)
    assert_type(prices.total, float)
    assert_type(Prices.total.refresh(prices), float)
    assert_type(Prices.total.invalidate(prices), bool)
    Prices.total.invalidate()  # type: ignore[call-arg]
    Prices.total.key("sku-1")  # type: ignore[arg-type]
    prices.total = 5  # type: ignore[misc]
    assert_type(prices.pages(3), list[str])
    assert_type(prices.pages.refresh(count=3), list[str])
    assert_type(prices.pages.invalidate(3), bool)
    prices.pages("3")  # type: ignore[arg-type]
    cachegrid.collected(load_price)  # type: ignore[arg-type]


async def keeping_async_methods(prices: Prices) -> None:
    assert_type(await prices.aof("sku-1"), float)
    assert_type(await prices.aof.invalidate("sku-1"), bool)
    assert_type(await prices.aof.uncached("sku-1"), float)
    assert_type(await Prices.aof_class("sku-1"), float)
    assert_type(await Prices.aof_class.invalidate("sku-1"), bool)
    assert_type(await prices.aof.refresh("sku-1"), float)
    assert_type(await Prices.aof_class.refresh("sku-1"), float)
    assert_type(await prices.astatic("sku-1"), float)
    assert_type(await prices.astatic.refresh("sku-1"), float)
    await prices.astatic(1)  # type: ignore[arg-type]
    assert_type(await prices.atotal, float)
    assert_type(await Prices.atotal.refresh(prices), float)
    assert_type(await prices.apages(3), list[str])
    assert_type(await prices.apages.refresh(3), list[str])
    await prices.aof.refresh(1)  # type: ignore[arg-type]
    prices.aof.refresh("sku-1") + 1  # type: ignore[operator]
    await Prices.atotal.refresh("sku-1")  # type: ignore[arg-type]
    await prices.apages.refresh("3")  # type: ignore[arg-type]
    await prices.aof.invalidate_all()
    await prices.aof(1)  # type: ignore[arg-type]
    await prices.aof.invalidate()  # type: ignore[call-arg]
    prices.aof("sku-1") + 1  # type: ignore[operator]


def described(kind: type[Shop], sku: str) -> str:
    return kind.__name__ + sku


def what_begins_with_a_class(prices: SyncCache) -> None:
    assert_type(prices.cached(described)(Shop, "sku-1"), str)
    assert_type(prices.cached(ttl=5)(described).invalidate(Shop, "sku-1"), bool)
    prices.cached(described)("sku-1")  # type: ignore[call-arg, arg-type]


def the_parameters_of_a_kept_function(prices: SyncCache) -> None:
    @prices.cached
    def price(sku: str, /, count: int = 1, *, currency: str = "EUR") -> float:
        return float(len(sku + currency) * count)

    for call in (price, price.uncached):
        assert_type(call("sku-1", 2, currency="USD"), float)
    assert_type(price.invalidate("sku-1", count=2), bool)
    price.key("sku-1", currency="USD")
    price(sku="sku-1")  # type: ignore[call-arg]
    price.key()  # type: ignore[call-arg]
    price.key("sku-1", "2")  # type: ignore[arg-type]
    price.invalidate("sku-1", 2, "USD")  # type: ignore[call-arg]
    price.invalidate("sku-1", curency="USD")  # type: ignore[call-arg]
    price.uncached(1)  # type: ignore[arg-type]
    price.invalidate_all("sku-1")  # type: ignore[call-arg]
    assert_type(price.__wrapped__("sku-1"), float)

    prices.cached(ttl="5m", version="2", name="price", key=lambda sku: ("price", sku))(price.uncached)
    prices.cached(price, ttl="5m")  # type: ignore[call-overload]
    prices.cached(tll="5m")  # type: ignore[call-overload]


def tags_of(sku: str, *, currency: str = "EUR") -> list[str]:
    return [f"product:{sku}", currency]


def dropping(prices: SyncCache) -> None:
    prices.set("a", 1, tags="menu")
    prices.set_many({"a": 1}, tags=["menu", "news"])
    prices.set_many([("a", 1)], tags={"menu"})
    assert_type(prices.add("a", 1, tags=("menu",)), bool)
    assert_type(prices.replace("a", 1, tags=(f"tag-{number}" for number in range(3))), bool)
    prices.compare_and_set("a", b"", 1, tags="menu")
    prices.invalidate("menu")
    prices.invalidate(["menu", "news"])
    prices.invalidate(prefix="user:")
    prices.invalidate(where=lambda key: isinstance(key, int))
    entry = prices.entry("a")
    if entry is not None:
        assert_type(entry.tags, tuple[str, ...])
    prices.set("a", 1, tags=5)  # type: ignore[arg-type]
    prices.set_many({"a": 1}, tags=[5])  # type: ignore[list-item]
    prices.add("a", 1, tag="menu")  # type: ignore[call-arg]
    prices.invalidate(5)  # type: ignore[arg-type]
    prices.invalidate(where="user:*")  # type: ignore[arg-type]
    prices.invalidate(prefix=b"user:")  # type: ignore[arg-type]


def rules(grid: SyncGrid, prices: SyncCache) -> None:
    grid.cache("rates", ttl=60, grace="5m", early=1, jitter=0.1, negative_ttl=timedelta(seconds=5), failure_ttl=1.5)
    loaded = prices.get_or_load("a", load_price, ttl=60, grace="5m", early=1, jitter=0.1, tags=["a"], failure_ttl=5)
    assert_type(loaded, float)
    assert_type(prices.get_or_load("a", load_price, when=lambda price: price > 1.5, negative_ttl="5s"), float)

    @prices.cached(ttl="5m", grace="1h", early=1.5, jitter=0.1, negative_ttl="30s", failure_ttl=5, tags=tags_of)
    def price(sku: str, *, currency: str = "EUR") -> float | None:
        return float(len(sku + currency))

    @prices.cached(tags="menu", when=lambda found: bool(found), version="source", grace=None)
    def search(words: list[str]) -> list[str]:
        return words

    assert_type(price("sku-1", currency="USD"), float | None)
    assert_type(price.refresh("sku-1", currency="USD"), float | None)
    assert_type(search.refresh(["tea"]), list[str])
    assert_type(search.cache, SyncCache)
    price.refresh()  # type: ignore[call-arg]
    price.refresh(1)  # type: ignore[arg-type]
    price.refresh("sku-1", "USD")  # type: ignore[call-arg]
    search.refresh("tea")  # type: ignore[arg-type]
    grid.cache("rates", grace=[5])  # type: ignore[arg-type]
    grid.cache("rates", jitter="0.1")  # type: ignore[arg-type]
    prices.get_or_load("a", load_price, graze="5m")  # type: ignore[call-arg]
    prices.get_or_load("a", load_price, early="much")  # type: ignore[arg-type]
    prices.get_or_load("a", load_price, when=lambda price: price.upper())  # type: ignore[attr-defined]
    prices.get_or_load("a", load_price, when=True)  # type: ignore[arg-type]
    prices.cached(graze="5m")  # type: ignore[call-overload]
    prices.cached(jitter="0.1")  # type: ignore[call-overload]
    prices.cached(tags=5)  # type: ignore[call-overload]
    prices.cached(tags=len)  # type: ignore[arg-type]
    prices.cached(when="always")  # type: ignore[call-overload]
    prices.cached(version=1.5)  # type: ignore[call-overload]


async def dropping_awaited(prices: AsyncCache) -> None:
    await prices.set("a", 1, tags="menu")
    await prices.set_many({"a": 1}, tags=["menu", "news"])
    await prices.invalidate("menu", prefix="user:")
    await prices.set("a", 1, tags=5)  # type: ignore[arg-type]
    await prices.invalidate(5)  # type: ignore[arg-type]


async def rules_awaited(grid: AsyncGrid, prices: AsyncCache) -> None:
    grid.cache("rates", ttl=60, grace="5m", early=1, jitter=0.1, negative_ttl="5s", failure_ttl=1.5)
    assert_type(await prices.get_or_load("a", aload_price, grace="5m", when=lambda price: price > 1.5), float)

    @prices.cached(ttl="5m", grace="1h", early=1, jitter=0.1, negative_ttl="30s", failure_ttl=5, tags=tags_of)
    async def price(sku: str, *, currency: str = "EUR") -> float | None:
        return float(len(sku + currency))

    assert_type(await price("sku-1", currency="USD"), float | None)
    assert_type(await price.refresh("sku-1", currency="USD"), float | None)
    assert_type(price.cache, AsyncCache)
    await price.refresh()  # type: ignore[call-arg]
    await price.refresh(1)  # type: ignore[arg-type]
    await price.refresh("sku-1", "USD")  # type: ignore[call-arg]
    await prices.get_or_load("a", aload_price, graze="5m")  # type: ignore[call-arg]
    prices.cached(graze="5m")  # type: ignore[call-overload]
    prices.cached(tags=5)  # type: ignore[call-overload]


def what_async_caches_keep(prices: AsyncCache) -> None:
    prices.cached(aload_price)
    prices.cached(load_price)  # type: ignore[arg-type]
    prices.cached(ttl=5)(load_price)  # type: ignore[arg-type]


def locking(grid: SyncGrid) -> None:
    assert_type(grid.caches(), list[str])
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
