"""What a cache counts."""

from __future__ import annotations

import dataclasses

import pytest

from cachegrid._core.stats import CacheStats, Counters


def test_a_snapshot_stays_as_it_was() -> None:
    """
    Later events change the counters and no snapshot; a snapshot cannot be changed.
    """
    counters = Counters()
    counters.hits += 3
    snapshot = counters.snapshot()
    counters.hits += 1
    assert (3, 4) == (snapshot.hits, counters.snapshot().hits)
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.hits = 5  # type: ignore[misc]


def test_every_counter_begins_at_nought_and_is_told() -> None:
    """
    A counter that a snapshot forgot would count for nobody.
    """
    names = [field.name for field in dataclasses.fields(CacheStats)]
    assert {*names, "__weakref__"} == set(Counters.__slots__)
    assert dict.fromkeys(names, 0) == dataclasses.asdict(Counters().snapshot())


@pytest.mark.parametrize(("hits", "misses", "ratio"), [(0, 0, 0.0), (0, 5, 0.0), (5, 0, 1.0), (3, 1, 0.75)])
def test_the_hit_ratio_is_of_all_reads(hits: int, misses: int, ratio: float) -> None:
    """
    And 0 before the first.
    """
    counters = Counters()
    counters.hits, counters.misses = hits, misses
    assert ratio == counters.snapshot().hit_ratio
