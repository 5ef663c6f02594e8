"""What people see: made of plain values, and without control codes where there is no terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

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


def drawn(thing: RenderableType, *, is_terminal: bool = False, columns: int = 120) -> str:
    """As it is printed."""
    out = io.StringIO()
    shown = Console(file=out, width=columns, force_terminal=is_terminal, highlight=False)
    shown.print(thing, soft_wrap=isinstance(thing, Text))
    return out.getvalue()


def test_the_table_says_of_each_member_what_it_is() -> None:
    """
    A replica of whom, how far behind; of a dead one nothing that it last said.
    """
    lines = [
        line.split() for line in drawn(show.members_table([OWNER, REPLICA, DEAD], 120)).splitlines() if ":700" in line
    ]
    assert [
        ["10.0.0.1:7001", "owner", "up", "16,384", "1,200", "5.0", "MB", "7"],
        ["[::1]:7002", "replica", "up", "10.0.0.1:7001", "1,200", "0", "B", "1.5", "kB"],
        ["10.0.0.3:7003", "owner", "dead"],
    ] == lines


def test_the_summary_counts_what_lives_and_says_what_is_missing() -> None:
    """
    Entries are counted once, at their owners.
    """
    copied = replace(REPLICA, memory_bytes=4_000_000)
    assert "1 owner, 1 replica, 1,200 entries, 5.0 MB and 4.0 MB in copies" == show.summary([OWNER, copied])
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


def test_a_narrow_table_says_what_it_leaves_out_and_cuts_nothing() -> None:
    """
    The least important columns go first, and the address stays whole, on several lines if it must.
    """
    seen: list[str] = []
    for columns in range(100, 7, -1):
        text = drawn(show.members_table([OWNER, REPLICA, DEAD], columns), columns=columns)
        said = " ".join(text.split()).partition("too narrow for: ")[2].partition(" (--json has all)")[0]
        left_out = said.split(", ") if said else []
        assert list(show.DISPENSABLE[: len(left_out)]) == left_out
        assert ("10.0.0.1:7001" in text) is (columns >= 20)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= columns
        seen.append(said)
    assert ["", ", ".join(show.DISPENSABLE)] == [seen[0], seen[-1]]
    assert len(set(seen)) > 6


def test_on_one_host_the_owner_is_named_by_its_port() -> None:
    """
    So that 80 columns are enough for a grid of this host.
    """
    members = [replace(OWNER, host="127.0.0.1", port=27000), replace(REPLICA, host="127.0.0.1", port=27001, pid=123456)]
    text = drawn(show.members_table(members, 80))
    assert "too narrow" not in text
    assert re.search(r"127\.0\.0\.1:27001 +replica +up +:27000 .* 123456", text)


def test_the_summary_tells_the_limit_if_every_owner_has_one() -> None:
    """
    As it was said to `up`: all owners together, without replicas.
    """
    limited = [replace(member, memory_limit_bytes=50_000_000) for member in (OWNER, replace(OWNER, port=1), REPLICA)]
    assert "10.0 MB of 100.0 MB" in show.summary(limited)
    assert "of 100.0 MB" not in show.summary([limited[0], OWNER])


def test_what_up_tells_can_be_copied() -> None:
    """
    With the name where it has to be said; the URL is on one line however narrow the terminal is.
    """
    url = f"valkey://{','.join(f'127.0.0.1:{port}' for port in range(7000, 7006))}?grid=shop"
    text = drawn(show.up_list("shop", url, [OWNER], "is up after 0.50 s"), columns=40)
    for part in ("shop is up after 0.50 s\n", f"{url}\n", 'connect(name="shop")\n', "cachegrid down --name shop\n"):
        assert part in text
    assert "cachegrid.connect()\n" in drawn(show.up_list("default", url, [OWNER], "was up already"))


@pytest.mark.parametrize("thing", [show.members_table([OWNER, DEAD], 120), show.up_list("a", "b", [DEAD], "is up")])
def test_there_are_control_codes_only_on_a_terminal(thing: RenderableType) -> None:
    """
    Colours for people, none for files.
    """
    assert "\x1b" not in drawn(thing)
    assert "\x1b" in drawn(thing, is_terminal=True)


def test_without_a_terminal_no_line_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Whoever reads it there wants a value on one line.
    """
    long = {"text": "word " * 100, "numbers": list(range(100))}
    show.console().print(show.value(long, is_terminal=False))
    assert f"{long}\n" == capsys.readouterr().out


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
    assert (5_000_000, 0) == (told["memory_bytes"], told["memory_of_copies_bytes"])


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
