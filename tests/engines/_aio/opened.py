"""Engines that are closed again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import CircuitOpen, EngineTimeout
from cachegrid.waits._aio import sleep

__all__ = ["hurry", "once_asked", "opened"]

T = TypeVar("T")
PATIENCE = 10.0


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


async def once_asked(act: Callable[[], Awaitable[T]]) -> T:
    """The answer of a member that was not asked for a while, from when it is asked again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await act()
        except (CircuitOpen, EngineTimeout):
            assert time.monotonic() < deadline
            await sleep(0.01)
