"""Engines that are closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey.url import parse

__all__ = ["hurry", "opened"]


@asynccontextmanager
async def opened(url: str, *, timeout: float = 5) -> AsyncIterator[AsyncValkeyEngine]:
    """An engine on a grid, for the length of a block; `timeout` is in seconds."""
    engine = AsyncValkeyEngine(parse(url, timeout=timeout))
    try:
        await engine.open()
        yield engine
    finally:
        await engine.aclose()


def hurry(engine: AsyncValkeyEngine, seconds: float, *, patience: float = 1.0) -> None:
    """
    Give each call that comes so many seconds.

    An engine that is opened in such a hurry would not come up on a busy machine.
    """
    engine._target.__dict__.update(timeout=seconds, patience=min(seconds, patience))
