"""Reads while an owner is away and nobody has taken over yet: its replica answers for it."""

from __future__ import annotations

from typing import Any

import pytest

import cachegrid
from cachegrid.errors import CircuitOpen, EngineTimeout, OutcomeUnknown
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


def test_a_cache_may_want_its_owner_or_nobody() -> None:
    """
    With `stale_reads="never"` a replica is not asked; nor is it by what decides something, in whatever cache.
    """
    with (
        LoopbackGrid(owners=1, replicas=1, settings=NO_FAILOVER) as grid,
        cachegrid.connect(grid.url, timeout=1) as connected,
    ):
        prices, stock = connected.cache("prices"), connected.cache("stock", stale_reads="never")
        for cache in (prices, stock):
            cache["sku-7"] = 7
            cache.clear()  # returns when the replica has what was stored before
            cache["sku-7"] = 7
        lock = prices.lock("sku-7", lease="1m")
        lock.acquire()
        grid.wait_for(lambda: all(member.link_up and not member.lag_bytes for member in grid.members()))
        with grid.admin(1) as admin:  # it knows of itself what others are told then
            grid.wait_for(lambda: len(str(admin.run("CLUSTER", "SLOTS")).split("127.0.0.1")) > 2)
        grid.pause(0)
        try:
            assert 7 == prices["sku-7"]
            entry = prices.entry("sku-7")
            assert entry is not None
            assert 7 == entry.value
            for call in (
                lambda: stock["sku-7"],
                lambda: stock.get_many(["sku-7"]),
                lambda: stock.entry("sku-7"),
                lambda: prices.update("sku-7", lambda value: value + 1),
                lambda: prices.incr("sku-7"),
                lambda: prices.get_or_load("sku-8", dict),
                lock.check,
            ):
                with pytest.raises((EngineTimeout, CircuitOpen, OutcomeUnknown)):
                    call()
        finally:
            grid.resume(0)
