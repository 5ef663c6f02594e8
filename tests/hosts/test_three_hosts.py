"""Three hosts with a grid: copies on other hosts, one host cut off, away, back, and gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid.cluster.plan import NODE_TIMEOUT_MS
from cachegrid.cluster.server import find_server
from tests.hosts.grids import Hosted, Writes, owners_by_host, wait_for
from tests.hosts.namespaces import missing, network

pytestmark = pytest.mark.grid
NODE_TIMEOUT = NODE_TIMEOUT_MS / 1000
# A host changes the grid, and meanwhile another one begins to: whether that one is through before the first is.
CHANGE = """
import os, subprocess, sys
from cachegrid.cluster import Way
from cachegrid.cluster.hosts.alone import alone
from cachegrid.cluster.state import load, state_root
from tests.hosts.grids import until_it_waits

with alone(load(state_root(), "default"), Way()) as (grid, _):
    there = {**os.environ, "CACHEGRID_STATE": sys.argv[1]}
    other = subprocess.Popen(sys.argv[2:], env=there, stdout=subprocess.DEVNULL)
    until_it_waits(other, grid)
    print("before" if other.poll() is not None else "after")
sys.exit(other.wait())
"""


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A grid of three hosts, each with an owner and a replica; every test leaves it so."""
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(3) as net:
        made = Hosted(net, tmp_path_factory.mktemp("hosts"))
        first, *others = net.hosts
        made.run(first, "up", "--host", first.address, "--plaintext", "--memory", "64MB")
        for host in others:
            made.join(host, first, "--memory", "64MB")
        yield made


def is_as_joined(hosted: Hosted) -> bool:
    """Whether each host has one owner, and no copy is on its owner's host."""
    members = hosted.members(hosted.net.hosts[0])
    host_of = {one["id"]: one["host"] for one in members}
    copies = [one for one in members if one["role"] == "replica" and one["link_up"]]
    return (
        {host.address: 1 for host in hosted.net.hosts} == owners_by_host(members)
        and len(copies) == 3
        and all(one["host"] != host_of[one["owner_id"]] for one in copies)
    )


def test_each_host_has_an_owner_and_a_copy_of_another_ones(hosted: Hosted) -> None:
    """
    All slots are owned, equally many by each; and every host finds the grid, with what others wrote.
    """
    first, second, third = hosted.net.hosts
    assert is_as_joined(hosted)
    assert [5461, 5461, 5462] == sorted(one["slots"] for one in hosted.members(second) if one["role"] == "owner")
    hosted.run(first, "set", "prices", "sku-1", "9.9", "--type", "float")
    assert "9.9\n" == hosted.run(third, "get", "prices", "sku-1")
    asks = "import cachegrid; print(cachegrid.connect().cache('prices').get('sku-1'))"
    assert "9.9\n" == second.run(sys.executable, "-c", asks, environ=hosted.environ(second)).stdout


def test_a_host_that_lets_a_replica_take_over_waits_until_another_one_is_through(hosted: Hosted) -> None:
    """
    What two hosts change is done one after the other. When the first leaves, each owner has a copy all the same.
    """
    first, second, _ = hosted.net.hosts
    owner = next(one for one in hosted.members(first) if one["role"] == "owner" and one["host"] == first.address)
    words = first.command(sys.executable, "-m", "cachegrid", "failover", f"{owner['host']}:{owner['port']}")
    there = hosted.environ(first)["CACHEGRID_STATE"]
    changed = second.run(sys.executable, "-c", CHANGE, there, *words, environ=hosted.environ(second))
    assert (0, "after\n") == (changed.returncode, changed.stdout), changed.stderr
    assert first.address not in owners_by_host(hosted.members(second))
    # Elsewhere one host has two owners now, which are too many for the replicas that are left there.
    assert "give their slots to the other owners, and copy one" in hosted.run(first, "leave")
    left = hosted.members(second)
    assert [1, 1] == [*owners_by_host(left).values()]
    assert [True, True] == [one["link_up"] for one in left if one["role"] == "replica"]
    hosted.join(first, second, "--memory", "64MB")
    assert is_as_joined(hosted)


def test_a_host_that_is_cut_off_takes_no_writes_and_the_others_lose_nothing(hosted: Hosted, tmp_path: Path) -> None:
    """
    The others go on without an error; what was acknowledged at `replicated` is there when all are together again.
    """
    first, second, third = hosted.net.hosts
    safe = Writes(hosted, first, "replicated", tmp_path / "safe")
    plain = Writes(hosted, second, "memory", tmp_path / "plain")
    away = Writes(hosted, third, "memory", tmp_path / "away")
    for writes in (safe, plain, away):
        wait_for(writes.acknowledged, "the first write")
    hosted.net.cut(third)
    cut_at = time.monotonic()
    wait_for(lambda: third.address not in hosted.owners(first), "another owner in its place")
    wait_for(lambda: plain.acknowledged(since=cut_at + 2 * NODE_TIMEOUT + 1), "writes that go on")
    wait_for(lambda: safe.acknowledged(since=cut_at + 2 * NODE_TIMEOUT), "writes to owners that have a replica still")
    refused = hosted.tried(third, "heal", "--assign")
    assert (4, True) == (refused.returncode, "2 of 3 owners do not answer, and may go on" in refused.stderr)
    told = hosted.run(third, "status")
    assert ("this host may be cut off" in told, "kill" in told) == (True, False), told
    healed_at = time.monotonic()
    hosted.net.heal()
    wait_for(lambda: hosted.is_whole(third), "the grid whole again")
    for writes in (safe, plain, away):
        writes.end()
    assert [] == away.acknowledged(since=cut_at + 2 * NODE_TIMEOUT, until=healed_at)
    assert [] == plain.failed()
    kept = safe.acknowledged()
    assert "" == safe.lost(kept, second)
    hosted.run(third, "heal")
    assert is_as_joined(hosted)


