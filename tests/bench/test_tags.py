"""Dropping by a tag costs the same however many entries have it, and another process sees that it is done."""

from __future__ import annotations

import pytest

from bench import tags
from cachegrid.testing.loopback import LoopbackGrid


@pytest.mark.grid
@pytest.mark.slow
def test_one_match_costs_what_many_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Another process reads meanwhile, near and in the grid, and 50 ms later sees nothing that was dropped.
    """
    monkeypatch.setattr(tags, "TURNS", 20)
    monkeypatch.setattr(tags, "SEEN", 10)
    with LoopbackGrid() as grid:
        found = tags.measured(grid.url, 20_000)
    assert (1, 10_000) == (found["one"]["matches"], found["half"]["matches"])
    assert found["half"]["median_ms"] < 5 * found["one"]["median_ms"]
    seen = found["seen"]
    assert 0 < seen["near"] < seen["reads"]
    assert 10 == seen["raises"]
    assert seen["latest_ms"] < 50


def test_pauses_of_the_reader_are_none_of_the_grids() -> None:
    """
    What the machine let it do nothing in does not count.
    """
    reads = [1.0, 1.0005, 1.001, 1.3, 1.3005]
    assert tags.PAUSE + 0.0015 - 0.0005 == pytest.approx(tags.awake(reads, 1.0005))
    assert 0.0005 == pytest.approx(tags.awake(reads[:3], 1.0005))
