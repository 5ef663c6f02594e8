"""An engine that does the least that one must do: what can be done with it is done, the rest is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.hub import AsyncOpened
from cachegrid.config import Settings
from cachegrid.engines.memory import AsyncMemoryEngine
from cachegrid.errors import EngineError, Unsupported
from tests.flow._aio.flow import look_inside
from tests.flow.waits._aio import AsyncGate, begin, listed, together


class AsyncBareEngine:
    """Four methods."""

    def __init__(self) -> None:
        self._engine = AsyncMemoryEngine()
        self.is_closed = False

    async def fetch(self, address: bytes) -> bytes | None:
        """The frame at an address."""
        return await self._engine.fetch(address)

    async def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """Put a frame."""
        await self._engine.store(address, frame, ttl)

    async def drop(self, address: bytes) -> bool:
        """Remove a frame."""
        return await self._engine.drop(address)

    async def aclose(self) -> None:
        """Close it."""
        self.is_closed = True


@pytest.fixture
async def engine() -> AsyncBareEngine:
    """The least."""
    return AsyncBareEngine()


@pytest.fixture
async def bare(engine: AsyncBareEngine) -> AsyncGrid:
    """A grid on it."""

    async def opener() -> AsyncOpened:
        return AsyncOpened(engine, "bare", "bare://", None)

    return AsyncGrid(opener, Settings())


async def test_what_four_methods_can_do(bare: AsyncGrid, engine: AsyncBareEngine) -> None:
    """
    Reading and writing, one and many, loads and functions; and it is closed with the grid.
    """
    cache = bare.cache("prices", ttl=60)
    await cache.set("a", 1)
    await cache.set_many({"b": [2], "c": None})
    assert {"a": 1, "b": [2], "c": None} == await cache.get_many(["a", "b", "c", "d"])
    assert await cache.has("c")
    assert 2 == await cache.delete_many(["a", "c", "d"])
    entry = await cache.entry("b")
    assert entry is not None
    assert ([2], None) == (entry.value, entry.expires)
    calls: list[int] = []

    @cache.cached
    async def function(number: int) -> int:
        calls.append(number)
        return number

    assert [5, 5] == [await function(5), await function(5)]
    assert await function.invalidate(5)
    assert [5, 5] == [await function(5), calls[0]]
    assert [5, 5] == calls
    assert [] == await bare.members()
    await bare.aclose()
    assert engine.is_closed
    with pytest.raises(EngineError):
        await cache.get("b")


async def test_without_leases_a_process_loads_once(bare: AsyncGrid) -> None:
    """
    Of many callers in it one does; also if the first one fails, or what is loaded is dropped meanwhile.
    """
    cache, gate, calls = bare.cache("prices"), AsyncGate(), [0]

    async def load() -> int:
        calls[0] += 1
        number = calls[0]
        await gate.stand()
        if number == 1:
            raise LookupError
        return number

    first = begin(cache.get_or_load, "key", load)
    await gate.reached()
    others = [begin(cache.get_or_load, "key", load) for _ in range(8)]
    gate.open()
    with pytest.raises(LookupError):
        await first.result()
    assert [2] * 8 == [await other.result() for other in others]
    await cache.delete("key")
    assert [3] * 8 == await together(*[lambda: cache.get_or_load("key", load)] * 8)
    look_inside(bare)
    later = AsyncGate()

    async def load_later() -> int:
        await later.stand()
        return 4

    dropped = begin(cache.get_or_load, "other", load_later)
    await later.reached()
    await cache.delete("other")
    later.open()
    assert 4 == await dropped.result()
    assert not await cache.has("other")
    await bare.aclose()


async def test_what_four_methods_cannot_wait_for(bare: AsyncGrid) -> None:
    """
    A durability is refused at the first use, and at each, before anything is stored.
    """
    cache = bare.cache("prices", durability="replicated")
    for _ in range(2):
        with pytest.raises(Unsupported, match="waits for 1 replica needs an engine with durables"):
            await cache.set("key", 1)
    assert await cache.with_durability("memory").get("key") is None
    await bare.aclose()


async def test_what_four_methods_cannot_do(bare: AsyncGrid) -> None:
    """
    It is refused with a sentence that names what was asked, the ability, and the engine; nothing is stored.
    """
    cache = bare.cache("prices")
    await cache.set("key", 1)
    refused: dict[str, Any] = {
        "clear.. and invalidate_all.. needs an engine with epochs": cache.clear,
        "add.. needs an engine with conditions": lambda: cache.add("new", 1),
        "replace.. needs an engine with conditions": lambda: cache.replace("key", 1),
        "compare_and_set.. and update.. needs an engine with conditions": lambda: cache.update("key", str),
        "incr.. needs an engine with counts": lambda: cache.incr("key"),
        "touch.. needs an engine with times": lambda: cache.touch("key", 5),
        "lock.. needs an engine with leases": lambda: bare.lock("job").acquire(),
        "keys.. needs an engine with walks": lambda: listed(cache.keys()),
        "idle= needs an engine with times": lambda: cache.set("new", 1, idle=5),
    }
    for match, call in refused.items():
        with pytest.raises(Unsupported, match=f"^{match}, which AsyncBareEngine has not$"):
            await call()
    idle = bare.cache("idle", idle=5)
    for call in (lambda: idle.get("key"), lambda: idle.set("key", 1)):
        with pytest.raises(Unsupported, match="^idle= needs an engine with times"):
            await call()
    assert (1, None) == (await cache.get("key"), await cache.get("new"))
    await bare.aclose()


class AsyncCountingEngine(AsyncBareEngine):
    """One ability more."""

    async def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        """Add to an integer."""
        return await self._engine.add(address, by, start, ttl)


async def test_what_an_engine_has_is_used() -> None:
    """
    Beside the stand-ins for what it lacks.
    """

    async def opener() -> AsyncOpened:
        return AsyncOpened(AsyncCountingEngine(), "counting", "counting://", None)

    grid = AsyncGrid(opener, Settings())
    cache = grid.cache("prices")
    assert [1, 3] == [await cache.incr("key"), await cache.incr("key", 2)]
    assert {"key": 3} == await cache.get_many(["key"])
    await grid.aclose()
