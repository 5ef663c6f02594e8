"""Members leave a grid while programs use it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import cachegrid
from cachegrid.cluster import GridState, Operation, Way, find, heal, remove, replace, shrinking, stop
from cachegrid.cluster.agreement import views
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import MemberState, Phase, save
from cachegrid.errors import ConfigError, EngineTimeout, GridError
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.user import User

pytestmark = [pytest.mark.grid, pytest.mark.slow]


def shrink(grid: LoopbackGrid, member: MemberState, *, force: bool = False, **way: Any) -> GridState:
    """Take a member out of a grid."""
    remove("loopback", member.address, root=grid.root, force=force, way=Way(**way))
    return grid.reread()


def test_an_owner_leaves_from_the_middle_under_load() -> None:
    """
    With its replica; no call fails, nothing acknowledged is lost, nobody knows them, and the rest comes back as it is.
    """
    told: list[Operation] = []
    with LoopbackGrid(memory=96 << 20) as grid:
        before = grid.state
        gone = [before.member(1), before.member(4)]
        with User(before.full_url) as user:
            after = shrink(grid, before.member(1), tell=told.append)
        assert ["with 2 owners no replica takes over"] == [said[:35] for said in told[0].warnings]
        assert ([], []) == (user.report.failed, user.report.lost)
        assert [0, 2, 3, 5] == [member.index for member in after.members]
        assert (2, 1, 64 << 20) == (after.shape.owners, after.shape.replicas, after.shape.memory)
        assert {member.id for member in after.members} == {i for view in views(after).values() for i in view}
        assert [8192, 8192] == [facts.slots for facts in grid.members() if facts.role == "owner"]
        assert [(0, False)] * 2 == [(pid_of(member), member.folder.exists()) for member in gone]
        assert after == grid.restart() == find("loopback", root=grid.root)
        grid.kill(5)
        assert [True] * 4 == [pid_of(member) > 0 for member in grid.restart().members]


def test_a_grid_on_disk_comes_back_without_them() -> None:
    """
    With all entries, and with indexes that are no places.
    """
    with LoopbackGrid(owners=2, replicas=1, persist=True) as grid:
        with cachegrid.connect(grid.url) as used:
            used.cache("used").set_many({number: number for number in range(100)}, ttl=None)
        assert [1, 3] == [member.index for member in shrink(grid, grid.state.member(0)).members]
        stop("loopback", root=grid.root)
        with cachegrid.connect(grid.restart().full_url) as used:
            assert {number: number for number in range(100)} == used.cache("used").get_many(range(100))
        assert [True] * 2 == [facts.up and facts.link_up for facts in grid.members()]


def test_some_members_must_stay() -> None:
    """
    The last owner, and a replica that its owner needs, unless that is forced; the grid is as it was.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=1, replicas=1) as grid:
        before = grid.state
        with pytest.raises(GridError, match=r"last owner .*cachegrid down"):
            shrink(grid, before.member(0), force=True)
        with pytest.raises(GridError, match=r"0 of the 1 .*cachegrid replace.*--force"):
            shrink(grid, before.member(1))
        with pytest.raises(ConfigError, match=f"member is '1.2.3.4:5'.*{before.member(1).address}"):
            remove("loopback", "1.2.3.4:5", root=grid.root)
        assert before == grid.reread()
        assert before == shrink(grid, before.member(1), force=True, is_rehearsal=True, tell=told.append)
        assert [before.member(0)] == list(shrink(grid, before.member(1), force=True).members)
        assert (f"end {before.member(1).address}, and let all others forget them",) == told[0].steps


def dethroned(grid: LoopbackGrid) -> MemberState:
    """A dead member whose replica has taken over: the others still take it for an owner."""
    gone = grid.kill(0)
    grid.wait_whole()
    return gone


def parts(grid: LoopbackGrid) -> tuple[int, list[int]]:
    """How many owners the grid is to have, and how many replicas each that is there has."""
    shape, facts = grid.reread().shape, grid.members()
    return shape.owners, [sum(other.owner_id == one.id for other in facts) for one in facts if one.slots]


def test_who_was_an_owner_leaves_as_the_replica_that_it_is_to_be() -> None:
    """
    Only where that is forced, since an owner lacks one; the grid is to have as many owners as before.
    """
    with LoopbackGrid() as grid:
        gone = dethroned(grid)
        with pytest.raises(GridError, match=r"its own has taken over.* 0 of the 1 .*cachegrid replace.*--force"):
            shrink(grid, gone)
        assert gone not in shrink(grid, gone, force=True).members
        assert (3, [0, 1, 1]) == (parts(grid)[0], sorted(parts(grid)[1]))
        heal("loopback", root=grid.root)
        assert (3, [1, 1, 1]) == parts(grid)


def test_a_fresh_member_takes_the_place_of_who_was_an_owner() -> None:
    """
    As a replica of the one that has none.
    """
    with LoopbackGrid() as grid:
        gone = dethroned(grid)
        replace("loopback", gone.address, root=grid.root)
        assert (3, [1, 1, 1]) == parts(grid)
        assert gone not in grid.state.members


def test_nobody_ends_who_owns_a_slot() -> None:
    """
    Whatever was thought before: the last look is at what all members say.
    """
    with LoopbackGrid(owners=2, replicas=0) as grid:
        state = grid.state
        going = shrinking.leaver(state.member(1), is_owner=True)
        save(
            noted := GridState(
                **{name: getattr(state, name) for name in state.__slots__} | {"members": (state.members[0], going)}
            )
        )
        with pytest.raises(EngineTimeout, match=f"takes {going.address} for the owner of slots"):
            shrinking.let_go(noted, Way(timeout=0.2))
        assert pid_of(going) > 0
        assert [8192, 8192] == [facts.slots for facts in grid.members()]


KILLED_AT = """
import os, sys
from pathlib import Path
from cachegrid.cluster import Way, remove
def progress(what, *_):
    if what == sys.argv[3]: os.kill(os.getpid(), 9)
remove("loopback", sys.argv[2], root=Path(sys.argv[1]), way=Way(progress=progress))
"""


@pytest.mark.parametrize("when", ["slots", "members ended"])
def test_what_was_cut_short_is_gone_on_with(when: str) -> None:
    """
    Killed with slots half moved, or before all have forgotten: nobody else may leave, and the same call ends it.
    """
    with LoopbackGrid(owners=2, replicas=1) as grid:
        first, other = grid.state.members[:2]
        words = [sys.executable, "-c", KILLED_AT, str(grid.root), first.address, when]
        assert -9 == subprocess.run(words, check=False, timeout=60, env=os.environ).returncode
        assert [0, 2] == [member.index for member in grid.reread().members if member.phase is Phase.LEAVING]
        with pytest.raises(GridError, match=f"{first.address} is leaving"):
            shrink(grid, other)
        after = shrink(grid, first)
        assert [(1, Phase.HERE), (3, Phase.HERE)] == [(member.index, member.phase) for member in after.members]
        assert [16384] == [facts.slots for facts in grid.members() if facts.role == "owner"]
