"""What people see: made of plain values, and without control codes where there is no terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from cachegrid import connect, errors
from cachegrid.cli import show, totals
from cachegrid.cli.exits import Exit, code_of
from cachegrid.engines.facts import MemberFacts

OWNER = MemberFacts(
    host="10.0.0.1", port=7001, role="owner", id="a", pid=7, slots=16384, entries=1200, memory_bytes=5_000_000, hits=9
)
REPLICA = MemberFacts(
    host="::1", port=7002, role="replica", id="b", owner_id="a", entries=1200, lag_bytes=1500, misses=1
)
DEAD = MemberFacts(host="10.0.0.3", port=7003, role="owner", id="c", up=False, link_up=False)


def drawn(thing: RenderableType, *, is_terminal: bool = False) -> str:
    """As it is printed."""
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=is_terminal, highlight=False).print(thing)
    return out.getvalue()


def test_the_table_says_of_each_member_what_it_is() -> None:
    """
    A replica of whom, how far behind; of a dead one nothing that it last said.
    """
    lines = [line.split() for line in drawn(show.members_table([OWNER, REPLICA, DEAD])).splitlines() if ":700" in line]
    assert [
        ["10.0.0.1:7001", "owner", "up", "16,384", "1,200", "5.0", "MB", "7"],
        ["[::1]:7002", "replica", "up", "10.0.0.1:7001", "1,200", "0", "B", "1.5", "kB"],
        ["10.0.0.3:7003", "owner", "dead"],
    ] == lines


def test_the_summary_counts_what_lives_and_says_what_is_missing() -> None:
    """
    Entries are counted once, at their owners.
    """
    assert "1 owner, 1 replica, 1,200 entries, 5.0 MB" == show.summary([OWNER, REPLICA])
    hurt = [replace(OWNER, slots=16000), DEAD]
    assert "1 owner, 0 replicas, 1,200 entries, 5.0 MB, 1 dead, 384 of 16,384 slots without an owner" == show.summary(
        hurt
    )


@pytest.mark.parametrize(
    ("members", "is_whole"),
    [
        ([OWNER, REPLICA], True),
        ([replace(OWNER, slots=0)], True),  # one server that is no cluster
        ([OWNER, DEAD], False),
        ([replace(OWNER, slots=16383)], False),
        ([OWNER, replace(REPLICA, link_up=False)], False),
        ([], False),
    ],
)
def test_a_grid_is_whole_when_nothing_is_missing(members: list[MemberFacts], is_whole: bool) -> None:  # noqa: FBT001
    """
    Which is what `status --check` asks.
    """
    assert is_whole is show.is_whole(members)


def test_the_panel_tells_how_to_go_on() -> None:
    """
    With the name where it has to be said.
    """
    text = drawn(show.up_panel("shop", "valkey://h:1?grid=shop", [OWNER], 0.5, is_new=True))
    for part in (
        "shop is up after 0.50 s",
        "valkey://h:1?grid=shop",
        'connect(name="shop")',
        "cachegrid down --name shop",
    ):
        assert part in text
    usual = drawn(show.up_panel("default", "valkey://h:1?grid=default", [OWNER], 0.5, is_new=False))
    assert "was up already" in usual
    assert "cachegrid.connect()" in usual


@pytest.mark.parametrize("thing", [show.members_table([OWNER, DEAD]), show.up_panel("a", "b", [DEAD], 1, is_new=True)])
def test_there_are_control_codes_only_on_a_terminal(thing: RenderableType) -> None:
    """
    Colours for people, none for files.
    """
    assert "\x1b" not in drawn(thing)
    assert "\x1b" in drawn(thing, is_terminal=True)


def test_text_cannot_steer_a_terminal() -> None:
    """
    A value comes from anybody who may write to the grid.
    """
    hostile = "\x1b[2Jgone"
    assert "\x1b[2J" not in drawn(show.value(hostile, is_terminal=True))
    assert f"{hostile}\n" == drawn(show.value(hostile, is_terminal=False))
    assert "two\nlines\n" == drawn(show.value("two\nlines", is_terminal=True))


def test_totals_leave_out_the_dead_and_count_entries_once() -> None:
    """
    Replicas hold the same entries again.
    """
    told = totals.of_members([OWNER, REPLICA, DEAD])
    assert (3, 1, 1200, 0.9) == (told["members"], told["dead"], told["entries"], told["hit_ratio"])


def test_a_cache_is_sampled() -> None:
    """
    All keys are counted, and some entries looked at.
    """
    with connect("memory://cli-totals") as grid:
        cache = grid.cache("some")
        assert {"entries": 0, "sampled": 0, "mean_bytes": 0.0, "largest_bytes": 0, "expiring": 0} == totals.of_cache(
            cache, 5
        )
        cache.set_many({f"k{number}": "x" * 100 for number in range(20)})
        cache.set("short", "x", ttl=60)
        told = totals.of_cache(cache, 1000)
        assert (21, 21, 1) == (told["entries"], told["sampled"], told["expiring"])
        assert 100 < told["mean_bytes"] < told["largest_bytes"] < 200
        assert (21, 5) == (totals.of_cache(cache, 5)["entries"], totals.of_cache(cache, 5)["sampled"])


def subclasses(kind: type[BaseException]) -> list[type[BaseException]]:
    """All of them, theirs too."""
    return [kind, *(below for child in kind.__subclasses__() for below in subclasses(child))]


def test_every_error_of_ours_has_an_exit_code_of_its_own_kind() -> None:
    """
    None of them is an internal error.
    """
    ours = [kind for kind in subclasses(errors.CacheError) if kind.__module__.startswith("cachegrid")]
    assert len(errors.__all__) <= len(ours)
    codes = {code_of(kind.__new__(kind)) for kind in ours}
    assert {Exit.NO, Exit.USAGE, Exit.NO_GRID, Exit.REFUSED, Exit.NOT_STARTED} == codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.EntryNotFound("c", "k"), 1),
        (errors.ConfigError("a", "b", "c"), 2),
        (errors.GridNotFound(""), 3),
        (errors.Unreachable(""), 3),
        (errors.AccessDenied(""), 4),
        (errors.GridRunning(""), 4),
        (errors.StartFailed(""), 5),
        (errors.ServerMissing(""), 5),
        (ZeroDivisionError(), 70),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_the_exit_code_tells_what_kind_of_failure_it_was(error: BaseException, code: int) -> None:
    """
    As docs/cli.md promises to scripts.
    """
    assert code == code_of(error)
