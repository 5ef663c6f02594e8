"""The whole contract: every part of it, for every engine."""

from __future__ import annotations

from cachegrid.testing._aio.basics import AsyncBasicsContract
from cachegrid.testing._aio.batches import AsyncBatchesContract
from cachegrid.testing._aio.conditions import AsyncConditionsContract
from cachegrid.testing._aio.counts import AsyncCountsContract
from cachegrid.testing._aio.durables import AsyncDurablesContract
from cachegrid.testing._aio.epochs import AsyncEpochsContract
from cachegrid.testing._aio.landings import AsyncLandingsContract
from cachegrid.testing._aio.leases import AsyncLeasesContract
from cachegrid.testing._aio.pushes import AsyncPushesContract
from cachegrid.testing._aio.tags import AsyncTagsContract
from cachegrid.testing._aio.tells import AsyncTellsContract
from cachegrid.testing._aio.times import AsyncTimesContract
from cachegrid.testing._aio.walks import AsyncMembersContract, AsyncWalksContract

__all__ = ["AsyncEngineContract"]


class AsyncEngineContract(
    AsyncBasicsContract,
    AsyncBatchesContract,
    AsyncConditionsContract,
    AsyncCountsContract,
    AsyncDurablesContract,
    AsyncTimesContract,
    AsyncLeasesContract,
    AsyncLandingsContract,
    AsyncEpochsContract,
    AsyncTagsContract,
    AsyncWalksContract,
    AsyncMembersContract,
    AsyncPushesContract,
    AsyncTellsContract,
):
    """
    What an engine is: a class of tests that every engine passes, on a real grid that is there for this alone.

    Derive from it, say how an engine is opened, and name what it lacks; the rest is the test runner's work.
    The tests run themselves: no plug-in for async tests is needed. Every engine is closed after its test,
    and what it leaves running fails the test.

        class TestMine(AsyncEngineContract):
            lacks = frozenset({"Epochs", "Outages"})

            async def open_engine(self) -> MyEngine:
                return await MyEngine.connect("127.0.0.1", 7000)
    """
