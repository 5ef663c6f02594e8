"""The demo's data, its question, and its sums."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid import connect
from cachegrid.demo.places import Place, Places, all_places, kilometres, nearest_directly, save_places
from cachegrid.demo.tally import Tally, percentile
from cachegrid.demo.worker import Application, Report, answer_one, zipf


@pytest.fixture(scope="module")
def cities() -> list[Place]:
    """All of them."""
    return all_places()


@pytest.fixture
def places(cities: list[Place], tmp_path: Path) -> Iterator[Places]:
    """Some of them, in SQLite."""
    save_places(cities[:500], tmp_path / "places.sqlite")
    places = Places(tmp_path / "places.sqlite")
    yield places
    places.close()


def test_there_are_tens_of_thousands_of_real_places(cities: list[Place]) -> None:
    """
    The largest first.
    """
    assert 30_000 < len(cities)
    assert len(cities) == len({place.id for place in cities})
    assert {"Shanghai", "London", "Lagos"} <= {place.name for place in cities[:60]}


def test_sqlite_and_the_direct_computation_agree(cities: list[Place], places: Places) -> None:
    """
    Which is why one can check the other.
    """
    for here in random.Random(3).sample(cities[:500], 20):
        answer = places.nearest(here.id)
        assert nearest_directly(cities[:500], here) == answer
        assert 10 == len(answer)
        assert sorted(answer, key=lambda row: row[2]) == answer


degrees = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(degrees, degrees)
def test_the_way_there_is_the_way_back_and_never_more_than_half_around(
    here: tuple[float, float], there: tuple[float, float]
) -> None:
    """
    To oneself it is no way.
    """
    assert 0 == kilometres(*here, *here)
    assert 0 <= kilometres(*here, *there) < 20_016
    assert kilometres(*there, *here) == pytest.approx(kilometres(*here, *there), abs=1e-6)


def test_requests_follow_a_zipf_distribution_and_the_seed() -> None:
    """
    The tenth city is asked for about 10 ** 1.1 times less often than the first.
    """
    asked = list(itertools.islice(zipf(range(1000), "1-0"), 200_000))
    assert asked == list(itertools.islice(zipf(range(1000), "1-0"), 200_000))
    assert asked != list(itertools.islice(zipf(range(1000), "1-1"), 200_000))
    counts = Counter(asked)
    assert counts[0] / counts[9] == pytest.approx(10**1.1, rel=0.1)
    assert counts[0] / counts[99] == pytest.approx(100**1.1, rel=0.25)


def test_a_request_is_a_load_once_and_then_a_hit(cities: list[Place], places: Places) -> None:
    """
    With the same answer; and what did not scan is no load.
    """
    with connect("memory://demo-hits") as grid:
        application, report = Application(grid.cache("demo"), places), Report()
        for _ in range(3):
            answer_one(application, cities[0].id, report)
    assert (1, 2, 0, []) == (len(report.loads), len(report.hits), len(report.waits), report.failures)
    assert (cities[0].id, nearest_directly(cities[:500], cities[0])) == report.answer
    assert 1 == len(application.scans)


def test_the_sums_are_over_all_reports() -> None:
    """
    A load of the same city by both workers counts twice, and is said so.
    """
    tally = Tally()
    tally.add(Report(hits=[10, 30], loads=[(1, 20_000, 5.0, 5.02)], held_up={"read": 0.03, "load": 2.0}, ended=6.0))
    tally.killed_at = 10.0
    tally.add(
        Report(hits=[20], waits=[9], loads=[(1, 40_000, 11.0, 11.04)], held_up={"read": 1.0, "load": 900.0}, ended=12)
    )
    tally.add(Report(failures=["EngineTimeout: too late"], ended=13.0))
    result = tally.result()
    assert (7, 1, 3, 1, 2, 1) == tuple(
        result[name] for name in ("requests", "failed", "hits", "waits", "loads", "distinct_keys")
    )
    assert (2.0, round(3 / 7, 4), 20, 20_000) == tuple(
        result[name] for name in ("loads_per_key", "hit_ratio", "hit_p50_us", "load_p50_us")
    )
    assert (900.0, 1.0, 2.0) == tuple(
        result[name] for name in ("longest_stall_ms", "longest_read_stall_ms", "longest_stall_before_kill_ms")
    )


@pytest.mark.parametrize(
    ("killed_at", "scans", "reason"),
    [
        (None, [(1.0, 1.1), (2.0, 2.1)], "nothing explains it"),
        (3.0, [(1.0, 1.1), (2.0, 2.1)], "nothing explains it"),
        (1.5, [(2.0, 2.1), (1.0, 1.1)], "stored 400 ms before the kill"),
        (1.05, [(1.0, 1.1), (1.2, 1.3)], "scanned while the killed owner was being replaced"),
    ],
)
def test_a_second_scan_is_explained_only_by_the_kill(
    killed_at: float | None, scans: list[tuple[float, float]], reason: str
) -> None:
    """
    Otherwise it is a bug of ours, and the demo says that nothing explains it.
    """
    tally = Tally()
    tally.killed_at = killed_at
    tally.add(Report(loads=[(1, 1, began, ended) for began, ended in scans]))
    assert [(1, True)] == [(city, text.startswith(reason)) for city, text in tally.repeated()]


@given(st.lists(st.integers(0, 1000), min_size=1), st.sampled_from([50, 90, 99]))
def test_so_many_percent_are_no_more_than_the_percentile(values: list[int], percent: int) -> None:
    """
    And of all values it is the smallest of which that is true.
    """
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)
