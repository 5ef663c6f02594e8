"""The engine that keeps its grid in this process: for tests, for one process, and where no server can run."""

from __future__ import annotations

from cachegrid.engines.memory._aio import AsyncMemoryEngine
from cachegrid.engines.memory._sio import SyncMemoryEngine
from cachegrid.engines.memory.named import store_for
from cachegrid.engines.memory.store import Store

__all__ = ["AsyncMemoryEngine", "Store", "SyncMemoryEngine", "store_for"]
