"""What tests of cachegrid and of its plug-ins are made of: contracts for engines and codecs, a clock that obeys."""

from __future__ import annotations

import cachegrid.testing._rewriting  # noqa: F401 - first: asserts explain themselves by it
from cachegrid.testing.clock import FakeClock
from cachegrid.testing.codec_contract import CodecContract
from cachegrid.testing.engine_contract import AsyncEngineContract, SyncEngineContract

__all__ = ["AsyncEngineContract", "CodecContract", "FakeClock", "SyncEngineContract"]
