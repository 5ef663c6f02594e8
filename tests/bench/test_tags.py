"""Dropping by a tag costs the same however many entries have it, and another process sees that it is done."""

from __future__ import annotations

import pytest

from bench import tags
from cachegrid.testing.loopback import LoopbackGrid


@pytest.mark.grid
@pytest.mark.slow
def test_one_match_costs_what_many_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Another process reads meanwhile, near and in the grid.
    """
    monkeypatch.setattr(tags, "TURNS", 30)
    monkeypatch.setattr(tags, "SEEN", 10)
    with LoopbackGrid() as grid:
        found = tags.measured(grid.url, 20_000)
    assert (1, 10_000) == (found["one"]["matches"], found["half"]["matches"])
    assert found["half"]["median_ms"] < 5 * found["one"]["median_ms"]
    seen = found["seen"]
    assert 0 < seen["near"] < seen["reads"]
    assert 10 == seen["raises"]
