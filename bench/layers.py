"""
Where the time of a call goes: each layer is timed at its own entrance, and the parts that touch no socket alone.

    python bench/layers.py    about 20 s, on a grid of its own

What a layer costs is the difference to the one under it. A profiler would charge every Python call a multiple of its
price, and so show a path of small functions as slower than it is.
"""

# ruff: noqa: SLF001 - it looks inside on purpose

from __future__ import annotations

import asyncio
import statistics
import time
import timeit
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import cachegrid
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.bench.bare import open_bare
from cachegrid.bench.cpus import side_by_side
from cachegrid.bench.facts import own_grid
from cachegrid.bench.load import FULL, Calls
from cachegrid.bench.near.hits import CURRENCY, RECORD, priced
from cachegrid.cluster import GridState
from cachegrid.engines.valkey import commands
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.near.copies import ENDLESS

ROUNDS = 150
KEYS, VALUE = FULL.keys, FULL.value
CALLERS, EACH = 50, 20

Call: TypeAlias = Callable[[], Any]


async def main() -> None:
    """Print a table for each path."""
    with own_grid() as (state, _):
        async with AsyncExitStack() as stack:
            bare = await stack.enter_async_context(open_bare(state, FULL))
            grid = stack.enter_context(cachegrid.connect(state.url, config=cachegrid.Settings()))
            cache = grid.cache("layers")
            cache.set_many(dict.fromkeys(KEYS, VALUE))
            for key in KEYS:
                bare.set(key, VALUE)
            await callers(state, stack)
            batches(bare, cache)
            singles(state, bare, cache)
            parts(cache)
            near(grid)


def singles(state: GridState, bare: Calls, cache: SyncCache) -> None:
    """One GET, and one SET, after the other."""
    engine = cache._engine
    addresses = [cache._space.address(key) for key in KEYS]
    ends = cache._ends_by_policy
    frames = [cache._freeze(address, key, VALUE, ends) for address, key in zip(addresses, KEYS, strict=True)]
    values, never = [VALUE] * len(KEYS), [None] * len(KEYS)
    with side_by_side(state):
        gets = {
            "bare socket": every(bare.get, KEYS),
            "engine.fetch": every(engine.fetch, addresses),
            "cache.get": every(cache.get, KEYS),
        }
        show("GET", in_turns(gets), len(KEYS))
        sets = {
            "bare socket": every(bare.set, KEYS, values),
            "engine.store": every(engine.store, addresses, frames, never),
            "cache.set": every(cache.set, KEYS, values),
        }
        show("SET", in_turns(sets), len(KEYS))


def batches(bare: Calls, cache: SyncCache) -> None:
    """100 keys at once."""
    engine = cache._engine
    addresses = [cache._space.address(key) for key in KEYS]
    many = {
        "bare sockets": lambda: bare.get_many(KEYS),
        "engine.fetch_parts": lambda: list(engine.fetch_parts(addresses)),
        "cache.get_many": lambda: cache.get_many(KEYS),
    }
    show("100 keys, for each", in_turns(many), len(KEYS))


async def callers(state: GridState, stack: AsyncExitStack) -> None:
    """Many tasks that get at once."""
    grid = await stack.enter_async_context(cachegrid.aconnect(state.url, config=cachegrid.Settings()))
    cache = grid.cache("layers")
    await cache.get_many(KEYS)
    engine: Any = cache._engine
    addresses = [cache._space.address(key) for key in KEYS]
    links = [engine._owners[slot_of(address)] for address in addresses]
    requests = [commands.fetch(address) for address in addresses]

    async def turn(_: object) -> None:
        await asyncio.sleep(0)

    async def call(index: int) -> object:
        return await links[index].call(requests[index])

    layers = {
        "a turn of the loop": at_once(turn, KEYS),
        "link.call": at_once(call, range(len(KEYS))),
        "engine.fetch": at_once(engine.fetch, addresses),
        "cache.get": at_once(cache.get, KEYS),
    }
    slices: dict[str, list[float]] = {name: [] for name in layers}
    for _ in range(ROUNDS):
        for name, run in layers.items():
            begun = time.perf_counter()
            await run()
            slices[name].append(time.perf_counter() - begun)
    show(f"GET by {CALLERS} async callers", slices, CALLERS * EACH)


