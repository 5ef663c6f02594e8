"""What a host may not have for more members is said first, and ports are chosen where no connection gets them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cachegrid.cluster import Operation, Way, add, burden, outgoing, ports
from cachegrid.cluster.burden import burdens, memory_free, port_burdens
from cachegrid.cluster.outgoing import at_risk, outgoing_ports
from cachegrid.cluster.ports import bus_from, free_pairs, next_pairs
from cachegrid.testing.loopback import LoopbackGrid


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with 2 processors, and 4 GB of memory of which 1 GB is free."""
    monkeypatch.setattr(burden, "processors", lambda: 2)
    monkeypatch.setattr(burden, "memory_there", lambda: 4_000_000_000)
    monkeypatch.setattr(burden, "memory_free", lambda: 1_000_000_000)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("new", "there", "memory", "says"),
    [
        (6, 10, 100_000_000, []),
        (7, 10, 100_000_000, ["17 members are many for 2 processors"]),
        (2, 0, 600_000_000, ["may take 1.2 GB of memory, copies included, and 1.0 GB is free"]),
        (2, 0, 2_100_000_000, ["may take 4.2 GB of memory, copies included, and there is 4.0 GB"]),
        (140, 0, None, ["140 members", "1.1 GB of memory"]),
        (0, 40, None, []),
    ],
)
def test_what_is_too_much_is_said(new: int, there: int, memory: int | None, says: list[str]) -> None:
    """Of processors and of memory, each for itself."""
    found = burdens(new, there=there, memory=memory, replicas=1)
    assert [True] * len(says) == [text in warning for text, warning in zip(says, found, strict=True)]


def test_free_memory_is_read(tmp_path: Path) -> None:
    """And where it cannot be, all that there is counts."""
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:    40 kB\n")
    assert 40 * 1024 == memory_free(tmp_path / "meminfo")
    assert memory_free(tmp_path / "none") > 1_000_000


def system(folder: Path, between: str, kept: str = "") -> Path:
    """What the system says of outgoing connections."""
    (folder / "ip_local_port_range").write_text(between)
    (folder / "ip_local_reserved_ports").write_text(kept)
    return folder


def test_ports_of_connections_are_known(tmp_path: Path) -> None:
    """But for those that are kept from them."""
    there = system(tmp_path, "32768\t60999\n", "40001,41000-41002\n")
    assert range(32768, 61000) == outgoing_ports(there)
    assert [32768, 40000] == at_risk([32767, 32768, 40000, 40001, 41001, 61000], there)
    assert [] == at_risk([40000], tmp_path / "none")


def test_no_member_gets_a_port_of_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for programs nor for its bus, wherever they begin; only where it was said so, and that is told."""
    there = system(tmp_path, "15000 60999\n")
    monkeypatch.setattr(ports, "outgoing_ports", lambda: outgoing_ports(there))
    monkeypatch.setattr(ports, "at_risk", lambda found: at_risk(found, there))
    monkeypatch.setattr(burden, "at_risk", lambda found: at_risk(found, there))
    monkeypatch.setattr(ports, "is_free", lambda _host, _port: True)
    chosen = [port for pair in free_pairs(20, "127.0.0.1", random.Random(1)) for port in pair]
    assert [] == at_risk(chosen, there)
    assert (7007, 11001, 30000) == (bus_from(7001, 6), bus_from(1001, 6), bus_from(20000, 6))
    assert (11001, 11001) == (bus_from(1001, 6), pairs_bus(1001))
    assert [] == at_risk([port for pair in next_pairs([(14999, 7000)], 2, "127.0.0.1") for port in pair], there)
    assert [] == port_burdens([7001, 17])
    (warning,) = port_burdens([20000, 20001, 30000])
    assert "ports 20000, 20001, 30000 are among those" in warning


def pairs_bus(base: int) -> int:
    """The first port of the bus of members from there on."""
    return ports.pairs_from(base, 6, "127.0.0.1")[0][1]


@pytest.mark.usefixtures("host")
@pytest.mark.grid
def test_a_plan_says_what_the_host_may_not_have() -> None:
    """Before anything is started, and in a rehearsal."""
    told: list[Operation] = []
    with LoopbackGrid(owners=1, memory=600_000_000) as grid:
        add("loopback", 20, root=grid.root, way=Way(is_rehearsal=True, tell=told.append))
    crowd, memory = told[0].warnings
    assert crowd.startswith("42 members are many for 2 processors")
    assert "may take 24.0 GB of memory" in memory


def test_the_system_is_asked_where_it_is() -> None:
    """Of this very host."""
    assert outgoing_ports() == outgoing_ports(outgoing.SYSTEM)
