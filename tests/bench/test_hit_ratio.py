"""Near copies are found at least as often as an LRU of the same size would have them."""

from __future__ import annotations

import pytest

from bench.hit_ratio import lru, of_library, ours, ratio, traces

KEYS = 5000
TRACES = ["Zipf", "Zipf, a scan half-way", "Zipf, others half-way"]


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("room", [50, 250, 500, 1250])
def test_near_copies_hit_no_less_often_than_an_lru(name: str, room: int) -> None:
    """
    Whether or not somebody walks through everything meanwhile, and when what is popular changes.
    """
    trace = traces(KEYS, 30_000)[name]
    assert ratio(ours(room), trace) >= ratio(lru(room), trace)


def test_the_lrus_agree() -> None:
    """
    The one that stands for all does what a library's does.
    """
    import cachebox

    trace = traces(KEYS, 30_000)["Zipf, a scan half-way"]
    assert ratio(of_library(cachebox.LRUCache)(250), trace) == ratio(lru(250), trace)
