"""
The engine contract: the tests that define what an engine is, in both colours.

They ship with the package, so that a plug-in's engine can run the tests that ours run.
"""

from __future__ import annotations

import cachegrid.testing._rewriting  # noqa: F401 - first: the asserts of what follows explain themselves by it
from cachegrid.testing._aio.contract import AsyncEngineContract
from cachegrid.testing._sio.contract import SyncEngineContract

__all__ = ["AsyncEngineContract", "SyncEngineContract"]
