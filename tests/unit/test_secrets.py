"""What carries a password or a secret does not show it: reprs end up in logs and in reports of errors."""

from __future__ import annotations

import pytest

from cachegrid._aio.hub import AsyncOpened
from cachegrid._sio.hub import SyncOpened
from cachegrid.engines.memory import AsyncMemoryEngine, SyncMemoryEngine
from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target

HUSH = "hush-hush"
TARGET = Target(seeds=(Endpoint("h", 1),), username="app", password=HUSH)


@pytest.mark.parametrize(
    "carrier",
    [
        TARGET,
        AsyncValkeyEngine(TARGET),
        SyncValkeyEngine(TARGET),
        AsyncOpened(AsyncMemoryEngine(), "grid", "valkey://h:1", HUSH.encode()),
        SyncOpened(SyncMemoryEngine(), "grid", "valkey://h:1", HUSH.encode()),
    ],
    ids=lambda carrier: type(carrier).__name__,
)
def test_it_is_not_shown(carrier: object) -> None:
    """
    Neither the repr nor the text of what carries a password or a secret has it.
    """
    assert HUSH not in repr(carrier) + str(carrier) + f"{carrier}"
