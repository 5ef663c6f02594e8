"""The memory engine is an engine, in both colours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from cachegrid.engines.memory import AsyncMemoryEngine, Store, SyncMemoryEngine
from cachegrid.testing import AsyncEngineContract, SyncEngineContract


class TestAsyncMemory(AsyncEngineContract):
    lacks = frozenset({"Outages", "Shortage"})  # a grid in our own memory is never away, and has nothing to wait for
    store = Store()

    async def open_engine(self) -> AsyncMemoryEngine:
        """One more on the same store."""
        return AsyncMemoryEngine(self.store)

    @pytest.fixture(autouse=True)
    def _without_blocking(self) -> Iterator[None]:
        with blockbuster_ctx("cachegrid"):
            yield


class TestSyncMemory(SyncEngineContract):
    lacks = frozenset({"Outages", "Shortage"})
    store = Store()

    def open_engine(self) -> SyncMemoryEngine:
        """One more on the same store."""
        return SyncMemoryEngine(self.store)
