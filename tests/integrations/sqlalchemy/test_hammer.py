"""Many processes at once find nothing old; and without its rules they do, so that the hammer proves something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.sqlalchemy.hammer import hammer
from tests.integrations.sqlalchemy.server import Postgres

SECONDS = 1.5

pytestmark = [pytest.mark.grid, pytest.mark.slow]


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """A grid of two owners."""
    with LoopbackGrid(owners=2, replicas=0) as grid:
        yield grid


def test_nothing_old_is_read_and_nothing_uncommitted(postgres: Postgres, grid: LoopbackGrid) -> None:
    """
    By threads and by tasks, while rows are written in all ways, rolled back, and writers killed.
    """
    outcome = hammer(SECONDS, postgres, grid)
    assert [] == outcome.wrong
    assert {"reads", "hits", "written", "rolled back", "snapshots"} <= outcome.counts.keys(), outcome.table()


@pytest.mark.parametrize("rule", ["epochs", "uncommitted"])
def test_it_finds_what_is_wrong_without_a_rule(postgres: Postgres, grid: LoopbackGrid, rule: str) -> None:
    """
    Where the epochs of tags are taken too late, or a transaction's own rows are kept. All rules: by hand.
    """
    outcome = hammer(SECONDS, postgres, grid, without=rule, processes=1)
    assert outcome.wrong, outcome.table()
