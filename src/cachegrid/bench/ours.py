"""cachegrid through its public face: codec, frame and counters included, with values of bytes and of text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cachegrid
from cachegrid.bench.load import Calls, Load
from cachegrid.cluster import GridState

__all__ = ["open_async", "open_sync", "open_sync_by_ports", "open_sync_text"]


@asynccontextmanager
async def open_sync(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """Values are bytes, as those of the other clients."""
    with cachegrid.connect(state.url, config=cachegrid.Settings()) as grid:
        cache = grid.cache("bench")
        yield Calls(cache.get, cache.set, cache.get_many, load.value)


@asynccontextmanager
async def open_sync_by_ports(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """As programs of other hosts and other users do: not through the unix sockets of members."""
    with cachegrid.connect(state.full_url, config=cachegrid.Settings()) as grid:
        cache = grid.cache("bench")
        yield Calls(cache.get, cache.set, cache.get_many, load.value)


@asynccontextmanager
async def open_sync_text(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """Values are text, which the others would have their callers encode."""
    with cachegrid.connect(state.url, config=cachegrid.Settings()) as grid:
        cache = grid.cache("bench-text")
        yield Calls(cache.get, cache.set, cache.get_many, load.value.decode())


@asynccontextmanager
async def open_async(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """The same, awaited."""
    async with cachegrid.aconnect(state.url, config=cachegrid.Settings()) as grid:
        cache = grid.cache("bench-async")
        yield Calls(cache.get, cache.set, cache.get_many, load.value)
