"""Members are replaced while programs use the grid, and a grid is made whole again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial

import pytest

from cachegrid.cli.reviving import ways_back
from cachegrid.cluster import Operation, Way, add, find, heal, lost_slots, remove, replace, restart, standstill
from cachegrid.cluster.agreement import rows_seen
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import Phase
from cachegrid.errors import GridError
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.user import User
from tests.engines import servers

pytestmark = [pytest.mark.grid, pytest.mark.slow]


def is_whole(grid: LoopbackGrid) -> bool:
    """Whether all members are up, and replicas follow."""
    return all(facts.up and facts.link_up for facts in grid.members())


def test_members_are_replaced_under_load() -> None:
    """
    An owner and a replica; no call fails, nothing acknowledged is lost, and the grid has the shape that it had.
    """
    with LoopbackGrid(owners=2) as grid:
        before = grid.state
        with User(before.full_url) as user:
            replace("loopback", before.member(0).address, root=grid.root)
            replace("loopback", before.member(3).address, root=grid.root)
        assert ([], []) == (user.report.failed, user.report.lost)
        after = grid.reread()
        assert [1, 2, 4, 5] == [member.index for member in after.members]
        assert {Phase.HERE} == {member.phase for member in after.members}
        assert (True, before.shape) == (is_whole(grid), after.shape)
        assert [("owner", 8192)] * 2 + [("replica", 0)] * 2 == [(f.role, f.slots) for f in grid.members()]
        assert after == grid.restart() == find("loopback", root=grid.root)


def _interrupted(what: str, *_: int) -> None:
    if what == "started":
        raise KeyboardInterrupt


KILLED_AT = """
import os, sys
from pathlib import Path
from cachegrid.cluster import Way, replace
def progress(what, *_):
    if what == sys.argv[3]: os.kill(os.getpid(), 9)
replace("loopback", sys.argv[2], root=Path(sys.argv[1]), way=Way(progress=progress))
"""


@pytest.mark.parametrize("when", ["members agree", "handed over", "members ended"])
def test_a_replacement_that_was_cut_short_is_gone_on_with(when: str) -> None:
    """
    With the fresh member that was started, and nothing else may be begun meanwhile.
    """
    with LoopbackGrid(owners=1) as grid:
        old = grid.state.member(0)
        words = [sys.executable, "-c", KILLED_AT, str(grid.root), old.address, when]
        assert -9 == subprocess.run(words, check=False, timeout=60, env=os.environ).returncode
        replace("loopback", old.address, root=grid.root)
        assert [1, 2] == [member.index for member in grid.reread().members]
        assert [16384, 0] == [facts.slots for facts in grid.members()]
        assert is_whole(grid)


def test_what_is_dead_or_gone_is_made_anew() -> None:
    """
    One whose files are gone comes back as what it was, and a replica that was removed is made anew, or is replaced.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=2) as grid:
        state = grid.state
        remove("loopback", state.member(2).address, root=grid.root, force=True)
        grid.kill(3)
        shutil.rmtree(state.member(3).folder)
        grid.reread()
        heal("loopback", root=grid.root, way=Way(tell=told.append))
        assert [1, 1] == [step.count(" again ") + step.count("copies") for step in told[0].steps]
        assert [0, 1, 3, 4] == [member.index for member in grid.reread().members]
        assert ["owner", "owner", "replica", "replica"] == [member.role for member in grid.state.members]
        assert is_whole(grid)
        heal("loopback", root=grid.root, way=Way(tell=told.append))
        assert () == told[1].steps
        dead = grid.kill(3)
        replace("loopback", dead.address, root=grid.root)
        assert [0, 1, 4, 5] == [member.index for member in grid.reread().members]
        assert is_whole(grid)


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_an_owner_whose_files_are_gone_comes_back_as_a_replica(kind: str) -> None:
    """
    Of the one that takes over from it, which has none then. Others know it that it does not know.
    """
    with LoopbackGrid(server=servers.redis() if kind == "redis" else None) as grid:
        dead = grid.kill(0)
        shutil.rmtree(dead.folder)
        heal("loopback", root=grid.root, way=Way(timeout=15.0))
        assert ["owner"] * 3 + ["replica"] * 3 == sorted(member.role for member in grid.reread().members)
        assert [5461, 5461, 5462] == sorted(facts.slots for facts in grid.members() if facts.role == "owner")
        assert is_whole(grid)


