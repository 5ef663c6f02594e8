"""A host that was rebooted does not bring its owner back empty over a copy that is alive elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.grids import Hosted, wait_for
from tests.hosts.namespaces import Host, missing, network

pytestmark = pytest.mark.grid
UP = """
from cachegrid.cluster import revival, start
from cachegrid.cluster.hosts import returning
returning.AWAY = revival.BACK_ALONE = 1.0
"""
ENTRIES = 500
FILL = f"import cachegrid; c = cachegrid.connect().cache('p'); c.set_many({{str(n): n for n in range({ENTRIES})}})"
COUNT = f"import cachegrid; c = cachegrid.connect().cache('p'); print(len(c.get_many(map(str, range({ENTRIES})))))"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Hosted]:
    """A grid of two hosts, each with an owner and the other one's replica."""
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(2) as net:
        made = Hosted(net, tmp_path)
        first, second = net.hosts
        made.run(first, "up", "--host", first.address, "--plaintext", "--memory", "64MB")
        made.join(second, first, "--memory", "64MB")
        yield made


def asked(hosted: Hosted, host: Host, program: str) -> str:
    done = host.run(sys.executable, "-c", program, environ=hosted.environ(host))
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


def up_soon(hosted: Hosted, host: Host, *, owners: int = 1, force: bool = False) -> subprocess.CompletedProcess[str]:
    """`up`, which waits for other hosts for a second at most."""
    program = UP + f"start(owners={owners}, force={force})"
    return host.run(sys.executable, "-c", program, environ=hosted.environ(host))


def test_a_copy_out_of_reach_is_not_lost_unless_that_is_said(pair: Hosted) -> None:
    """
    With two hosts nobody is elected meanwhile. Where the other host says that nothing runs there, nothing can be lost.
    """
    first, second = pair.net.hosts
    asked(pair, first, FILL)
    second.kill_all()
    pair.net.cut(second)
    refused = up_soon(pair, second)
    assert (1, True) == (refused.returncode, "`cachegrid up --force` starts it without" in refused.stderr)
    assert [] == second.processes()
    pair.net.heal()
    assert "are up again" in pair.run(second, "up")
    wait_for(lambda: pair.is_whole(first), "the grid whole again")
    assert str(ENTRIES) == asked(pair, second, COUNT)
    second.kill_all()
    pair.net.cut(second)
    forced = up_soon(pair, second, force=True)
    assert 0 == forced.returncode, forced.stderr
    assert second.processes()
    first.kill_all()
    second.kill_all()
    pair.net.heal()
    back = up_soon(pair, first)
    assert 0 == back.returncode, back.stderr
    assert first.processes()


def test_nobody_takes_over_by_force_where_most_owners_may_be_together_elsewhere(tmp_path: Path) -> None:
    """
    They may have elected another one: here two of three do not answer, and it is not known what they do.
    """
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(1) as net:
        hosted, (host,) = Hosted(net, tmp_path), net.hosts
        shape = ["--members", "3", "--replicas", "1", "--memory", "64MB"]
        hosted.run(host, "up", "--host", host.address, "--plaintext", *shape)
        asked(hosted, host, FILL)
        dead, *silent = [one for one in hosted.members(host) if one["role"] == "owner"]
        for one in silent:
            os.kill(one["pid"], signal.SIGSTOP)
        os.kill(dead["pid"], signal.SIGKILL)
        refused = up_soon(hosted, host, owners=3)
        assert (1, True) == (refused.returncode, f":{dead['port']} would come back with nothing" in refused.stderr)
        for one in silent:
            os.kill(one["pid"], signal.SIGCONT)
        hosted.run(host, "up")
        wait_for(lambda: hosted.is_whole(host), "the grid whole again")
        assert str(ENTRIES) == asked(hosted, host, COUNT)
