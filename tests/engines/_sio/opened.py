# Generated from tests/engines/_aio/opened.py by tools/colour.py. Edit that file, then run `make colour`.
"""Engines that are closed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.url import parse

__all__ = ["hurry", "opened"]


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
