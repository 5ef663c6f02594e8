"""Grids for a test, closed after it, and looked into: nothing may be left of what they did behind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.hub import AsyncOpened
from cachegrid.config import Settings
from cachegrid.engines.memory import AsyncMemoryEngine
from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from tests.flow._aio.gated import AsyncGatedEngine
from tests.flow.backing import Backing
from tests.flow.waits._aio import AsyncGate, listed

__all__ = ["AsyncFlow", "engine_of", "look_inside", "raw_of"]

SECRET = b"a secret of sixteen bytes and more"


class AsyncFlow:
    """Opens grids that share one backing, as processes do that connect to one grid."""

    def __init__(self, backing: Backing, near: Mapping[str, Any] | None = None) -> None:
        self.backing, self.near = backing, near
        self.leaves_leases = False  # set by a test that leaves some behind
        self.grids: list[AsyncGrid] = []

    async def grid(self, *, secret: bytes | None = SECRET, **settings: Any) -> AsyncGrid:
        """One more grid, connected; `settings` as in `Settings`."""
        grid = self.unopened(secret=secret, **settings)
        return await grid.connect()

    def unopened(self, *, secret: bytes | None = SECRET, **settings: Any) -> AsyncGrid:
        """One more grid, which connects at its first use."""

        async def open_engine() -> AsyncOpened:
            return AsyncOpened(AsyncGatedEngine(await self.engine()), "test", self.backing.url, secret)

        make = AsyncGrid if self.near is None else partial(_AsyncNearGrid, self.near)
        grid = make(open_engine, Settings(**{"namespace": self.backing.namespace, **settings}))
        self.grids.append(grid)
        return grid

    def gate(self) -> AsyncGate:
        """A gate for a loader to stand at."""
        return AsyncGate()

    async def engine(self) -> AsyncMemoryEngine | AsyncValkeyEngine:
        """One more engine on the backing; to be closed by who asked for it."""
        if self.backing.target is None:
            return AsyncMemoryEngine(self.backing.store)
        engine = AsyncValkeyEngine(self.backing.target)
        await engine.open()
        return engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as stack:
            for grid in self.grids:
                stack.push_async_callback(grid.aclose)
            if kind is None:
                for grid in self.grids:
                    look_inside(grid)
                await self._no_leases()
        for grid in self.grids:
            assert 0 == len(grid._hub.tasks) + len(grid._hub.keeper._tasks), "background work goes on after close"

    async def _no_leases(self) -> None:
        if self.leaves_leases:
            return
        if self.backing.is_memory:
            assert {} == self.backing.store._leases._held
            return
        engine = await self.engine()
        try:
            prefix = b"cg!lease:{" + self.backing.namespace.encode()
            pages = await listed(engine.walk(prefix))
            left = await engine.fetch_many([address for page in pages for address in page])
            # What was given back is remembered for a while, with an end of 0.
            assert [] == [lease for lease in left if lease is not None and not lease.startswith(b"0 ")]
        finally:
            await engine.aclose()


class _AsyncNearGrid(AsyncGrid):
    """A grid whose caches keep near copies, where they have no idle time."""

    def __init__(self, near: Mapping[str, Any], *args: Any) -> None:
        super().__init__(*args)
        self._near = near

    def cache(self, name: str = "default", **policy: Any) -> AsyncCache:
        """The cache of a name."""
        if (policy or name not in self._caches) and not policy.get("idle"):
            policy = {"near": self._near, **policy}
        return super().cache(name, **policy)


def look_inside(grid: AsyncGrid) -> None:
    """Nobody loads, and no lease is held."""
    assert {} == grid._hub.flights._flights, "a flight never landed"
    assert 0 == len(grid._hub.keeper), "a lease is renewed that nobody holds"


def engine_of(grid: AsyncGrid) -> AsyncGatedEngine:
    """The engine of a connected grid, to hold its calls."""
    opened = grid._hub.opened
    assert opened is not None
    assert isinstance(opened.engine, AsyncGatedEngine)
    return opened.engine


async def raw_of(grid: AsyncGrid, address: bytes) -> bytes | None:
    """The bytes at an address, past every cache."""
    frame: bytes | None = await engine_of(grid).engine.fetch(address)
    return frame
