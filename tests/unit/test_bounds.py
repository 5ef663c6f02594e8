"""What is decided of a cache with a bound."""

from __future__ import annotations

import random

from cachegrid._core.bounds import Bound, oldest, shares, take_sample


def test_a_bound_is_told_in_thousandths() -> None:
    """
    By entries or by bytes, whichever is more of it.
    """
    assert 100 == Bound(entries=1000).thousandths(100, 10**9)
    assert 200 == Bound(bytes=100_000).thousandths(100, 10_000)
    assert 200 == Bound(1000, 100_000).thousandths(100, 10_000)


def test_a_tenth_of_the_bound_is_made_free() -> None:
    """
    Where there is more than it allows.
    """
    assert (0.0, 0.0) == (Bound(100).excess(100, 5), Bound(bytes=11_000).excess(100, 10))
    assert 0.55 == round(Bound(100).excess(200, 5), 9)
    assert 0.55 == round(Bound(bytes=11_000).excess(200, 10), 9)


def test_the_oldest_of_each_page_go_and_the_share_is_right_on_average() -> None:
    """
    Also where a page is small.
    """
    draw = random.Random(1).random
    gone = [oldest([30, 10, 20], 0.5, draw) for _ in range(2000)]
    assert {(1,), (1, 2)} == {tuple(places) for places in gone}
    assert 0.48 < sum(map(len, gone)) / 6000 < 0.52
    assert 0.45 < sum(0 in oldest([0, 5, 6, 7], 0.5, draw) for _ in range(2000)) / 2000 < 0.8
    assert [] == oldest([], 0.5, draw)
    assert (1.0, 0.3) == shares(0.3, 10_000)


def test_a_sample_is_of_all_that_was_met() -> None:
    """
    Each thing is in it with the same chance.
    """
    draw, met = random.Random(2).random, [0] * 100
    for _ in range(2000):
        sample: list[bytes] = []
        for first in range(0, 100, 10):
            take_sample(sample, 10, first, [b"%d" % number for number in range(first, first + 10)], draw)
        assert 10 == len(set(sample))
        for thing in sample:
            met[int(thing)] += 1
    assert 140 < min(met) < max(met) < 260
