"""The grid for tests does what its names say, with every server that we support."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cachegrid.cluster import running
from cachegrid.cluster.processes import command_of
from cachegrid.errors import EngineTimeout, StartFailed
from cachegrid.testing.certificates import make_certificates
from cachegrid.testing.loopback import LoopbackGrid

pytestmark = pytest.mark.grid

SERVERS = [
    None,
    pytest.param(
        "redis-server",
        marks=pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on the PATH"),
    ),
]


@pytest.mark.parametrize("server", SERVERS)
def test_a_grid_lives_as_long_as_its_block(server: str | None, state_folder: Path) -> None:
    """
    Inside, all members serve; outside, no process and no file is left.
    """
    with LoopbackGrid(server=server) as grid:
        facts = grid.members()
        assert [True] * 6 == [each.up and each.link_up for each in facts]
        assert grid.state.password in grid.url
        assert grid.root.parent == state_folder
        assert [] == running()
    assert [""] * 6 == [command_of(each.pid) for each in facts]
    assert [] == list(state_folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_a_killed_owner_is_replaced(server: str | None) -> None:
    """
    Its replica takes its slots; what had reached the replica is there.
    """
    with LoopbackGrid(server=server) as grid:
        owner = grid.owner_of(b"{a}1")
        with grid.admin(owner) as admin:
            admin.run("SET", "{a}1", "kept")
            assert 1 == admin.run("WAIT", 1, 5000)
        grid.kill(owner)
        grid.wait_whole()
        successor = grid.owner_of(b"{a}2")
        assert owner + 3 == successor
        with grid.admin(successor) as admin:
            assert b"kept" == admin.run("GET", "{a}1")


@pytest.mark.parametrize("server", SERVERS)
def test_one_member_serves_at_once(server: str | None) -> None:
    """
    Without the two seconds that a server waits that starts as an owner.
    """
    with LoopbackGrid(owners=1, replicas=0, server=server) as grid, grid.admin(0) as admin:
        assert b"OK" == admin.run("SET", "k", "v")
        assert int(admin.facts("server")["uptime_in_seconds"]) < 2


def test_a_paused_member_answers_nothing_until_it_goes_on() -> None:
    """
    Its connections stay open all the while.
    """
    with LoopbackGrid(owners=1, replicas=0) as grid, grid.admin(0) as admin:
        grid.pause(0)
        admin.wait_at_most(0.1)
        with pytest.raises(EngineTimeout):
            admin.run("PING")
        grid.resume(0)
        admin.wait_at_most(10)
        assert b"PONG" == admin.run("PING")  # the late answer to the first one


def test_tls_all_the_way(tmp_path: Path) -> None:
    """
    With a server that has it, members serve only TLS, to each other too; without the authority nobody gets in.
    """
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on the PATH, and the wheel's server has no TLS")
    files = make_certificates(tmp_path / "pem")
    with LoopbackGrid(owners=2, replicas=1, tls=files, server="redis-server") as grid:
        assert [True] * 4 == [each.up and each.link_up for each in grid.members()]
        assert grid.url.startswith("valkeys://")
        with grid.admin(0) as admin:
            assert "127.0.0.1" in admin.text("CLUSTER", "NODES")


def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    """
    So is the wheel's; the error names it, and what would do.
    """
    from cachegrid.cluster.server import find_server

    files = make_certificates(tmp_path / "pem")
    with (
        pytest.raises(StartFailed, match="valkey-server speaks no TLS; name one that does in CACHEGRID_SERVER"),
        LoopbackGrid(tls=files, server=find_server().path),
    ):
        pass


def test_waiting_has_an_end() -> None:
    """
    The error tells what the members are, and how their logs end.
    """
    with (
        LoopbackGrid(owners=1, replicas=0) as grid,
        pytest.raises(TimeoutError, match=r"(?s)owner up=True slots=16384\n127.0.0.1:\d+:\n.* state changed: ok"),
    ):
        grid.wait_for(lambda: False, timeout=0.05)


def test_a_grid_has_to_be_entered() -> None:
    """
    Before that there is nothing to ask.
    """
    with pytest.raises(RuntimeError, match="with LoopbackGrid"):
        LoopbackGrid().url
