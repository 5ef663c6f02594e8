"""A host that leaves, where others have little room, or are lost: nothing goes without a word."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid.cluster.hosts.leaving import leave
from cachegrid.errors import GridNotFound
from tests.hosts.grids import Hosted, owners_by_host
from tests.hosts.namespaces import missing, network

pytestmark = pytest.mark.grid
FILL = """
import cachegrid
with cachegrid.connect(timeout=5.0) as grid:
    entries = {f"sku-{number}": b"x" * 1000 for number in range(14_000)}
    grid.cache("prices").set_many(entries)
"""
# A host leaves, and in the last moment before its members end another one begins to share out slots.
LEAVE = """
import contextlib, os, subprocess, sys
from cachegrid.cluster.hosts import leaving

ended = leaving.end_members

def end_members(*words):
    global sharing
    sharing = subprocess.Popen(sys.argv[2:], env={**os.environ, "CACHEGRID_STATE": sys.argv[1]})
    with contextlib.suppress(subprocess.TimeoutExpired):
        sharing.wait(3.0)  # it is through sooner where nothing keeps it waiting
    ended(*words)

leaving.end_members = end_members
leaving.leave()
sys.exit(sharing.wait())
"""


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    """Two hosts without a grid."""
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(2) as net:
        yield Hosted(net, tmp_path)


def grown(hosted: Hosted, memory: str) -> None:
    """Let both hosts have an owner without replicas, the first with so much memory."""
    first, second = hosted.net.hosts
    hosted.run(
        first, "up", "--host", first.address, "--plaintext", "--members", "1", "--replicas", "0", "--memory", memory
    )
    hosted.join(second, first, "--replicas", "0", "--memory", "64MB")


def entries(hosted: Hosted) -> int:
    """How many entries there are for the first host."""
    return sum(one["entries"] for one in hosted.members(hosted.net.hosts[0]) if one["role"] == "owner")


def test_a_host_does_not_leave_while_others_would_evict_what_it_has(hosted: Hosted) -> None:
    """
    It is told before anything moves; with `--force` it goes, and they evict.
    """
    first, second = hosted.net.hosts
    grown(hosted, "16MB")
    filled = first.run(sys.executable, "-c", FILL, environ=hosted.environ(first))
    assert 0 == filled.returncode, filled.stderr
    there = entries(hosted)
    for words in (["--dry-run"], []):
        refused = hosted.tried(second, "leave", *words)
        assert (4, True) == (refused.returncode, "has room for" in refused.stderr), refused.stderr
    assert {first.address: 1, second.address: 1} == owners_by_host(hosted.members(first))
    assert there == entries(hosted)
    hosted.run(second, "leave", "--force")
    assert {first.address: 1} == owners_by_host(hosted.members(first))


def test_where_no_grid_has_been_there_is_none_to_leave(tmp_path: Path) -> None:
    """
    Not even the folder of its state has to be there, and it is not made.
    """
    with pytest.raises(GridNotFound, match="no grid 'default' on this host"):
        leave(root=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_nobody_gives_slots_to_members_that_are_about_to_end(hosted: Hosted) -> None:
    """
    Another host that shares out slots, or lets a replica take over, waits until they are gone: no slot ends with them.
    """
    first, second = hosted.net.hosts
    grown(hosted, "64MB")
    hosted.run(first, "set", "prices", "sku-1", "1")
    rebalance = first.command(sys.executable, "-m", "cachegrid", "rebalance", "--fast")
    there = hosted.environ(first)["CACHEGRID_STATE"]
    left = second.run(sys.executable, "-c", LEAVE, there, *rebalance, environ=hosted.environ(second))
    assert 0 == left.returncode, left.stderr
    assert "nothing to do" in left.stdout
    assert [16384] == [one["slots"] for one in hosted.members(first)]
    assert "1\n" == hosted.run(first, "get", "prices", "sku-1")


def test_what_a_host_had_that_is_gone_for_good_is_given_to_others(hosted: Hosted) -> None:
    """
    Without replicas nobody takes over: that is told, with an exit code, until somebody says to go on without it.
    """
    first, second = hosted.net.hosts
    grown(hosted, "64MB")
    hosted.run(first, "set", "prices", "sku-0", "0")
    refused = hosted.tried(second, "down")
    assert (4, True) == (refused.returncode, "would be lost, as no other host has a copy" in refused.stderr)
    assert hosted.is_whole(first)
    hosted.lose(second)
    left = hosted.tried(first, "heal")
    assert (1, True) == (left.returncode, "8,192 slots have no owner that answers: --assign" in left.stderr)
    refused = hosted.tried(first, "leave", second.address)
    assert (4, True) == (refused.returncode, "cachegrid heal --assign" in refused.stderr)
    assert "give 8,192 slots" in hosted.run(first, "heal", "--assign")
    assert [16384, 0] == sorted((one["slots"] for one in hosted.members(first)), reverse=True)
    hosted.run(first, "set", "prices", "sku-1", "1")
    hosted.run(first, "leave", second.address)
    hosted.join(second, first, "--replicas", "0", "--memory", "64MB")
    assert {first.address: 1, second.address: 1} == owners_by_host(hosted.members(first))
    assert "1\n" == hosted.run(second, "get", "prices", "sku-1")
