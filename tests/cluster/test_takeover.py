"""Replicas take over as planned, and members are restarted one by one, while programs use the grid."""

from __future__ import annotations

import itertools
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from cachegrid.cluster import Operation, Way, failover, find, restart, rolling
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import send_signal
from cachegrid.errors import EngineTimeout, GridError, Unsupported
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.user import User

pytestmark = [pytest.mark.grid, pytest.mark.slow]


def roles(grid: LoopbackGrid) -> list[str]:
    """What each member is, in the order of the members."""
    found = {facts.port: facts.role for facts in grid.members()}
    return [found[member.port] for member in grid.state.members]


def test_members_are_handed_over_and_restarted_under_load() -> None:
    """
    No call fails and nothing acknowledged is lost; every process is another one, and all follow whom they should.
    """
    with LoopbackGrid() as grid:
        before = grid.state
        with User(before.full_url) as user:
            failover("loopback", before.member(0).address, root=grid.root)
            assert ["replica", "owner", "owner", "owner", "replica", "replica"] == roles(grid)
            failover("loopback", before.member(0).address, root=grid.root)  # a replica, by now: back again
            assert ["owner"] * 3 + ["replica"] * 3 == roles(grid)
            restart("loopback", root=grid.root, fast=True)
        assert ([], []) == (user.report.failed, user.report.lost)
        after = grid.reread()
        assert [] == [member for member in before.members if member.pid in {one.pid for one in after.members}]
        assert [True] * 6 == [facts.up and facts.link_up for facts in grid.members()]
        assert roles(grid) == [member.role for member in after.members] == ["replica"] * 3 + ["owner"] * 3
        assert after == find("loopback", root=grid.root) == grid.restart()


def test_another_server_is_put_in(tmp_path: Path) -> None:
    """
    Members run it from then on, also when they are started again; those that do already are left alone.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=1) as grid:
        newer = tmp_path / "valkey-server"
        shutil.copy(grid.state.server, newer)
        restart("loopback", server=newer, root=grid.root, fast=True)
        after = grid.reread()
        assert newer == after.server
        assert {str(newer)} == {_executable(grid, member.index) for member in after.members}
        restart("loopback", server=newer, root=grid.root, way=Way(tell=told.append))
        assert ((), after) == (told[0].steps, grid.reread())
        older = tmp_path / "older"
        older.write_text("#!/bin/sh\necho 'Valkey server v=8.0.1 sha=0'\n")
        older.chmod(0o700)
        with pytest.raises(Unsupported, match=r"runs Valkey .* and \S+older is Valkey 8.0.1"):
            restart("loopback", server=older, root=grid.root)


def _executable(grid: LoopbackGrid, index: int) -> str:
    with grid.admin(index) as admin:
        return admin.facts("server")["executable"]


def test_who_has_no_replica_is_not_touched() -> None:
    """
    Neither handed over nor restarted, unless that is forced; a dead replica is none.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=1, replicas=1) as grid:
        owner = grid.state.member(0)
        grid.kill(1)
        with pytest.raises(GridError, match=f"{owner.address} has no replica that could take over"):
            failover("loopback", owner.address, root=grid.root)
        with pytest.raises(GridError, match="cannot take over"):
            failover("loopback", str(grid.state.member(1).port), root=grid.root)
    with LoopbackGrid(owners=1, replicas=0) as grid:
        owner = grid.state.member(0)
        with pytest.raises(GridError, match=r"has no replica .* its entries are lost; `--force`"):
            restart("loopback", root=grid.root, fast=True)
        assert pid_of(grid.state.member(0)) == grid.state.member(0).pid
        restart("loopback", root=grid.root, force=True, way=Way(tell=told.append, is_rehearsal=True))
        assert pid_of(grid.state.member(0)) == grid.state.member(0).pid
        restart("loopback", root=grid.root, force=True, fast=True)
        assert (f"nobody can take over: restart {owner.address}",) == told[0].steps
        assert owner.pid != grid.reread().member(0).pid
        assert [16384] == [facts.slots for facts in grid.members()]


def test_a_restart_takes_a_rest_after_each_member_but_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Twenty times as long as it took, and half a minute at most.
    """
    rests: list[float] = []
    monkeypatch.setattr(rolling, "sleep", rests.append)
    clock = itertools.count(step=0.5)
    with LoopbackGrid(owners=1, replicas=2) as grid:
        monkeypatch.setattr(rolling, "now", lambda: next(clock))
        restart("loopback", root=grid.root)
        assert [10.0, 10.0] == rests
        monkeypatch.setattr(rolling, "now", lambda: next(clock) * 10)
        restart("loopback", root=grid.root)
        assert [10.0, 10.0, 30.0, 30.0] == rests
        restart("loopback", root=grid.root, fast=True)
        assert [0.0, 0.0] == rests[4:]


def test_an_owner_that_stands_still_is_not_waited_for() -> None:
    """
    The error says who has not taken over.
    """
    with LoopbackGrid(owners=1, replicas=1) as grid:

        def stop_it(_: Any) -> None:
            send_signal(grid.state.member(0).pid, grid.state.member(0).conf, signal.SIGSTOP)

        with pytest.raises(EngineTimeout, match=f"{grid.state.member(1).address} has not taken over"):
            failover("loopback", grid.state.member(0).address, root=grid.root, way=Way(tell=stop_it, timeout=0.5))
        grid.resume(0)
        grid.wait_whole()