def test_a_host_goes_away_for_a_while_and_comes_back(hosted: Hosted, tmp_path: Path) -> None:
    """
    Its owner hands over first, so that no write fails; programs on it go on with the others; `up` brings it back.
    """
    first, second, _ = hosted.net.hosts
    writes = Writes(hosted, second, "memory", tmp_path / "writes")
    wait_for(writes.acknowledged, "the first write")
    assert "stopped on this host" in hosted.run(second, "down")
    assert second.address not in owners_by_host(hosted.members(first))
    hosted.run(second, "set", "prices", "sku-2", "1")
    assert "dead and are up again" in hosted.run(second, "up")
    assert is_as_joined(hosted)
    writes.end()
    assert [] == writes.failed()
    assert "" == writes.lost(writes.acknowledged(), first)
    assert "was up already" in hosted.run(second, "up")


def test_a_host_that_loses_its_power_for_a_moment_loses_nothing(hosted: Hosted, tmp_path: Path) -> None:
    """
    Its owner comes back with nothing before anybody has missed it; what its replica has on another host stays.
    """
    first, second, third = hosted.net.hosts
    writes = Writes(hosted, first, "replicated", tmp_path / "writes")
    wait_for(lambda: len(writes.acknowledged()) > 100, "some writes")
    writes.end()
    third.kill_all()
    assert "dead and are up again" in hosted.run(third, "up")
    assert "" == writes.lost(writes.acknowledged(), second)
    wait_for(lambda: is_as_joined(hosted), "all in their places")


def newer_server(folder: Path) -> Path:
    """A program that is the server as it is, and says that it is of a later version."""
    program = find_server()
    major, minor, patch = program.version.split(".")
    later, made = f"{major}.{minor}.{int(patch) + 1}", folder / "newer-server"
    made.write_bytes(program.path.read_bytes().replace(program.version.encode(), later.encode()))
    made.chmod(0o700)
    return made


def test_a_newer_server_is_put_in_host_by_host(hosted: Hosted, tmp_path: Path) -> None:
    """
    While programs write: nothing fails, nothing is lost. No older one is to follow a newer one meanwhile.
    """
    first, *others = hosted.net.hosts
    writes = Writes(hosted, first, "replicated", tmp_path / "writes")
    wait_for(writes.acknowledged, "the first write")
    before = {one["id"]: one["pid"] for one in hosted.members(first)}
    newer = newer_server(hosted.folder)
    words = ["restart", "--rolling", "--fast", "--server", str(newer)]
    assert "a replica takes over, then restart" in hosted.run(first, *words)
    assert {host.address for host in others} == {*owners_by_host(hosted.members(first))}
    for host in others:
        hosted.run(host, *words)
    after = hosted.members(first)
    assert is_as_joined(hosted)
    assert before.keys() == {one["id"] for one in after}
    assert not {*before.values()} & {one["pid"] for one in after}
    hosted.use_server(newer)  # whoever joins in later tests does not run an older one
    writes.end()
    assert [] == [how for how in writes.failed() if how != "NotDurable"]
    assert "" == writes.lost(writes.acknowledged(), others[0])


def test_a_host_leaves_with_all_that_it_has_and_joins_anew(hosted: Hosted, tmp_path: Path) -> None:
    """
    While programs write: nothing fails, nothing is lost, and nothing of the grid stays on the host.
    """
    first, second, third = hosted.net.hosts
    writes = Writes(hosted, second, "memory", tmp_path / "writes")
    wait_for(writes.acknowledged, "the first write")
    assert "move 5,46" in hosted.run(third, "leave", "--dry-run")
    hosted.run(third, "leave")
    assert [] == third.processes()
    assert 3 == hosted.tried(third, "status").returncode
    assert {first.address: 1, second.address: 1} == owners_by_host(hosted.members(first))
    hosted.join(third, first, "--memory", "64MB")
    assert is_as_joined(hosted)
    writes.end()
    assert [] == writes.failed()
    assert "" == writes.lost(writes.acknowledged(), first)


def test_a_lost_host_is_forgotten_and_another_takes_its_place(hosted: Hosted) -> None:
    """
    One that answers is not forgotten; its machine comes back empty, and joins as any other.
    """
    first, _, third = hosted.net.hosts
    refused = hosted.tried(first, "leave", third.address)
    assert (4, True) == (refused.returncode, "say `cachegrid leave` on that host" in refused.stderr)
    hosted.lose(third)
    wait_for(lambda: third.address not in hosted.owners(first), "another owner in its place")
    hosted.run(first, "leave", third.address)
    assert 4 == len(hosted.members(first))
    hosted.join(third, first, "--memory", "64MB")
    assert is_as_joined(hosted)
