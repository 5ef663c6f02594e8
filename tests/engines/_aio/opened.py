"""Engines that are closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey.url import parse

__all__ = ["opened"]


@asynccontextmanager
async def opened(url: str, *, timeout: float = 5) -> AsyncIterator[AsyncValkeyEngine]:
    """An engine on a grid, for the length of a block; `timeout` is in seconds."""
    engine = AsyncValkeyEngine(parse(url, timeout=timeout))
    try:
        await engine.open()
        yield engine
    finally:
        await engine.aclose()
