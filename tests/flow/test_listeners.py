"""What only one colour can get wrong about events: threads, forks, loops, and functions of the other colour."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import cachegrid
from cachegrid import Event
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import ConfigError
from tests.flow._sio.flow import SyncFlow
from tests.flow.backing import Backing
from tests.flow.test_forks import in_child


@pytest.fixture
def backing() -> Backing:
    """A store in memory."""
    return Backing()


@pytest.fixture
def grid(backing: Backing) -> Iterator[SyncGrid]:
    """A connected grid."""
    with SyncFlow(backing) as flow:
        yield flow.grid()


def test_an_async_function_is_none_for_a_sync_cache(grid: SyncGrid, caplog: pytest.LogCaptureFixture) -> None:
    """
    It is refused; and what only turns out to be one when it is called is a failure like any other.
    """
    cache = grid.cache("prices")

    async def hear(_: Event) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match="a sync function"):
        cache.on("set", hear)
    with pytest.raises(ConfigError, match="takes an event"):
        cache.on("set", None)  # type: ignore[arg-type]
    cache.on("set", lambda event: hear(event))  # noqa: PLW0108 - a function that does not look like one
    with caplog.at_level(logging.CRITICAL, "cachegrid"):
        cache.set("key", 1)
        grid.settle()
    assert 1 == cache.stats().event_failures


def test_a_thread_is_there_while_somebody_listens(grid: SyncGrid) -> None:
    """
    One for a grid, until the last has left.
    """
    before = set(threading.enumerate())
    first, second = (grid.cache(name).on("set", print) for name in ("one", "two"))
    (teller,) = set(threading.enumerate()) - before
    first.off()
    assert teller.is_alive()
    second.off()
    teller.join(10)
    assert not teller.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_hears_what_it_does_itself(grid: SyncGrid) -> None:
    """
    And not what its parent was about to be told; for what owners tell it has to ask.
    """
    cache, told, everywhere = grid.cache("prices"), list[Any](), list[Any]()
    cache.on("set", lambda event: told.append(event.key))
    cache.on("set", lambda event: everywhere.append(event.key), everywhere=True)
    cache.set("parent", 1)
    grid.settle()

    def work() -> list[Any]:
        told.clear()
        everywhere.clear()
        cache.set("child", 1)
        grid.settle()
        cache.on("set", lambda event: everywhere.append(event.key), everywhere=True)
        cache.set("asked", 1)
        grid.settle()
        return [told, everywhere]

    assert [["child", "asked"], ["asked"]] == in_child(work)
    cache.set("later", 1)
    grid.settle()
    assert ["parent", "later"] == told == everywhere


def test_a_grid_that_is_used_by_one_loop_after_another_tells_in_both() -> None:
    """
    Whoever listens goes on to.
    """
    grid = cachegrid.aconnect("memory://")
    cache, told = grid.cache("prices"), list[Any]()

    async def listen() -> None:
        await cache.on("set", lambda event: told.append(event.key))
        await cache.set("one", 1)
        await grid.settle()

    async def go_on() -> None:
        await cache.set("two", 1)
        await grid.aclose()

    asyncio.run(listen())
    asyncio.run(go_on())
    assert ["one", "two"] == told
