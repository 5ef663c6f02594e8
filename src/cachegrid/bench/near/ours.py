"""cachegrid with near copies, through its public face."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import cachegrid
from cachegrid.bench.load import Load
from cachegrid.bench.near.hits import CURRENCY, RECORD, Hits, priced, text_of
from cachegrid.cluster import GridState
from cachegrid.config import PolicySaid

__all__ = ["open_async", "open_sync"]

_PATIENCE: Final = 10.0  # seconds until everything is kept near
_TAGS: Final = ("texts", "all")
_RULES: Final[PolicySaid] = {"near": True, "ttl": "1h", "grace": "1h", "early": 1, "jitter": 0.1}
_PAUSE: Final = 0.01  # seconds before another look: the news of what was just stored drops copies once more


@asynccontextmanager
async def open_sync(state: GridState, load: Load) -> AsyncIterator[Hits]:
    """Every key has a near copy."""
    with cachegrid.connect(state.url, config=cachegrid.Settings()) as grid:
        texts, records = grid.cache("near-texts", near=True), grid.cache("near-records", near=True)
        texts.set_many(dict.fromkeys(load.keys, text_of(load)))
        records.set_many(dict.fromkeys(load.keys, RECORD))
        function = texts.cached(priced)
        ruled = grid.cache("near-rules", **_RULES)
        for key in load.keys:
            ruled.get_or_load(key, lambda: text_of(load), tags=_TAGS)

        async def read_all() -> None:
            for key in load.keys:
                texts.get(key)
                records.get(key)
                function(key, CURRENCY)
                ruled.get(key)

        await _until_near(read_all, [texts, records, ruled], 4 * len(load.keys))
        yield Hits(constant=texts.get, record=records.get, function=function, rules=ruled.get, threads=texts.get)


@asynccontextmanager
async def open_async(state: GridState, load: Load) -> AsyncIterator[Hits]:
    """The same, awaited."""

    async def price(sku: str, currency: str) -> str:
        return priced(sku, currency)

    async with cachegrid.aconnect(state.url, config=cachegrid.Settings()) as grid:
        texts, records = grid.cache("near-texts-async", near=True), grid.cache("near-records-async", near=True)
        await texts.set_many(dict.fromkeys(load.keys, text_of(load)))
        await records.set_many(dict.fromkeys(load.keys, RECORD))
        function = texts.cached(price)
        ruled = grid.cache("near-rules-async", **_RULES)

        async def text() -> str:
            return text_of(load)

        for key in load.keys:
            await ruled.get_or_load(key, text, tags=_TAGS)

        async def read_all() -> None:
            for key in load.keys:
                await texts.get(key)
                await records.get(key)
                await function(key, CURRENCY)
                await ruled.get(key)

        await _until_near(read_all, [texts, records, ruled], 4 * len(load.keys))
        yield Hits(constant=texts.get, record=records.get, function=function, rules=ruled.get)


async def _until_near(read_all: Callable[[], Awaitable[None]], caches: list[Any], reads: int) -> None:
    """Read until all reads of a round were answered in this process."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        before = _near_hits(caches)
        await read_all()
        if _near_hits(caches) - before == reads:
            return
        await asyncio.sleep(_PAUSE)
    raise TimeoutError(f"not everything was kept near within {_PATIENCE:g} s")


def _near_hits(caches: list[Any]) -> int:
    return sum(cache.stats().near_hits for cache in caches)
