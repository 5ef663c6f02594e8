"""The ports that this host gives to outgoing connections: a member that is started again may find its own taken."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["at_risk", "outgoing_ports", "parsed", "reserved_ports"]

SYSTEM = Path("/proc/sys/net/ipv4")


def outgoing_ports(system: Path = SYSTEM) -> range:
    """From the first to the last; none where that cannot be known."""
    try:
        first, last = (int(word) for word in (system / "ip_local_port_range").read_text().split())
    except (OSError, ValueError):  # no Linux
        return range(0)
    return range(first, last + 1)


def reserved_ports(system: Path = SYSTEM) -> set[int]:
    """Those among them that no connection is given."""
    try:
        return parsed((system / "ip_local_reserved_ports").read_text())
    except (OSError, ValueError):
        return set()


def parsed(text: str) -> set[int]:
    """
    Ports as the system writes them down.

    >>> sorted(parsed("7001,7003-7005"))
    [7001, 7003, 7004, 7005]
    """
    bounds = [part.partition("-") for part in text.strip().split(",") if part.strip()]
    return {port for first, _, last in bounds for port in range(int(first), int(last or first) + 1)}


def at_risk(ports: Iterable[int], system: Path = SYSTEM) -> list[int]:
    """Which of these ports an outgoing connection may be given."""
    among = outgoing_ports(system)
    found = [port for port in ports if port in among]
    reserved = reserved_ports(system) if found else set[int]()
    return [port for port in found if port not in reserved]
