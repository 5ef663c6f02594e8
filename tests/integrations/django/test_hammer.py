"""Many processes at once find nothing that is old; that they would find it shows by hand, with `--without`."""

from __future__ import annotations

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.django.hammer import hammer
from tests.integrations.sqlalchemy.server import Postgres

SECONDS = 1.0


@pytest.mark.grid
@pytest.mark.slow
def test_nothing_old_is_read_and_nothing_uncommitted(server: Postgres) -> None:
    """
    While rows are written in all ways, rolled back, and writers killed.
    """
    with LoopbackGrid(owners=2, replicas=0) as grid:
        outcome = hammer(SECONDS, server, grid)
    assert [] == outcome.wrong
    assert {"reads", "hits", "written", "rolled back"} <= outcome.counts.keys(), outcome.table()
