"""A grid grows while programs use it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import cachegrid
from cachegrid.cluster import GridState, Operation, Way, add, failover, find, stop
from cachegrid.cluster.agreement import agree, introduce
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import Phase
from cachegrid.cluster.takeover_anywhere import failover_at
from cachegrid.errors import ConfigError, GridError, GridNotFound, StartFailed
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.user import User

pytestmark = [pytest.mark.grid, pytest.mark.slow]


def slots(grid: LoopbackGrid) -> list[int]:
    """How many slots each owner has."""
    return [facts.slots for facts in grid.members() if facts.role == "owner"]


def grow(grid: LoopbackGrid, count: int = 1, **way: Any) -> GridState:
    """Add owners to a grid."""
    add("loopback", count, root=grid.root, way=Way(**way))
    return grid.reread()


def test_a_grid_grows_under_load() -> None:
    """
    No call fails, nothing acknowledged is lost, and the grid's own options take it as it is.
    """
    with LoopbackGrid(owners=2, memory=64 << 20, settings={"timeout": "999"}) as grid:
        before = grid.state
        with User(before.full_url) as user:
            after = grow(grid)
        assert ([], []) == (user.report.failed, user.report.lost)
        assert [5462, 5461, 5461] == sorted(slots(grid), reverse=True)
        assert [True] * 6 == [facts.up and facts.link_up for facts in grid.members()]
        assert {1} == {[f.owner_id for f in grid.members()].count(f.id) for f in grid.members() if f.role == "owner"}
        assert (3, 1, 96 << 20) == (after.shape.owners, after.shape.replicas, after.shape.memory)
        assert {"999"} == {_setting(grid, member.index, "timeout") for member in after.members}
        assert {str(32 << 20)} == {_setting(grid, member.index, "maxmemory") for member in after.members}
        assert after == grid.restart() == find("loopback", root=grid.root)


def _setting(grid: LoopbackGrid, index: int, name: str) -> str:
    with grid.admin(index) as admin:
        answer: Any = admin.run("CONFIG", "GET", name)
    value: bytes = answer[name.encode()] if isinstance(answer, dict) else answer[1]
    return value.decode()


def test_an_embedded_grid_of_one_grows() -> None:
    """
    Programs that found it by its name go on, and find the new members.
    """
    with cachegrid.connect() as grid:
        grid.cache("used").set_many({number: number for number in range(100)})
        add(count=1)
        assert {number: number for number in range(100)} == grid.cache("used").get_many(range(100))
        assert [8192, 8192] == [member.slots for member in grid.members()]
        with cachegrid.connect(grid.url) as another:
            assert 7 == another.cache("used").get(7)
    stop(purge=True)


def test_a_rehearsal_changes_nothing() -> None:
    """
    It tells what would be done.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=1, replicas=0) as grid:
        before = grid.state
        assert before == grow(grid, 2, tell=told.append, is_rehearsal=True)
        assert 1 == len(list(before.folder.glob("m*")))
        assert 3 == told[0].shape.owners
        assert any("move 10,922 of 16,384 slots" in step for step in told[0].steps)


def test_the_plan_counts_on_who_will_be_an_owner() -> None:
    """
    Not on one that has died and was replaced.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=3) as grid:
        grid.kill(0)
        grid.wait_whole()
        grow(grid, tell=told.append, is_rehearsal=True)
        assert f"start members again that do not run: {grid.state.member(0).address}" == told[0].steps[0]
        assert "move 4,096 of 16,384 slots to owners that have fewer" in told[0].steps


def test_members_that_cannot_be_started_leave_nothing() -> None:
    """
    The grid is as it was.
    """
    with LoopbackGrid(owners=1, replicas=0) as grid:

        def spoil(what: str, done: int, total: int) -> None:
            raise StartFailed(what)

        with pytest.raises(StartFailed):
            grow(grid, progress=spoil)
        assert grid.state == grid.reread()
        assert ["m1"] == [path.name for path in grid.state.folder.glob("m*")]
        assert [16384] == slots(grid)


KILLED_AT = """
import os, sys
from pathlib import Path
from cachegrid.cluster import Way, add
def progress(what, *_):
    if what == sys.argv[2]: os.kill(os.getpid(), 9)
add("loopback", 1, root=Path(sys.argv[1]), way=Way(progress=progress))
"""


def test_what_was_cut_short_is_gone_on_with() -> None:
    """
    Killed with slots half moved: the same call ends it, and adds no more.
    """
    with LoopbackGrid(owners=1, replicas=1) as grid:
        words = [sys.executable, "-c", KILLED_AT, str(grid.root), "slots"]
        assert -9 == subprocess.run(words, check=False, timeout=60, env=os.environ).returncode
        assert [Phase.HERE] * 2 + [Phase.JOINING] * 2 == [member.phase for member in grid.reread().members]
        after = grow(grid)
        assert [8192, 8192] == slots(grid)
        assert {Phase.HERE} == {member.phase for member in after.members}
        assert [True] * 4 == [pid_of(member) > 0 for member in after.members]


def test_an_owner_without_slots_has_nothing_to_hand_over() -> None:
    """
    It is refused at once with what goes on; and where its replica is the owner in its place, that one gets the slots.
    """
    with LoopbackGrid(owners=1, replicas=1) as grid:
        words = [sys.executable, "-c", KILLED_AT, str(grid.root), "started"]
        assert -9 == subprocess.run(words, check=False, timeout=60, env=os.environ).returncode
        owner, replica = grid.reread().members[2:]
        introduce(grid.state, 10.0)
        agree(grid.state, 10.0)
        for member in (owner, replica):
            with pytest.raises(
                GridError, match=rf"{owner.address} has no slots.*go on with: cachegrid add --name loop"
            ):
                failover("loopback", member.address, root=grid.root)
        there = Contacts.of_state(grid.state)
        failover_at(there, there.of(replica.id), timeout=5.0)
        assert {replica.id, ""} >= {Contacts.of_state(grid.state).of(owner.id).follows}
        grow(grid, timeout=10.0)
        assert [8192, 8192] == slots(grid)
        assert [True] * 4 == [facts.up and facts.link_up for facts in grid.members()]


def test_what_was_cut_short_and_stopped_comes_back() -> None:
    """
    A grid that is kept on disk comes back with members that have not joined yet, in its new shape.
    """
    with LoopbackGrid(owners=1, replicas=1, persist=True) as grid:
        with cachegrid.connect(grid.url) as used:
            used.cache("used").set("kept", 1, ttl=None)
        words = [sys.executable, "-c", KILLED_AT, str(grid.root), "started"]
        assert -9 == subprocess.run(words, check=False, timeout=60).returncode
        stop("loopback", root=grid.root)
        state = grid.restart()
        assert [0, 16384] == sorted(slots(grid))
        assert {"yes"} == {_setting(grid, member.index, "cluster-allow-reads-when-down") for member in state.members}
        assert [True] * 4 == [facts.up and facts.link_up for facts in grid.members()]
        grow(grid)
        assert [8192, 8192] == slots(grid)
        stop("loopback", root=grid.root)
        assert 4 == len(grid.restart().members)
        with cachegrid.connect(state.full_url) as used:
            assert 1 == used.cache("used").get("kept")


def test_only_what_runs_grows() -> None:
    """
    And by one owner at least.
    """
    with pytest.raises(GridNotFound, match="cachegrid up"):
        add("nobody")
    with pytest.raises(ConfigError, match="count"):
        add("nobody", 0)
    with LoopbackGrid(owners=1, replicas=0, persist=True) as grid:
        stop("loopback", root=grid.root)
        with pytest.raises(GridNotFound):
            grow(grid)