def parts(cache: SyncCache) -> None:
    """What needs no socket, each part alone."""
    space, pipeline, ends = cache._space, cache._pipeline, cache._ends_by_policy
    key = KEYS[0]
    address = space.address(key)
    frame, text = (cache._freeze(address, key, value, ends) for value in (VALUE, VALUE.decode()))
    steps: dict[str, Call] = {
        "address of a key": lambda: space.address(key),
        "slot of an address": lambda: slot_of(address),
        "request of a GET": lambda: commands.fetch(address),
        "request of a SET": lambda: commands.store(address, frame, None),
        "frame of 200 bytes": lambda: cache._freeze(address, key, VALUE, ends),
        "frame of 200 characters": lambda: cache._freeze(address, key, VALUE.decode(), ends),
        "value from a frame, bytes": lambda: pipeline.thaw(address, frame),
        "value from a frame, str": lambda: pipeline.thaw(address, text),
    }
    print("\nParts, microseconds")
    for name, step in steps.items():
        print(f"  {name:28s}{min(timeit.repeat(step, number=20_000, repeat=7)) / 20_000 * 1e6:8.3f}")


def near(grid: SyncGrid) -> None:
    """A near hit: each call at its own entrance, and what the innermost one does."""
    cache: Any = grid.cache("layers-near", near=True)
    function = cache.cached(priced)
    key, inside = KEYS[0], function.cache
    cache.set(key, VALUE.decode())
    cache.set("record", RECORD)
    arguments = key, CURRENCY
    pair = function.key(*arguments)
    while cache.stats().near_hits < 100:  # until the news of what was stored has come, and copies are kept
        cache.get(key)
        cache.get("record")
        function(*arguments)
    space, copy, raw, kinds = cache._space, cache._space.table[key], cache._space.table["record"].raw, {str, int, bytes}
    now = time.monotonic()
    steps: dict[str, Call] = {
        "is the space current": lambda: space.doubt == cache._engine.doubt,
        "look into the table": lambda: space.table.get(key),
        "time.monotonic": time.monotonic,
        "are copy and guard fresh": lambda: now < copy.ends and now - copy.guard.heard < ENDLESS,
        "are a tuple's parts keys": lambda: kinds.issuperset(map(type, pair)),
        "decode a record": lambda: cache._pipeline.decode(raw),
        "key of a call": lambda: function._make_key(arguments, {}),
        "cache.get, str": lambda: cache.get(key),
        "cache.get, record": lambda: cache.get("record"),
        "cache._read, tuple": lambda: inside._read(pair),
        "@cached": lambda: function(key, CURRENCY),
    }
    print("\nA near hit, microseconds")
    _show_steps(steps, number=50_000)


def _show_steps(steps: dict[str, Call], number: int) -> None:
    """Each step without what it takes to call it."""
    empty = _us(lambda: None, number)
    for name, step in steps.items():
        print(f"  {name:28s}{_us(step, number) - empty:8.3f}")


def _us(step: Call, number: int) -> float:
    return min(timeit.repeat(step, number=number, repeat=7)) / number * 1e6


def every(call: Callable[..., Any], *arguments: Sequence[Any]) -> Call:
    """One call after the other, with these arguments."""
    work = list(zip(*arguments, strict=True))

    def run() -> None:
        for one in work:
            call(*one)

    return run


def at_once(call: Callable[[Any], Any], arguments: Sequence[Any]) -> Call:
    """All callers at once, each with several calls."""

    async def caller(number: int) -> None:
        for step in range(EACH):
            await call(arguments[(number + step) % len(arguments)])

    return lambda: asyncio.gather(*[caller(number) for number in range(CALLERS)])


def in_turns(layers: dict[str, Call]) -> dict[str, list[float]]:
    """The seconds that each layer took, round by round."""
    slices: dict[str, list[float]] = {name: [] for name in layers}
    for _ in range(ROUNDS):
        for name, run in layers.items():
            begun = time.perf_counter()
            run()
            slices[name].append(time.perf_counter() - begun)
    return slices


def show(title: str, slices: dict[str, list[float]], operations: int) -> None:
    """Print each layer: all of it, and what it adds to the one before."""
    print(f"\n{title}, microseconds{'in all':>20}{'adds':>8}")
    below = 0.0
    for name, seconds in slices.items():
        quicker = sorted(seconds)[: len(seconds) // 2]
        us = statistics.median(quicker) / operations * 1e6
        print(f"  {name:28s}{us:8.2f}{us - below:8.2f}")
        below = us


if __name__ == "__main__":
    asyncio.run(main())
