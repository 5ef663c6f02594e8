# Generated from tests/flow/_aio/test_policies.py by tools/colour.py. Edit that file, then run `make colour`.
"""Policies with near copies, as settings declare them and a program says them."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._core.units import seconds_of
from cachegrid._sio.grid import SyncGrid
from cachegrid.config import NearPolicy
from cachegrid.errors import ConfigError
from tests.flow._sio.flow import SyncFlow
from tests.flow.waits._sio import until


def test_near_copies_are_kept_as_declared(flow: SyncFlow) -> None:
    """
    A program that turns them on, or says something of them, takes nothing back of what the settings say besides.
    """
    near = NearPolicy(max_bytes="256MB", max_staleness="500ms")
    for said, holds in (
        ({}, near),
        ({"near": True}, near),
        ({"near": {"share": True}}, NearPolicy(max_bytes="256MB", max_staleness="500ms", share=True)),
        ({"near": {"max_bytes": "1MB"}}, NearPolicy(max_bytes="1MB", max_staleness="500ms")),
        ({"near": NearPolicy(share=True)}, NearPolicy(share=True)),
        ({"near": False}, None),
        ({"near": None}, None),
    ):
        grid = flow.grid(caches={"prices": {"near": {"max_bytes": "256MB", "max_staleness": "500ms"}}})
        cache = grid.cache("prices", **said)
        assert holds == cache.policy.near
        assert holds is None or cache._staleness == seconds_of("", holds.max_staleness)  # type: ignore[attr-defined]
        if holds is not None:
            for again in (said, {"near": True}, {"near": {"max_staleness": holds.max_staleness}}):
                assert cache is grid.cache("prices", **again)


def test_a_grid_object_has_one_policy_for_a_name(flow: SyncFlow) -> None:
    """
    Whoever says another one is told what to do; another grid object may have one of its own.
    """
    grid, other = flow.grid(), flow.grid()
    grid.cache("prices")
    with pytest.raises(ConfigError, match=r"^the policy of cache 'prices' is \{'near': True\}; .*once more$"):
        grid.cache("prices", near=True)
    assert NearPolicy() == other.cache("prices", near=True).policy.near
    with pytest.raises(ConfigError, match=r"^the policy of cache 'prices' is \{'near': False\}; .*near=NearPolicy\("):
        other.cache("prices", near=False)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"near": {"max_byte": 1}}, r"^cache 'new': near: unknown setting 'max_byte'; did you mean 'max_bytes'\?$"),
        ({"near": {"max_entries": "1000"}}, "^cache 'new': near.max_entries is '1000'; it must be a whole number"),
        ({"near": True, "idle": "5m"}, "^cache 'new': near is True; it must be off where the cache has an idle time:"),
    ],
    ids=repr,
)
def test_what_is_wrong_in_a_policy_is_told_with_the_cache(grid: SyncGrid, said: dict[str, Any], match: str) -> None:
    """
    A program may open many.
    """
    with pytest.raises(ConfigError, match=match):
        grid.cache("new", **said)


def test_a_function_of_a_cache_with_near_copies_may_have_an_idle_time(grid: SyncGrid) -> None:
    """
    It keeps none of its own results near, and the cache those of other functions.
    """
    cache = grid.cache("prices", near=True)

    @cache.cached(idle="5m")
    def double(number: int) -> int:
        return number * 2

    for _ in range(5):
        assert 6 == double(3)
    assert 0 == cache.stats().near_hits


def test_the_smallest_room_has_a_place_for_a_kilobyte(flow: SyncFlow) -> None:
    """
    As the message says that refuses a smaller one.
    """
    cache = (flow.grid()).cache("prices", near={"max_bytes": "16KiB"})
    cache.set("a key of usual length", "x" * 1000)

    def is_near() -> bool:
        cache.get("a key of usual length")
        return cache.stats().near_hits > 0

    until(is_near)
