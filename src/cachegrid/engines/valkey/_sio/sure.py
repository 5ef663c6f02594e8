# Generated from src/cachegrid/engines/valkey/_aio/sure.py by tools/colour.py. Edit that file, then run `make colour`.
"""The engine as those read with it who decide something by what they read: owners answer, and nobody in their stead."""

from __future__ import annotations

from libvalkey import ReplyError

from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.slots import Endpoint

__all__ = ["SyncSure"]


class SyncSure(SyncValkeyEngine):
    """Another face of the same engine, with all that it is and knows."""

    def __init__(self, engine: SyncValkeyEngine) -> None:
        # Not made like an engine: what the one learns, the other knows.
        self.__dict__ = engine.__dict__

    def sure_reads(self) -> SyncValkeyEngine:
        return self

    def _has_others(self, owner: Endpoint, deadline: float) -> bool:
        return False

    def _from_replica(self, slot: int, request: bytes, deadline: float) -> object:
        return ReplyError("MASTERDOWN this is asked of owners only")
