# Generated from tests/flow/_aio/test_abilities.py by tools/colour.py. Edit that file, then run `make colour`.
"""An engine that does the least that one must do: what can be done with it is done, the rest is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._sio.grid import SyncGrid
from cachegrid._sio.hub import SyncOpened
from cachegrid.config import Settings
from cachegrid.engines.memory import SyncMemoryEngine
from cachegrid.errors import EngineError, Unsupported
from tests.flow._sio.flow import look_inside
from tests.flow.waits._sio import SyncGate, begin, listed, together


class SyncBareEngine:
    """Four methods."""

    def __init__(self) -> None:
        self._engine = SyncMemoryEngine()
        self.is_closed = False

    def fetch(self, address: bytes) -> bytes | None:
        """The frame at an address."""
        return self._engine.fetch(address)

    def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """Put a frame."""
        self._engine.store(address, frame, ttl)

    def drop(self, address: bytes) -> bool:
        """Remove a frame."""
        return self._engine.drop(address)

    def close(self) -> None:
        """Close it."""
        self.is_closed = True


@pytest.fixture
def engine() -> SyncBareEngine:
    """The least."""
    return SyncBareEngine()


@pytest.fixture
def bare(engine: SyncBareEngine) -> SyncGrid:
    """A grid on it."""

    def opener() -> SyncOpened:
        return SyncOpened(engine, "bare", "bare://", None)

    return SyncGrid(opener, Settings())


def test_what_four_methods_can_do(bare: SyncGrid, engine: SyncBareEngine) -> None:
    """
    Reading and writing, one and many, loads and functions; and it is closed with the grid.
    """
    cache = bare.cache("prices", ttl=60)
    cache.set("a", 1)
    cache.set_many({"b": [2], "c": None})
    assert {"a": 1, "b": [2], "c": None} == cache.get_many(["a", "b", "c", "d"])
    assert cache.has("c")
    assert 2 == cache.delete_many(["a", "c", "d"])
    entry = cache.entry("b")
    assert entry is not None
    assert ([2], None) == (entry.value, entry.expires)
    calls: list[int] = []

    @cache.cached
    def function(number: int) -> int:
        calls.append(number)
        return number

    assert [5, 5] == [function(5), function(5)]
    assert function.invalidate(5)
    assert [5, 5] == [function(5), calls[0]]
    assert [5, 5] == calls
    assert [] == bare.members()
    bare.close()
    assert engine.is_closed
    with pytest.raises(EngineError):
        cache.get("b")


def test_without_leases_a_process_loads_once(bare: SyncGrid) -> None:
    """
    Of many callers in it one does; also if the first one fails, or what is loaded is dropped meanwhile.
    """
    cache, gate, calls = bare.cache("prices"), SyncGate(), [0]

    def load() -> int:
        calls[0] += 1
        number = calls[0]
        gate.stand()
        if number == 1:
            raise LookupError
        return number

    first = begin(cache.get_or_load, "key", load)
    gate.reached()
    others = [begin(cache.get_or_load, "key", load) for _ in range(8)]
    gate.open()
    with pytest.raises(LookupError):
        first.result()
    assert [2] * 8 == [other.result() for other in others]
    cache.delete("key")
    assert [3] * 8 == together(*[lambda: cache.get_or_load("key", load)] * 8)
    look_inside(bare)
    later = SyncGate()

    def load_later() -> int:
        later.stand()
        return 4

    dropped = begin(cache.get_or_load, "other", load_later)
    later.reached()
    cache.delete("other")
    later.open()
    assert 4 == dropped.result()
    assert not cache.has("other")
    bare.close()


def test_what_four_methods_cannot_wait_for(bare: SyncGrid) -> None:
    """
    A durability is refused at the first use, and at each, before anything is stored.
    """
    cache = bare.cache("prices", durability="replicated")
    for _ in range(2):
        with pytest.raises(Unsupported, match="waits for 1 replica needs an engine with durables"):
            cache.set("key", 1)
    assert cache.with_durability("memory").get("key") is None
    bare.close()


def test_what_four_methods_cannot_do(bare: SyncGrid) -> None:
    """
    It is refused with a sentence that names what was asked, the ability, and the engine; nothing is stored.
    """
    cache = bare.cache("prices")
    cache.set("key", 1)
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
        with pytest.raises(Unsupported, match=f"^{match}, which SyncBareEngine has not$"):
            call()
    idle = bare.cache("idle", idle=5)
    for call in (lambda: idle.get("key"), lambda: idle.set("key", 1)):
        with pytest.raises(Unsupported, match="^idle= needs an engine with times"):
            call()
    assert (1, None) == (cache.get("key"), cache.get("new"))
    bare.close()


class SyncCountingEngine(SyncBareEngine):
    """One ability more."""

    def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        """Add to an integer."""
        return self._engine.add(address, by, start, ttl)


def test_what_an_engine_has_is_used() -> None:
    """
    Beside the stand-ins for what it lacks.
    """

    def opener() -> SyncOpened:
        return SyncOpened(SyncCountingEngine(), "counting", "counting://", None)

    grid = SyncGrid(opener, Settings())
    cache = grid.cache("prices")
    assert [1, 3] == [cache.incr("key"), cache.incr("key", 2)]
    assert {"key": 3} == cache.get_many(["key"])
    grid.close()
