# Generated from tests/flow/_aio/test_near_early.py by tools/colour.py. Edit that file, then run `make colour`.
"""What is loaded early is loaded early near, too: a copy that is read often is replaced before anybody waits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cachegrid._core.rules import DRAWS, EARLIEST
from cachegrid.testing import FakeClock
from tests.flow._sio.flow import SyncFlow
from tests.flow._sio.nearness import keep, near_cache
from tests.flow.backing import Backing

pytestmark = pytest.mark.parametrize("kind", ["clock"], indirect=True)

TTL = 10.0
COST = 0.5  # seconds that a load takes
PAUSE = 0.05  # between reads


@pytest.fixture
def clock(backing: Backing) -> FakeClock:
    """The clock of the test's store."""
    assert backing.clock is not None
    return backing.clock


class _Slow:
    """An origin that takes its time, and counts."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.calls = 0

    def load(self) -> list[int]:
        """The number of the call."""
        self.calls += 1
        self.clock.advance(COST)
        return [self.calls]


@pytest.mark.parametrize("way", ["get_or_load", "function"])
def test_nobody_waits_for_what_is_read_often(
    flow: SyncFlow, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """
    Of 20 ends in a row none is met by a reader, and most reads are answered here.
    """
    monkeypatch.setattr(random, "random", random.Random(5).random)
    cache, slow = near_cache(flow, max_staleness=1000), _Slow(clock)

    @cache.cached(ttl=TTL, early=1.0)
    def kept() -> list[int]:
        return slow.load()

    def read() -> Any:
        if way == "function":
            return kept()
        return cache.get_or_load("key", slow.load, ttl=TTL, early=1.0)

    read()
    before, turns = cache.stats(), round(20 * TTL / PAUSE)
    for _ in range(turns):
        clock.advance(PAUSE)
        read()
        cache._hub.reloads.settle()
    after = cache.stats()
    assert (0, 0) == (after.misses - before.misses, after.load_waits - before.load_waits)
    assert 20 <= slow.calls <= 60
    assert after.near_hits - before.near_hits > 0.9 * turns


def test_a_hit_draws_only_where_its_entry_may_be_due(
    flow: SyncFlow, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Sooner it pays nothing for the rule, and those of one moment share a draw; past the end a copy is no hit.
    """
    cache, slow = near_cache(flow, max_staleness=1000), _Slow(clock)
    draws: list[float] = []

    def draw() -> float:
        draws.append(0.0)
        return 0.0  # never due

    cache.get_or_load("key", slow.load, ttl=TTL, early=1.0)
    keep(cache, "key")
    copy = cache._space.table["key"]
    monkeypatch.setattr(random, "random", draw)
    window = EARLIEST * COST
    for passed, drawn in ((TTL - window - 0.1, 0), (0.2, 1), (COST / DRAWS / 2, 1), (window - 0.2, 2)):
        clock.advance(passed)
        hits = cache.stats().near_hits
        assert [1] == cache.get("key")
        assert (1, drawn) == (cache.stats().near_hits - hits, len(draws))
    assert copy is cache._space.table["key"]
    clock.advance(0.2)
    assert cache.get("key") is None