def test_one_that_could_not_be_brought_back_is_brought_back_as_what_it_was() -> None:
    """
    Also where a run before has failed half-way; and an owner of nothing becomes a replica, where one is missing.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=2) as grid:
        shutil.rmtree(grid.kill(3).folder)
        with pytest.raises(KeyboardInterrupt):
            heal("loopback", root=grid.root, way=Way(progress=_interrupted))
        assert [True, False] == [grid.reread().member(index).folder.exists() for index in (2, 3)]
        heal("loopback", root=grid.root)
        assert ["owner", "owner", "replica", "replica"] == [member.role for member in grid.reread().members]
        with grid.admin(3) as admin:
            admin.run("CLUSTER", "RESET", "SOFT")
        grid.wait_for(lambda: rows_seen(grid.state)[grid.state.member(3).id].is_owner)
        heal("loopback", root=grid.root, way=Way(tell=told.append))
        assert (f"let {grid.state.member(3).address} copy {grid.state.member(1).address}",) == told[0].steps
        assert [8192, 8192, 0, 0] == [facts.slots for facts in grid.members()]
        assert is_whole(grid)


def test_one_that_stands_still_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    At once, with its process and what to do: nothing that changes members begins, and they are as they were.
    """
    monkeypatch.setattr(standstill, "PATIENCE", 0.3)
    with LoopbackGrid(owners=1) as grid:
        still = grid.pause(1)
        advice = f"`kill -CONT {still.pid}`.*`kill -9 {still.pid}`.*`cachegrid heal --name loop"
        says = rf"{still.address} does not answer.*{advice}"
        for act in (heal, partial(replace, member=still.address), partial(remove, member=still.address), add, restart):
            with pytest.raises(GridError, match=says):
                act("loopback", root=grid.root)
        grid.resume(1)
        heal("loopback", root=grid.root)
        assert is_whole(grid)


def test_slots_without_an_owner_are_told_and_given_away() -> None:
    """
    Of an owner without a replica whose files are gone; only on demand, as what was in them is lost.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=2, replicas=0) as grid:
        grid.kill(1)
        with pytest.raises(GridError, match="cachegrid heal"):
            replace("loopback", grid.state.member(1).address, root=grid.root)
        heal("loopback", root=grid.root, way=Way(is_rehearsal=True, tell=told.append))
        assert "bring 8,192 of 16,384 slots (50%: 8192-16383) back empty" in (step := told.pop().steps[1])
        assert "caches whose epoch was there are empty as well" in step
        rehearsal = Way(is_rehearsal=True, tell=told.append)
        restart("loopback", root=grid.root, force=True, way=rehearsal)
        remove("loopback", grid.state.member(0).address, root=grid.root, force=True, way=rehearsal)
        remove("loopback", grid.state.member(1).address, root=grid.root, force=True, way=rehearsal)
        add("loopback", root=grid.root, way=rehearsal)
        assert [step] * 4 == [told.pop().steps[1] for _ in range(4)]
        shutil.rmtree(grid.state.member(1).folder)
        heal("loopback", root=grid.root)
        assert [range(8192, 16384)] == lost_slots(grid.reread())
        assert [[range(8192)], []] == [*Contacts.of_state(grid.state).owned.values()]
        heal("loopback", root=grid.root, way=Way(tell=told.append))
        (leave,) = told[0].steps
        assert "leave 8,192 slots without an owner" in leave
        heal("loopback", root=grid.root, assign=True)
        assert [] == lost_slots(grid.reread())
        assert [8192, 8192] == [facts.slots for facts in grid.members()]
        assert [True] * 2 == [pid_of(member) > 0 for member in grid.state.members]
        grid.wait_whole()


def test_one_that_has_another_id_is_named_and_comes_back_as_is_said() -> None:
    """
    Nobody would ever know it by that: `heal` says so at once, and `status` shows a dead member.
    """
    with LoopbackGrid(owners=3) as grid:
        lost = grid.state.member(0)
        pid = pid_of(lost)
        with grid.admin(0) as admin:
            admin.run("FLUSHALL")
            admin.run("CLUSTER", "RESET", "HARD")
        assert [lost.address] == [f"{facts.host}:{facts.port}" for facts in grid.members() if not facts.up]
        advice = f"`kill -9 {pid}`, `rm -r {lost.folder}` and then `cachegrid heal --name loopback`"
        assert any(advice in line for line in ways_back(grid.state, grid.members()))
        with pytest.raises(GridError, match=f"{lost.address} has another id than it was given.*{re.escape(advice)}"):
            heal("loopback", root=grid.root)
        shutil.rmtree(grid.kill(0).folder)
        heal("loopback", root=grid.root, way=Way(timeout=15.0))
        grid.reread()
        assert is_whole(grid)
