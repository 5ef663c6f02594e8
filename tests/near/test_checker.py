"""Near copies keep their word while members die; and without any one of their rules they do not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from tests.near.checker import Plan, check, without
from tests.near.faults import EVERYDAY
from tests.near.rules import RULES
from tests.near.story import story

pytestmark = [pytest.mark.slow, pytest.mark.grid]
PATIENT = 12.0  # seconds in which a disabled rule shows at the latest
SHORT = 1.5


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """A grid of 3 owners and 3 replicas."""
    with LoopbackGrid() as grid:
        yield grid


def test_no_promise_is_broken_while_members_fail(grid: LoopbackGrid) -> None:
    """
    Owners are killed, stand still and are replaced, slots move, connections break: each of it once.
    """
    report = check(grid, Plan(seconds=SHORT, seed=1, staleness=0.5, each=True))
    assert [] == [story(violation, report.history) for violation in report.verdict.violations]
    counts = report.history.counts
    assert 1000 < counts["near"] < counts["reads"]
    assert 100 < counts["writes"]
    assert set(EVERYDAY) == {fault.kind for fault in report.history.faults}


def test_no_promise_is_broken_where_every_moment_is_wide(grid: LoopbackGrid) -> None:
    """
    What makes the lack of a rule show does no harm while the rules hold.
    """
    report = check(grid, Plan(seconds=SHORT, seed=2, staleness=0.5, widen=tuple(RULES), faults=("ears",)))
    assert [] == [story(violation, report.history) for violation in report.verdict.violations]
    assert 0 < report.history.counts["near"]


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_a_promise_is_broken(grid: LoopbackGrid, rule: str) -> None:
    """
    The checker finds it: so it would find it, too, if a change broke the rule.
    """
    seconds, found = SHORT, 0
    while not found and seconds < PATIENT:
        found = len(check(grid, without(rule, seconds=seconds, seed=3)).verdict.violations)
        seconds *= 2
    assert found
