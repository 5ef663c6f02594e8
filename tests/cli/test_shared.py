"""What programs counted that share it, by command."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from rich.console import Console

from cachegrid import connect
from cachegrid._core.sharing import SharedStats
from cachegrid._core.stats import Counters
from cachegrid._sio.grid import SyncGrid
from cachegrid.cli import shared
from cachegrid.errors import EngineTimeout
from cachegrid.testing.loopback import LoopbackGrid
from tests.cli.command import cachegrid, here


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a grid that all tests share."""
    with LoopbackGrid(replicas=0) as grid:
        yield grid.url


@pytest.fixture(autouse=True)
def _the_grid(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("grid") is not None:
        monkeypatch.setenv("CACHEGRID_URL", request.getfixturevalue("url"))


@pytest.mark.grid
def test_stats_tell_what_programs_counted(url: str) -> None:
    """
    Of all caches, and of one, for people and in JSON; commands themselves share nothing, whatever the settings say.
    """
    assert cachegrid("stats", "--json", CACHEGRID_SHARE_STATS="1s").told["shared"] is None
    assert "no program shares what it counts" in cachegrid("stats").out
    with connect(url, share_stats="1h") as grid:
        for name in ("prices", "articles"):
            grid.cache(name)["key"] = 1
            assert [1, None] == [grid.cache(name).get(key) for key in ("key", "none")]
    assert 0 == cachegrid("get", "prices", "key", CACHEGRID_SHARE_STATS="1s").code
    told = cachegrid("stats", "--json").told["shared"]
    assert (1, 0, ["articles", "prices"]) == (told["processes"], told["alive"], list(told["caches"]))
    assert (2, 2, 0.5) == (told["total"]["hits"], told["total"]["misses"], told["total"]["hit_ratio"])
    assert {*dataclasses.asdict(Counters().snapshot()), "hit_ratio"} == set(told["caches"]["prices"])
    out = cachegrid("stats").out
    assert "counted by 1 process, 0 of them running, since " in out
    assert ["cache", "articles", "prices", "all"] == [
        line.split()[0] for line in out.splitlines() if line.startswith(("cache ", "articles ", "prices ", "all "))
    ]
    one = cachegrid("stats", "prices", "--json").told["shared"]
    assert (1, 1, 1) == (one["processes"], one["hits"], one["misses"])
    assert "bytes written" in cachegrid("stats", "prices").out
    assert 0 == cachegrid("stats", "unknown", "--json").told["shared"]["hits"]


@pytest.mark.grid
def test_members_are_told_of_though_what_programs_counted_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is kept in the grid, a part of which may have no owner: how many members are dead is what one wants to see then.
    """

    def away(_: SyncGrid) -> SharedStats:
        raise EngineTimeout("no answer within 5 s")

    monkeypatch.setattr(SyncGrid, "shared_stats", away)
    told = json.loads(here("stats", "--json").out)
    assert (0, None, "no answer within 5 s") == (told["dead"], told["shared"], told["shared_unknown"])
    shown = here("stats")
    assert 0 == shown.code
    assert "members" in shown.out
    assert "what programs counted is not known: no answer within 5 s" in shown.err


def test_a_narrow_terminal_has_what_matters_most() -> None:
    """
    And says what it has no room for.
    """
    counters = Counters()
    counters.hits, counters.loads, counters.load_seconds = 3_000, 4, 0.05
    counted = SharedStats(
        {"prices": counters.snapshot()}, processes=2, alive=1, since=datetime(2026, 1, 31, tzinfo=UTC)
    )
    wide, narrow = shown(counted, 200), shown(counted, 60)
    assert "12.5 ms" in wide
    assert "too narrow" not in wide
    assert all(len(line) <= 60 for line in narrow.splitlines()[:3])
    assert {"cache", "hits", "near", "misses"} <= set(narrow.splitlines()[0].split())
    assert "too narrow for: drops, evicted" in narrow


def shown(counted: SharedStats, width: int) -> str:
    """The table as a terminal has it."""
    out = Console(width=width, no_color=True, highlight=False)
    with out.capture() as captured:
        out.print(shared.table(counted, width), soft_wrap=False)
    return captured.get()
