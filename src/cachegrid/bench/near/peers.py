"""
Caches that live in one process, each loaded only when it is opened: one that is not installed fails alone.

A record has to come out fresh each time, since its caller may change it. Caches that can do that do it their own way;
for the others it is pickled by hand.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from cachegrid.bench.load import Load
from cachegrid.bench.near.hits import RECORD, Hits, priced, text_of
from cachegrid.cluster import GridState

__all__ = [
    "Opener",
    "aopen_aiocache",
    "aopen_cashews",
    "open_cachebox",
    "open_cachetools",
    "open_dict",
    "open_dogpile",
    "open_locmem",
    "open_lru_cache",
]

Opener: TypeAlias = Callable[[GridState, Load], AbstractAsyncContextManager[Hits]]


@asynccontextmanager
async def open_dict(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """A plain dict: the limit of what can be had, and no cache."""
    texts = dict.fromkeys(load.keys, text_of(load))
    yield Hits(constant=texts.get, threads=texts.get)


@asynccontextmanager
async def open_lru_cache(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """`functools.lru_cache`."""
    import functools

    text = text_of(load)
    constant = functools.lru_cache(maxsize=1024)(lambda _: text)
    pickled = functools.lru_cache(maxsize=1024)(lambda _: pickle.dumps(RECORD))
    function = functools.lru_cache(maxsize=1024)(priced)
    yield Hits(constant=constant, record=_unpickled(pickled), function=function, threads=constant)


@asynccontextmanager
async def open_cachetools(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """cachetools' LRU; threads may share it only with a lock."""
    import cachetools

    texts: Any = cachetools.LRUCache(1024)
    records: Any = cachetools.LRUCache(1024)
    lock = threading.Lock()
    texts.update(dict.fromkeys(load.keys, text_of(load)))
    records.update(dict.fromkeys(load.keys, pickle.dumps(RECORD)))

    def locked(key: str) -> Any:
        with lock:
            return texts[key]

    function = cachetools.cached(cachetools.LRUCache(1024))(priced)
    yield Hits(constant=texts.get, record=_unpickled(records.get), function=function, threads=locked)


@asynccontextmanager
async def open_cachebox(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """cachebox's LRU."""
    import cachebox

    texts: Any = cachebox.LRUCache(1024)
    records: Any = cachebox.LRUCache(1024)
    texts.update(dict.fromkeys(load.keys, text_of(load)))
    records.update(dict.fromkeys(load.keys, pickle.dumps(RECORD)))
    function = cachebox.cached(cachebox.LRUCache(1024))(priced)
    yield Hits(constant=texts.get, record=_unpickled(records.get), function=function, threads=texts.get)


@asynccontextmanager
async def open_dogpile(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """dogpile.cache's memory backends."""
    from dogpile.cache import make_region

    texts: Any = make_region().configure("dogpile.cache.memory")
    records: Any = make_region().configure("dogpile.cache.memory_pickle")
    texts.set_multi(dict.fromkeys(load.keys, text_of(load)))
    records.set_multi(dict.fromkeys(load.keys, RECORD))
    function = texts.cache_on_arguments()(priced)
    yield Hits(constant=texts.get, record=records.get, function=function, threads=texts.get)


@asynccontextmanager
async def open_locmem(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """Django's locmem, which pickles everything. Django decorates views, and no functions."""
    from django.core.cache.backends.locmem import LocMemCache

    cache: Any = LocMemCache("bench", {"OPTIONS": {"MAX_ENTRIES": 1024}})
    records: Any = LocMemCache("bench-records", {"OPTIONS": {"MAX_ENTRIES": 1024}})
    cache.set_many(dict.fromkeys(load.keys, text_of(load)))
    records.set_many(dict.fromkeys(load.keys, RECORD))
    yield Hits(constant=cache.get, record=records.get, threads=cache.get)


@asynccontextmanager
async def aopen_cashews(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """cashews' memory; told to pickle, where records are concerned."""
    from cashews import Cache

    texts: Any = Cache()
    records: Any = Cache()
    texts.setup("mem://?size=1024")
    records.setup("mem://?size=1024&pickle_type=default")
    try:
        await texts.set_many(dict.fromkeys(load.keys, text_of(load)))
        await records.set_many(dict.fromkeys(load.keys, RECORD))
        yield Hits(constant=texts.get, record=records.get, function=texts(ttl="1h")(_price))
    finally:
        await texts.close()
        await records.close()


@asynccontextmanager
async def aopen_aiocache(_state: GridState, load: Load) -> AsyncIterator[Hits]:
    """aiocache's memory; told to pickle, where records are concerned."""
    from aiocache import SimpleMemoryCache, cached
    from aiocache.serializers import PickleSerializer

    texts: Any = SimpleMemoryCache()
    records: Any = SimpleMemoryCache(serializer=PickleSerializer(), namespace="records")
    await texts.multi_set([(key, text_of(load)) for key in load.keys])
    await records.multi_set([(key, RECORD) for key in load.keys])
    yield Hits(constant=texts.get, record=records.get, function=cached(ttl=3600)(_price))


def _unpickled(get: Callable[[str], Any]) -> Callable[[str], Any]:
    loads = pickle.loads
    return lambda key: loads(get(key))  # what it has pickled itself


async def _price(sku: str, currency: str) -> str:
    return priced(sku, currency)
