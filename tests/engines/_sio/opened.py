# Generated from tests/engines/_aio/opened.py by tools/colour.py. Edit that file, then run `make colour`.
"""Engines that are closed again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import CircuitOpen, EngineTimeout
from cachegrid.waits._sio import sleep

__all__ = ["hurry", "once_asked", "opened"]

T = TypeVar("T")
PATIENCE = 10.0


@contextmanager
def opened(url: str, *, timeout: float = 5) -> Iterator[SyncValkeyEngine]:
    """An engine on a grid, for the length of a block; `timeout` is in seconds."""
    engine = SyncValkeyEngine(parse(url, timeout=timeout))
    try:
        engine.open()
        yield engine
    finally:
        engine.close()


def hurry(engine: SyncValkeyEngine, seconds: float, *, patience: float = 1.0) -> None:
    """
    Give each call that comes so many seconds.

    An engine that is opened in such a hurry would not come up on a busy machine.
    """
    engine._target.__dict__.update(timeout=seconds, patience=min(seconds, patience))


def once_asked(act: Callable[[], T]) -> T:
    """The answer of a member that was not asked for a while, from when it is asked again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except (CircuitOpen, EngineTimeout):
            assert time.monotonic() < deadline
            sleep(0.01)
