"""Members that have forgotten the scripts: they are told once, not for each address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.waits._aio import aside
from tests.engines._aio.opened import opened

pytestmark = pytest.mark.grid

MINUTE = 60_000


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    with LoopbackGrid(owners=3, replicas=0) as grid:
        yield grid


def forget_scripts(grid: LoopbackGrid) -> None:
    """Let every member know no script, and count from now on."""
    for member in grid.state.members:
        with grid.admin(member.index) as admin:
            admin.run("SCRIPT", "FLUSH", "SYNC")
            admin.run("CONFIG", "RESETSTAT")


def sources_sent(grid: LoopbackGrid) -> list[int]:
    """To each member, how often a whole script was sent."""
    counts = []
    for member in grid.state.members:
        with grid.admin(member.index) as admin:
            stats = admin.text("INFO", "commandstats")
            line = next((line for line in stats.splitlines() if line.startswith("cmdstat_eval:")), "calls=0,")
            counts.append(int(line.partition("calls=")[2].partition(",")[0]))
    return counts


async def test_a_page_teaches_each_member_once(grid: LoopbackGrid) -> None:
    """
    Of many that are fetched from members that do not know the script, one goes to each with its source.
    """
    addresses = [b"cg:taught:%d" % number for number in range(300)]
    async with opened(grid.url) as engine:
        await engine.store_many([(address, address, MINUTE) for address in addresses])
        await aside(forget_scripts, grid)
        assert addresses == await engine.fetch_idle_many(addresses, MINUTE)
        assert [1, 1, 1] == await aside(sources_sent, grid)
        assert addresses == await engine.fetch_idle_many(addresses, MINUTE)
        assert [1, 1, 1] == await aside(sources_sent, grid)
