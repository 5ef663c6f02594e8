"""A short form of `make chaos`: a grid that is used while it is hurt, and what its users saw of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from tests.chaos import faults
from tests.chaos.__main__ import must_not
from tests.chaos.run import GRID, Inject, Plan, Report, Stage, observed, run

pytestmark = [pytest.mark.grid, pytest.mark.slow]

PLAN = Plan(seed=1, rate=500, processes=2, before=0.5, after=0.5, help_after=0.0, pause=2.5)


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """A grid that is whole again after each test."""
    with LoopbackGrid(name=GRID) as made:
        yield made


def seen(grid: LoopbackGrid, name: str, inject: Inject, folder: Path) -> Report:
    """What users saw of a fault."""
    return observed(name, Stage(grid, PLAN, random.Random(1)), inject, folder)


def test_a_killed_owner_costs_time_and_nothing_else(grid: LoopbackGrid, tmp_path: Path) -> None:
    """
    Nothing that a replica had is lost, and no call fails but counts and conditions that the owner was at when it died.
    """
    report = seen(grid, "kill", faults.kill_owner, tmp_path)
    assert [] == list(must_not(report))
    assert {"OutcomeUnknown"} >= set(report.verdict.failed)
    assert 0 < report.verdict.acknowledged["replicated"]


def test_an_owner_that_stands_still_is_replaced_and_comes_back(grid: LoopbackGrid, tmp_path: Path) -> None:
    """
    Nothing is lost, and nobody is told by it what is no longer true.
    """
    report = seen(grid, "pause", faults.pause_owner, tmp_path)
    assert [] == list(must_not(report))
    assert {"OutcomeUnknown"} >= set(report.verdict.failed)


def test_a_rolling_restart_leaves_no_slot_without_an_owner(grid: LoopbackGrid, tmp_path: Path) -> None:
    """
    So nothing that is read meanwhile is excused by it, nor is a loss.
    """
    report = seen(grid, "restart", faults.restart_rolling, tmp_path)
    (fault,) = report.faults
    assert fault.began == fault.served < fault.whole
    assert [] == list(must_not(report))
    assert 0 == report.verdict.stale_away


def test_what_only_a_dead_owner_had_is_found_lost(grid: LoopbackGrid, tmp_path: Path) -> None:
    """
    The judge can find a loss: of writes that waited for nobody, and only of these.
    """
    report = seen(grid, "kill", faults.kill_with_blind_replica, tmp_path)
    assert 0 < report.verdict.lost["memory"]
    assert 0 == report.verdict.lost["replicated"]


def test_what_was_on_disk_outlives_all_members(tmp_path: Path) -> None:
    """
    All are killed at once, and started again.
    """
    report = run("kill all kept", faults.kill_all, PLAN, persist=True, keep=tmp_path)
    assert [] == list(must_not(report))
    assert 0 < report.verdict.acknowledged["disk"]
