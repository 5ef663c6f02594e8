"""A program that was connected goes on when its grid, which kept nothing on disk, has been started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cachegrid
from cachegrid import cluster
from cachegrid.cluster import GridState, ports
from cachegrid.cluster.identity import remembered
from cachegrid.cluster.state import names

pytestmark = pytest.mark.grid


@pytest.fixture(autouse=True)
def _ends_grids(state_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    for name in {*names(state_folder), *remembered(state_folder)}:
        cluster.stop(name, purge=True)


def killed_and_connected_to() -> None:
    """The only member is killed, and whoever connects next starts the grid anew."""
    cluster.kill(cluster.embedded(), 0)
    cachegrid.connect().close()
    cluster.embedded()


def down_and_up() -> None:
    """As by the command."""
    cluster.stop()
    cluster.start(owners=1, replicas=0)


def down_and_up_larger() -> None:
    """The only member that was known is one of several then."""
    cluster.stop()
    cluster.start(owners=2, replicas=1)


@pytest.mark.parametrize("restart", [killed_and_connected_to, down_and_up, down_and_up_larger])
def test_a_connected_program_goes_on(restart: Callable[[], None]) -> None:
    """
    It and others see the same entries, each other's `clear`, and what either signed; nothing of before.
    """
    cluster.embedded()
    with cachegrid.connect() as early:
        prices, shapes = early.cache("prices"), early.cache("shapes", codec="pickle")
        prices["sku-1"] = 1
        prices.clear()
        prices["sku-1"], shapes["a"] = 2, range(2)

        restart()

        assert None is prices.get("sku-1")
        prices["sku-1"] = 3
        with cachegrid.connect() as late:
            assert 3 == late.cache("prices")["sku-1"]
            late.cache("prices").clear()
            assert None is prices.get("sku-1")
            late.cache("prices")["sku-2"] = 4
            assert 4 == prices["sku-2"]
            prices.clear()
            assert None is late.cache("prices").get("sku-2")
            late.cache("shapes", codec="pickle")["a"] = range(3)
            assert range(3) == shapes["a"]


@pytest.mark.parametrize("restart", [killed_and_connected_to, down_and_up])
def test_who_reads_first_trusts_no_epoch_of_before(restart: Callable[[], None]) -> None:
    """
    A program that had the cache open, and is silent while others begin a new one, reads what they stored.
    """
    cluster.embedded()
    with cachegrid.connect() as early, cachegrid.connect() as cleared:
        prices = early.cache("prices")
        assert None is prices.get("sku-1")
        cleared.cache("prices").clear()

        restart()

        with cachegrid.connect() as late:
            late.cache("prices")["sku-1"] = 5
            assert 5 == prices["sku-1"]
            assert 5 == cleared.cache("prices")["sku-1"]


@pytest.mark.parametrize("shape", [(1, 0), (2, 1)])
def test_addresses_and_passwords_stay_until_they_are_purged(shape: tuple[int, int]) -> None:
    """
    URLs in the settings of other programs hold; who wants new ones says `purge`, also when the grid is down already.
    """
    owners, replicas = shape

    def started() -> GridState:
        return cluster.start(owners=owners, replicas=replicas)

    before = started()
    cluster.stop()
    again = started()
    assert (before.full_url, before.secret) == (again.full_url, again.secret)
    assert [each.bus_port for each in before.members] == [each.bus_port for each in again.members]
    cluster.stop()
    cluster.stop(purge=True)
    other = started()
    assert before.password != other.password
    assert before.secret != other.secret


def test_a_grid_gets_other_ports_where_its_own_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Another grid has taken one of them: it is left alone, and the secrets stay the same.
    """
    before = cluster.start(owners=2, replicas=0)
    cluster.stop()
    taken = before.members[0].port
    # By default its bus would be where connections of other programs come and go.
    monkeypatch.setattr(ports, "BUS_OFFSET", ports.free_pairs(1, ports.LOOPBACK)[0][0] - taken)
    cluster.start("other", owners=1, replicas=0, base_port=taken)
    again = cluster.start(owners=2, replicas=0)
    assert before.password == again.password
    assert taken not in {member.port for member in again.members}
    assert before.members[1].port in {member.port for member in again.members}
