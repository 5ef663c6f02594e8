"""A member joins a grid and leaves it again: near copies follow, and only those of what moved go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import cachegrid
from cachegrid._sio.near import SyncNearCache
from cachegrid.cluster.admin import Admin
from cachegrid.engines.valkey.slots import SLOTS, slot_of
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines.servers import HOST, Server

pytestmark = pytest.mark.grid
LAST = SLOTS // 6  # so many slots of the first owner move


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    """Two owners without replicas: what matters here is who owns what."""
    with LoopbackGrid(owners=2, replicas=0) as grid:
        yield grid


@pytest.fixture
def newcomer(grid: LoopbackGrid) -> Iterator[Server]:
    """A member without slots that the others know, and that knows them."""
    password = grid.state.password
    settings = {"cluster-enabled": "yes", "requirepass": password, "primaryauth": password}
    with Server(settings={**settings, "cluster-node-timeout": 1000}) as server:
        with grid.admin(0) as admin:
            admin.run("CLUSTER", "MEET", HOST, server.port)
        grid.wait_for(lambda: {3} == {known(run) for run in [server.run, *runs(grid)]})
        yield server


def runs(grid: LoopbackGrid) -> list[Callable[..., object]]:
    """How to ask each member that was there from the beginning."""

    def runner(index: int) -> Callable[..., object]:
        def run(*words: str) -> object:
            with grid.admin(index) as admin:
                return admin.run(*words)

        return run

    return [runner(member.index) for member in grid.state.members]


def known(run: Callable[..., object]) -> int:
    """How many members one of them knows, if to it all is well."""
    told = run("CLUSTER", "INFO")
    assert isinstance(told, bytes)
    facts = dict(line.split(":", 1) for line in told.decode().split())
    return int(facts["cluster_known_nodes"]) if facts["cluster_state"] == "ok" else 0


def move(grid: LoopbackGrid, source: Admin | Server, target: str, newcomer: Server) -> None:
    """Give the slots up to LAST to the member `target` and wait until all know it."""
    source.run("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, LAST, "NODE", target)

    def is_owner(run: Callable[..., object]) -> bool:
        told = run("CLUSTER", "NODES")
        assert isinstance(told, bytes)
        row = next(row.split() for row in told.decode().splitlines() if row.startswith(target))
        return row[8:9] != [] and row[8].startswith("0-")

    grid.wait_for(lambda: all(is_owner(run) for run in [newcomer.run, *runs(grid)]))


def test_copies_follow_a_member_that_joins_and_leaves(grid: LoopbackGrid, newcomer: Server) -> None:
    """
    What others write is seen whoever owns it by then, and what did not move stays near.
    """
    with cachegrid.connect(grid.url) as mine, cachegrid.connect(grid.url) as theirs:
        cache, other = mine.cache("prices", near=True), theirs.cache("prices")
        assert isinstance(cache, SyncNearCache)
        keys = [f"key {number}" for number in range(300)]
        other.set_many(dict.fromkeys(keys, "0"))
        moving = [key for key in keys if slot_of(cache._settle().address(key)) <= LAST]
        staying = [key for key in keys if key not in moving]
        assert moving
        assert staying
        stranger, owner = str(newcomer.run("CLUSTER", "MYID"), "ascii"), grid.state.members[0].id
        keep(grid, cache, keys)
        with grid.admin(0) as admin:
            move(grid, admin, stranger, newcomer)
        follow(grid, cache, other, moving, staying, "1")
        move(grid, newcomer, owner, newcomer)
        for run in runs(grid):
            run("CLUSTER", "FORGET", stranger)
        newcomer.kill()
        follow(grid, cache, other, moving, staying, "2")


def keep(grid: LoopbackGrid, cache: SyncNearCache, keys: list[str]) -> None:
    """Read until all keys are near."""

    def are_near() -> bool:
        before = cache.stats().near_hits
        assert set(keys) == set(cache.get_many(keys))
        return cache.stats().near_hits - before == len(keys)

    grid.wait_for(are_near)


def follow(
    grid: LoopbackGrid,
    cache: SyncNearCache,
    other: cachegrid.SyncCache,
    moving: list[str],
    staying: list[str],
    value: str,
) -> None:
    """Whoever owns them now: copies of what stayed are near, and all see what is written now."""
    before = cache.stats().near_hits
    cache.get_many(staying)
    assert len(staying) == cache.stats().near_hits - before
    keep(grid, cache, moving)
    other.set_many(dict.fromkeys(moving + staying, value))
    grid.wait_for(lambda: {value} == set(cache.get_many(moving + staying).values()))
    keep(grid, cache, moving + staying)
