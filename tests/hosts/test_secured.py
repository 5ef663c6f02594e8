"""Hosts that speak TLS: members among themselves, and programs with them; the token brings a host its certificate."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.engines.servers import redis
from tests.hosts.grids import Hosted, Writes, owners_by_host, wait_for
from tests.hosts.namespaces import missing, network

pytestmark = pytest.mark.grid


def test_hosts_that_speak_tls_survive_a_cut_too(tmp_path: Path) -> None:
    """
    Nothing but TLS is spoken, and what was acknowledged at `replicated` outlives the loss of a host.
    """
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(2) as net:
        hosted = Hosted(net, tmp_path / "states", {"CACHEGRID_SERVER": str(redis())})
        first, second = net.hosts
        folder = str(tmp_path / "tls")
        refused = hosted.tried(first, "up", "--host", first.address, "--tls", folder)
        assert (2, True) == (refused.returncode, f"cachegrid tls {folder} {first.address}" in refused.stderr)
        hosted.run(first, "tls", folder, first.address)
        words = ("--members", "3", "--memory", "96MB")  # most of the owners: they outlive the other host
        hosted.run(first, "up", "--host", first.address, "--tls", folder, *words)
        hosted.join(second, first, "--memory", "64MB", ask=("--host", second.address))
        assert {first.address: 3, second.address: 1} == owners_by_host(hosted.members(second))
        assert "valkeys://" in hosted.run(second, "url")
        port = hosted.members(second)[0]["port"]
        assert 3 == hosted.tried(second, "status", "--url", f"valkey://{first.address}:{port}").returncode
        writes = Writes(hosted, first, "replicated", tmp_path / "writes")
        wait_for(writes.acknowledged, "the first write")
        net.cut(second)
        wait_for(lambda: {first.address: 4} == hosted.owners(first), "another owner in its place")
        begun = time.monotonic()
        seen = hosted.tried(second, "status")
        took = time.monotonic() - begun
        assert (0, True) == (seen.returncode, "this host may be cut off; see cachegrid doctor" in seen.stdout), seen
        assert ([], took) == (re.findall(r"10\.77\.0\.1:\d+ +\w+ +up", seen.stdout), min(took, 6.0))
        told = hosted.run(first, "status")
        assert f"{second.address} may be cut off; start dead members again there with: cachegrid up" in told
        net.heal()
        wait_for(lambda: hosted.is_whole(second), "the grid whole again")
        writes.end()
        assert writes.acknowledged()
        assert "" == writes.lost(writes.acknowledged(), second)
