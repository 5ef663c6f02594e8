# Generated from tests/flow/_aio/test_real_times.py by tools/colour.py. Edit that file, then run `make colour`.
"""A real grid keeps time as well; how exactly it should, is told in `test_times`."""

from __future__ import annotations

import time

import pytest

from cachegrid._sio.grid import SyncGrid
from tests.flow.waits._sio import until

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("kind", [pytest.param("valkey", marks=pytest.mark.grid)])]
EARLY = 0.005  # by which the clock of an owner may differ from ours
LATE = 0.25  # by which this process may be late, on a busy machine


def test_entries_end(grid: SyncGrid) -> None:
    """
    No earlier than they were told to, and soon after.
    """
    cache = grid.cache("prices", ttl="120ms")
    began = time.monotonic()
    cache.set("key", "value")
    cache.incr("count")

    def are_gone() -> bool:
        return {} == cache.get_many(["key", "count"])

    until(are_gone)
    assert 0.12 - EARLY <= time.monotonic() - began <= 0.12 + LATE


def test_entries_live_while_they_are_read(grid: SyncGrid) -> None:
    """
    And end when they are not; their absolute time to live ends them in any case.
    """
    cache = grid.cache("idle", ttl="900ms", idle="350ms")
    began = time.monotonic()
    cache.set("read", "value")
    cache.set("own", "value", idle="450ms")
    cache.set("left", "value")

    def left_is_gone() -> bool:
        assert "value" == cache.get("own")
        return cache.get("read") == "value" and cache.entry("left") is None

    def is_over() -> bool:
        return cache.get("read") is None and cache.get("own") is None

    until(left_is_gone)
    assert 0.35 - EARLY <= time.monotonic() - began <= 0.35 + LATE
    until(is_over)
    assert 0.9 - EARLY <= time.monotonic() - began <= 0.9 + LATE
