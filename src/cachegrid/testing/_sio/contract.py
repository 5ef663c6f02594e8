# Generated from src/cachegrid/testing/_aio/contract.py by tools/colour.py. Edit that file, then run `make colour`.
"""The whole contract: every part of it, for every engine."""

from __future__ import annotations

from cachegrid.testing._sio.basics import SyncBasicsContract
from cachegrid.testing._sio.batches import SyncBatchesContract
from cachegrid.testing._sio.conditions import SyncConditionsContract
from cachegrid.testing._sio.counts import SyncCountsContract
from cachegrid.testing._sio.durables import SyncDurablesContract
from cachegrid.testing._sio.epochs import SyncEpochsContract
from cachegrid.testing._sio.landings import SyncLandingsContract
from cachegrid.testing._sio.leases import SyncLeasesContract
from cachegrid.testing._sio.pushes import SyncPushesContract
from cachegrid.testing._sio.tags import SyncTagsContract
from cachegrid.testing._sio.tells import SyncTellsContract
from cachegrid.testing._sio.times import SyncTimesContract
from cachegrid.testing._sio.walks import SyncMembersContract, SyncWalksContract

__all__ = ["SyncEngineContract"]


class SyncEngineContract(
    SyncBasicsContract,
    SyncBatchesContract,
    SyncConditionsContract,
    SyncCountsContract,
    SyncDurablesContract,
    SyncTimesContract,
    SyncLeasesContract,
    SyncLandingsContract,
    SyncEpochsContract,
    SyncTagsContract,
    SyncWalksContract,
    SyncMembersContract,
    SyncPushesContract,
    SyncTellsContract,
):
    """
    What an engine is: a class of tests that every engine passes, on a real grid that is there for this alone.

    Derive from it, say how an engine is opened, and name what it lacks; the rest is the test runner's work.
    The tests run themselves: no plug-in for async tests is needed. Every engine is closed after its test,
    and what it leaves running fails the test.

        class TestMine(SyncEngineContract):
            lacks = frozenset({"Epochs", "Outages"})

            def open_engine(self) -> MyEngine:
                return MyEngine.connect("127.0.0.1", 7000)
    """
