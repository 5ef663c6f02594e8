"""A real grid keeps time as well; how exactly it should, is told in `test_times`."""

from __future__ import annotations

import time

import pytest

from cachegrid._aio.grid import AsyncGrid
from tests.flow.waits._aio import until

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("kind", [pytest.param("valkey", marks=pytest.mark.grid)])]
EARLY = 0.005  # by which the clock of an owner may differ from ours
LATE = 0.25  # by which this process may be late, on a busy machine


async def test_entries_end(grid: AsyncGrid) -> None:
    """
    No earlier than they were told to, and soon after.
    """
    cache = grid.cache("prices", ttl="120ms")
    began = time.monotonic()
    await cache.set("key", "value")
    await cache.incr("count")

    async def are_gone() -> bool:
        return {} == await cache.get_many(["key", "count"])

    await until(are_gone)
    assert 0.12 - EARLY <= time.monotonic() - began <= 0.12 + LATE


async def test_entries_live_while_they_are_read(grid: AsyncGrid) -> None:
    """
    And end when they are not; their absolute time to live ends them in any case.
    """
    cache = grid.cache("idle", ttl="900ms", idle="350ms")
    began = time.monotonic()
    await cache.set("read", "value")
    await cache.set("own", "value", idle="450ms")
    await cache.set("left", "value")

    async def left_is_gone() -> bool:
        assert "value" == await cache.get("own")
        return await cache.get("read") == "value" and await cache.entry("left") is None

    async def is_over() -> bool:
        return await cache.get("read") is None and await cache.get("own") is None

    await until(left_is_gone)
    assert 0.35 - EARLY <= time.monotonic() - began <= 0.35 + LATE
    await until(is_over)
    assert 0.9 - EARLY <= time.monotonic() - began <= 0.9 + LATE
