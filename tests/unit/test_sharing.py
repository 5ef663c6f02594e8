"""What many processes count, put together: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core.sharing import (
    SILENT,
    WARNED,
    Book,
    Counts,
    Sheet,
    added,
    claimed,
    closed,
    counts_of,
    is_missing_long,
    is_over,
    less,
    opened,
    renewed,
    together,
)
from cachegrid._core.stats import Counters

NOW = 1_700_000_000.0
BOOK: Book = {"counts": {"prices": {"hits": 5}}, "since": NOW - 50, "processes": 2, "open": ["a", "b"]}


def sheet(counts: Counts | None = None, **changes: Any) -> Sheet:
    """A sheet that was written just now."""
    made: Sheet = {
        "counts": counts or {},
        "began": NOW - 100,
        "told": NOW,
        "every": 10.0,
        "process": "a",
        "first": True,
        "ended": False,
        "claimed": None,
    }
    return {**made, **changes}  # type: ignore[typeddict-item] # of the same names


def test_only_what_was_counted_is_on_a_sheet() -> None:
    """
    Most counters of most caches are 0.
    """
    counters = Counters()
    counters.hits += 3
    counters.load_seconds += 0.5
    stats = {"prices": counters.snapshot({"near_entries": 7}), "unused": Counters().snapshot()}
    assert {"prices": {"hits": 3, "load_seconds": 0.5, "near_entries": 7}} == counts_of(stats)


def test_a_sheet_is_closed_once() -> None:
    """
    Its counts take the place of its name; again, as where an answer was lost, it changes nothing.
    """
    page = sheet({"prices": {"hits": 3}, "articles": {"misses": 1}})
    once = closed(BOOK, "a", page)
    assert {"prices": {"hits": 8}, "articles": {"misses": 1}} == once["counts"]
    assert (["b"], 3) == (once["open"], once["processes"])
    assert once == closed(once, "a", page)
    assert {"prices": {"hits": 5}} == BOOK["counts"]


def test_what_is_near_ends_with_its_process() -> None:
    """
    Copies are there now, evictions have happened.
    """
    page = sheet({"prices": {"near_entries": 3, "near_bytes": 300, "near_evictions": 2}})
    assert {"prices": {"hits": 5, "near_evictions": 2}} == closed(BOOK, "a", page)["counts"]
    alive, silent = together(BOOK, [page], NOW), together(BOOK, [page], NOW + 60)
    assert ((3, 300, 2), (0, 0, 2)) == (
        (alive.total.near_entries, alive.total.near_bytes, alive.total.near_evictions),
        (silent.total.near_entries, silent.total.near_bytes, silent.total.near_evictions),
    )


def test_a_lost_sheet_is_closed_with_nothing() -> None:
    """
    Its process, if it runs, opens it again, and it has all that it counted.
    """
    without = closed(BOOK, "a", None)
    assert (BOOK["counts"], ["b"], 2) == (without["counts"], without["open"], without["processes"])
    assert ["b", "a"] == opened(without, "a", NOW)["open"]


def test_a_sheet_is_opened_once() -> None:
    """
    In the book that there is, or in a new one.
    """
    new = opened(None, "a", NOW)
    assert ({}, NOW, 0, ["a"]) == (new["counts"], new["since"], new["processes"], new["open"])
    assert new is opened(new, "a", NOW)
    assert (NOW - 5, ["a", "b"]) == (opened(new, "b", NOW - 5)["since"], opened(new, "b", NOW - 5)["open"])


def test_a_claimed_sheet_is_written_no_more() -> None:
    """
    Its process sees the claim where it would write, and so knows what of it was counted elsewhere.
    """
    old, new = sheet({"prices": {"hits": 1}}), sheet({"prices": {"hits": 2}})
    assert new is renewed(old, new)
    assert new is renewed(None, new)
    taken = claimed(old, NOW + SILENT + 31)
    assert NOW + SILENT + 31 == taken["claimed"]
    assert taken is renewed(taken, new)


@pytest.mark.parametrize(
    ("page", "later"),
    [
        (sheet(), SILENT),
        (sheet(), -1000.0),
        (sheet(every=600.0), SILENT + 1700),
        (sheet(ended=True), SILENT + 31),
        (sheet(claimed=NOW), SILENT + 31),
    ],
    ids=["of an hour ago", "of the future", "told seldom", "ended", "claimed before"],
)
def test_only_a_sheet_without_news_is_claimed(page: Sheet, later: float) -> None:
    """
    Once, and not as soon as some news is late.
    """
    assert page is claimed(page, NOW + later)


def test_who_closes_a_sheet() -> None:
    """
    Anybody, after its last word, or some time after a claim: until then a failover may show that there was none.
    """
    assert is_over(None, NOW)
    assert is_over(sheet(ended=True), NOW)
    assert not is_over(sheet(), NOW + 10 * SILENT)
    assert not is_over(sheet(claimed=NOW), NOW + WARNED)
    assert is_over(sheet(claimed=NOW), NOW + WARNED + 1)


def test_when_a_process_takes_its_sheet_for_closed() -> None:
    """
    Where it is not there, long before others may have closed it.
    """
    assert not is_missing_long(None, NOW)
    assert not is_missing_long(NOW - SILENT / 3, NOW)
    assert is_missing_long(NOW - SILENT, NOW)


def test_processes_are_told_apart_from_sheets() -> None:
    """
    One with several grid objects has a sheet for each.
    """
    sheets = [
        sheet({"prices": {"hits": 1}}, process="a"),
        sheet({"prices": {"hits": 2}}, process="a", first=False),
        sheet({"articles": {"hits": 4}}, process="b", told=NOW - 41),
    ]
    shared = together(BOOK, sheets, NOW)
    assert (4, 1) == (shared.processes, shared.alive)
    assert {"prices": 8, "articles": 4} == {name: its.hits for name, its in shared.items()}
    assert 12 == shared.total.hits
    assert datetime.fromtimestamp(NOW - 100, UTC) == shared.since


def test_nobody_shares() -> None:
    """
    Then there is no beginning either.
    """
    shared = together(None, [], NOW)
    assert ({}, 0, 0, None, 0) == (shared, shared.processes, shared.alive, shared.since, shared.total.hits)


def test_counters_of_a_later_edition_are_kept_and_not_shown() -> None:
    """
    Processes of two editions may use one grid.
    """
    book = closed(BOOK, "a", sheet({"prices": {"hits": 1, "wonders": 2}}))
    assert {"hits": 6, "wonders": 2} == book["counts"]["prices"]
    shared = together(book, [], NOW)
    assert (6, 0.0) == (shared["prices"].hits, shared["prices"].load_seconds)
    assert isinstance(shared["prices"].load_seconds, float)


counts = st.dictionaries(
    st.sampled_from(["prices", "articles"]),
    st.dictionaries(st.sampled_from(["hits", "misses", "loads"]), st.integers(1, 9), min_size=1),
)


@given(counts, counts)
def test_what_is_left_of_a_sum_is_the_other_part(one: Counts, other: Counts) -> None:
    """
    Of what a process counted, and what of that others have closed.
    """
    assert other == less(added([one, other]), one)
