"""
Many processes at once find nothing that is old.

That they would find it shows by hand, with `--without`; for each rule there is a test that fails without it, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.sqlalchemy.hammer import hammer
from tests.integrations.sqlalchemy.hammering import POISON, Orders, Work
from tests.integrations.sqlalchemy.server import Postgres

SECONDS = 1.0


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """A grid of two owners."""
    with LoopbackGrid(owners=2, replicas=0) as grid:
        yield grid


@pytest.mark.grid
@pytest.mark.slow
def test_nothing_old_is_read_and_nothing_uncommitted(postgres: Postgres, grid: LoopbackGrid) -> None:
    """
    By threads and by tasks, while rows are written in all ways, rolled back, and writers killed.
    """
    outcome = hammer(SECONDS, postgres, grid)
    assert [] == outcome.wrong
    assert {"reads", "hits", "written", "rolled back"} <= outcome.counts.keys(), outcome.table()


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ([(1, 5, 5), (2, 1, 1)], ""),
        ([(1, 4, 4)], "stale"),
        ([(1, 6, 5)], "torn"),
        ([(2, POISON + 1, POISON + 1)], "uncommitted"),
    ],
)
def test_it_knows_what_is_wrong(tmp_path: Path, found: list[tuple[int, int, int]], wrong: str) -> None:
    """
    What is older than the version that was committed, of two transactions at once, or of one that is rolled back.
    """
    board = tmp_path / "board"
    board.write_bytes(bytes(8 * 4))
    work = Work(Orders(url="", grid="", board=str(board), colour="sync", number=0, writers=1, rows=3, seconds=0))
    work.judge(1, 5, found, time.monotonic())
    assert [wrong] * bool(wrong) == [said.partition(":")[0] for said in work.wrong]
