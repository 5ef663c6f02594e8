# Generated from tests/engines/_aio/opened.py by tools/colour.py. Edit that file, then run `make colour`.
"""Engines that are closed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.url import parse

__all__ = ["opened"]


@contextmanager
def opened(url: str, *, timeout: float = 5) -> Iterator[SyncValkeyEngine]:
    """An engine on a grid, for the length of a block; `timeout` is in seconds."""
    engine = SyncValkeyEngine(parse(url, timeout=timeout))
    try:
        engine.open()
        yield engine
    finally:
        engine.close()
