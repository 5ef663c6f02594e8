"""Near copies keep their word while members die; and without any one of their rules they do not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from tests.near.checker import LONGEST, Plan, check, rounds_of, without
from tests.near.faults import EVERYDAY
from tests.near.keys import KINDS, kind_of
from tests.near.rules import RULES
from tests.near.story import story

pytestmark = [pytest.mark.slow, pytest.mark.grid]
PATIENT = 12.0  # seconds in which a disabled rule shows at the latest
SHORT = 1.0
FEW: Any = {"readers": 2, "writers": 1}  # processes: they take the longest to begin
QUIET = [name for name, rule in RULES.items() if not rule.faults]
AT_ONCE = 3  # rounds; they wait for most of their time


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """A grid of 3 owners and 3 replicas."""
    with LoopbackGrid() as grid:
        yield grid


@pytest.fixture(scope="module")
def first(grid: LoopbackGrid) -> dict[str, int]:
    """How many promises were broken in a short round without each rule that takes no fault; some rounds at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(QUIET, pool.map(lambda rule: broken(grid, rule, SHORT), QUIET), strict=True))


def broken(grid: LoopbackGrid, rule: str, seconds: float) -> int:
    """How many promises are broken without a rule."""
    return len(check(grid, without(rule, seconds=seconds, seed=3, **FEW | RULES[rule].load)).verdict.violations)


def test_no_promise_is_broken_while_members_fail(grid: LoopbackGrid) -> None:
    """
    Owners are killed, stand still and are replaced, slots move, connections break: each of it once.
    """
    report = check(grid, Plan(seconds=1.5, seed=1, staleness=0.5, each=True))
    assert [] == [story(violation, report.history) for violation in report.verdict.violations]
    counts = report.history.counts
    assert 1000 < counts["near"] < counts["reads"]
    assert 100 < counts["writes"]
    assert 100 < counts["loads"]
    assert set(KINDS) == {kind_of(read.key) for read in report.history.reads if read.near}
    assert set(EVERYDAY) == {fault.kind for fault in report.history.faults}


def test_no_promise_is_broken_where_every_moment_is_wide(grid: LoopbackGrid) -> None:
    """
    What makes the lack of a rule show does no harm while the rules hold: each reader widens another one's moment.
    """
    wide = tuple(name for name, rule in RULES.items() if rule.widen)
    plan = Plan(seconds=SHORT, seed=2, widen=wide, readers=len(wide), writers=1, faults=("ears",))
    report = check(grid, plan)
    assert [] == [story(violation, report.history) for violation in report.verdict.violations]
    assert 100 < report.history.counts["near"]


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_a_promise_is_broken(grid: LoopbackGrid, first: dict[str, int], rule: str) -> None:
    """
    The checker finds it: so it would find it, too, if a change broke the rule.
    """
    seconds, found = SHORT, first.get(rule, 0)
    while not found and seconds < PATIENT:
        found = broken(grid, rule, seconds)
        seconds *= 2
    assert found


def test_a_long_plan_is_carried_out_in_rounds() -> None:
    """
    Each has a seed, by which it can be repeated, and only the last may be shorter.
    """
    rounds = rounds_of(Plan(seconds=2.5 * LONGEST, seed=7))
    assert [(LONGEST, 7), (LONGEST, 8), (LONGEST / 2, 9)] == [(one.seconds, one.seed) for one in rounds]
    assert [20.0] == [one.seconds for one in rounds_of(Plan(seconds=20.0))]
