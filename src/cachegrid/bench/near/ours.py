"""cachegrid with near copies, through its public face."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import cachegrid
from cachegrid.bench.load import Load
from cachegrid.bench.near.hits import CURRENCY, RECORD, Hits, Near, priced, text_of
from cachegrid.cluster import GridState
from cachegrid.config import PolicySaid

__all__ = ["open_async", "open_sync"]

_PATIENCE: Final = 10.0  # seconds until everything is kept near
_TAGS: Final = ("texts", "all")
_EARLY: Final = 100  # the most there is: what is loaded at once costs next to nothing
# All have a time to live, without which there is nothing to load early; that alone costs nothing.
_RULES: Final[dict[Near, PolicySaid]] = {
    Near.GRACE: {"near": True, "ttl": "1h", "grace": "1h"},
    Near.EARLY: {"near": True, "ttl": "1h", "early": _EARLY},
    Near.TAGS: {"near": True, "ttl": "1h"},
    Near.EVENTS: {"near": True, "ttl": "1h"},
    Near.RULES: {"near": True, "ttl": "1h", "grace": "1h", "early": _EARLY, "jitter": 0.1},
}
_TAGGED: Final = (Near.TAGS, Near.RULES)
_HEARD: Final = (Near.EVENTS, Near.RULES)
_PAUSE: Final = 0.01  # seconds before another look: the news of what was just stored drops copies once more


@asynccontextmanager
async def open_sync(state: GridState, load: Load) -> AsyncIterator[Hits]:
    """Every key has a near copy."""
    with cachegrid.connect(state.url, config=cachegrid.Settings()) as grid:
        texts, records = grid.cache("near-texts", near=True), grid.cache("near-records", near=True)
        texts.set_many(dict.fromkeys(load.keys, text_of(load)))
        records.set_many(dict.fromkeys(load.keys, RECORD))
        function = texts.cached(priced)
        ruled = {near: grid.cache(str(near), **rules) for near, rules in _RULES.items()}
        for near, cache in ruled.items():
            for key in load.keys:
                cache.get_or_load(key, lambda: text_of(load), tags=_TAGS if near in _TAGGED else ())
            for everywhere in (False, True) if near in _HEARD else ():
                cache.on("set", _unheard, everywhere=everywhere)

        async def read_all() -> None:
            for key in load.keys:
                texts.get(key)
                records.get(key)
                function(key, CURRENCY)
                for cache in ruled.values():
                    cache.get(key)

        await _until_near(read_all, [texts, records, *ruled.values()], (3 + len(ruled)) * len(load.keys))
        singly = {near: cache.get for near, cache in ruled.items()}
        yield Hits(constant=texts.get, record=records.get, function=function, ruled=singly, threads=texts.get)


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
        ruled = {near: grid.cache(f"{near}-async", **rules) for near, rules in _RULES.items()}

        async def text() -> str:
            return text_of(load)

        for near, cache in ruled.items():
            for key in load.keys:
                await cache.get_or_load(key, text, tags=_TAGS if near in _TAGGED else ())
            for everywhere in (False, True) if near in _HEARD else ():
                await cache.on("set", _unheard, everywhere=everywhere)

        async def read_all() -> None:
            for key in load.keys:
                await texts.get(key)
                await records.get(key)
                await function(key, CURRENCY)
                for cache in ruled.values():
                    await cache.get(key)

        await _until_near(read_all, [texts, records, *ruled.values()], (3 + len(ruled)) * len(load.keys))
        singly = {near: cache.get for near, cache in ruled.items()}
        yield Hits(constant=texts.get, record=records.get, function=function, ruled=singly)


def _unheard(event: cachegrid.Event) -> None:
    """Nothing happens while hits are timed."""


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
