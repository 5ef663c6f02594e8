"""The engine as those read with it who decide something by what they read: owners answer, and nobody in their stead."""

from __future__ import annotations

from libvalkey import ReplyError

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey.slots import Endpoint

__all__ = ["AsyncSure"]


class AsyncSure(AsyncValkeyEngine):
    """Another face of the same engine, with all that it is and knows."""

    def __init__(self, engine: AsyncValkeyEngine) -> None:
        # Not made like an engine: what the one learns, the other knows.
        self.__dict__ = engine.__dict__

    def sure_reads(self) -> AsyncValkeyEngine:
        return self

    async def _has_others(self, owner: Endpoint, deadline: float) -> bool:
        return False

    async def _from_replica(self, slot: int, request: bytes, deadline: float) -> object:
        return ReplyError("MASTERDOWN this is asked of owners only")
