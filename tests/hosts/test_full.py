"""Other hosts come to the help of a grid that is full."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.grids import Hosted, owners_by_host
from tests.hosts.namespaces import Network, missing, network

pytestmark = pytest.mark.grid
# Noise is not compressed.
FILL = """
import random, cachegrid
cache = cachegrid.connect().cache("prices")
for start in range(0, {count}, 500):
    cache.set_many({{str(n): random.randbytes(500) for n in range(start, start + 500)}})
"""
OVERFILL = """
from cachegrid.cluster import find
from cachegrid.cluster.admin import connect_to
state = find()
with connect_to(state, state.members[0]) as admin:
    admin.run("CONFIG", "SET", "maxmemory", "4mb")
"""


@pytest.fixture
def two() -> Iterator[Network]:
    """Two hosts."""
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(2) as net:
        yield net


@pytest.mark.parametrize(("when_full", "count", "then"), [("refuse", 10_000, OVERFILL), ("evict", 28_000, "")])
def test_a_host_joins_a_full_grid(two: Network, tmp_path: Path, when_full: str, count: int, then: str) -> None:
    """
    With a token from before, which is as good as ever after more entries than there is room for; another can be made.
    """
    hosted, (first, second) = Hosted(two, tmp_path), two.hosts
    shape = ["--plaintext", "--memory", "16MB", "--when-full", when_full]
    hosted.run(first, "up", "--host", first.address, *shape)
    where, token = hosted.token(first)
    done = first.run(sys.executable, "-c", FILL.format(count=count) + then, environ=hosted.environ(first))
    assert (0, "") == (done.returncode, done.stderr)
    hosted.token(first)
    hosted.run(second, "join", where, "--token-file", "-", "--memory", "16MB", stdin=token)
    assert {first.address: 1, second.address: 1} == owners_by_host(hosted.members(first))
