"""Reads while an owner is away and nobody has taken over yet: its replica answers for it."""

from __future__ import annotations

from typing import Any

import pytest

import cachegrid
from cachegrid.testing.loopback import LoopbackGrid

pytestmark = [pytest.mark.grid, pytest.mark.slow]

# Longer than the test: no replica takes over while it runs.
NO_FAILOVER = {"cluster-node-timeout": "60000"}


@pytest.mark.parametrize("policy", [{}, {"idle": "10m"}], ids=["plain", "idle"])
def test_a_replica_tells_what_its_owner_cannot(policy: dict[str, Any]) -> None:
    """
    A cache is read, by who has it open and by who opens it now, though the owners of its epoch and of all entries die.
    """
    with (
        LoopbackGrid(owners=1, replicas=2, settings=NO_FAILOVER) as grid,
        cachegrid.connect(grid.url) as early,
        cachegrid.connect(grid.url) as late,
    ):
        prices = early.cache("prices", **policy)
        prices.set_many({f"sku-{number}": number for number in range(20)})
        assert 7 == prices["sku-7"]
        prices.clear()
        prices.set_many({f"sku-{number}": -number for number in range(20)})
        grid.wait_for(lambda: {member.lag_bytes for member in grid.members()} == {0})

        grid.kill(0)

        assert -7 == prices["sku-7"]
        assert -7 == late.cache("prices", **policy)["sku-7"]
        assert 20 == len(late.cache("prices", **policy).get_many([f"sku-{number}" for number in range(25)]))
