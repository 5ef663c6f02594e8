"""Ports for members: chosen where nobody listens; and who listens on one that is taken."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from cachegrid.cluster.outgoing import at_risk, outgoing_ports
from cachegrid.errors import ConfigError, StartFailed

__all__ = [
    "LOOPBACK",
    "bus_from",
    "checked_host",
    "free_pairs",
    "is_free",
    "is_loopback",
    "next_pairs",
    "pairs_from",
    "refuse_taken",
    "user_of",
]

LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections: those come and go, and a restarted member would
# find its port taken.
LOWEST, HIGHEST = 20000, 32000
BUS_OFFSET = 10000  # where servers put the bus by default, as long as it is a port
LAST_PORT = 65535
FIRST_PORT = 1024  # below it only the system may listen
FEW = 1000  # ports to choose from


def checked_host(host: str, *, is_safe: bool = True) -> str:
    """
    The address, if members can listen there: an IP address of this host.

    One that other hosts can reach only if it `is_safe` that they do.
    """
    try:
        named = not ipaddress.ip_address(host).is_unspecified  # members tell it to each other and to clients
    except ValueError:
        named = False
    if not named or not is_free(host, 0):  # 0: any port would do
        raise ConfigError("host", host, "an IP address of this host, such as 127.0.0.1")
    if not is_safe and not is_loopback(host):
        want = "loopback, or with --tls (see `cachegrid tls`): others reach it; --plaintext does without encryption"
        raise ConfigError("host", host, want)
    return host


def is_loopback(host: str) -> bool:
    """Whether that address is reached from its own host alone."""
    return ipaddress.ip_address(host).is_loopback


def free_pairs(
    count: int, host: str, chance: random.Random | None = None, *, but: Collection[int] = ()
) -> list[tuple[int, int]]:
    """As many pairs of ports (client, bus) on which nobody listens right now; chosen by chance, and none of `but`."""
    chance = chance or random.SystemRandom()
    found: list[int] = []
    candidates = _candidates() if count else []
    for port in chance.sample(candidates, len(candidates)):
        if port not in but and is_free(host, port):
            found.append(port)
        if len(found) == 2 * count:
            found.sort()
            return list(zip(found[:count], found[count:], strict=True))
    if not count:
        return []
    raise StartFailed(f"{host} has no {2 * count} free ports from {min(candidates)} to {max(candidates)}")


def _candidates() -> Sequence[int]:
    """The ports to choose from: where the usual ones are for outgoing connections, others, if there are any."""
    outgoing = outgoing_ports()
    usual = [port for port in range(LOWEST, HIGHEST) if port not in outgoing]
    rest = [port for port in range(FIRST_PORT, LAST_PORT + 1) if port not in outgoing]
    enough = HIGHEST - LOWEST
    return usual if 4 * len(usual) >= enough else rest if len(rest) >= FEW else range(LOWEST, HIGHEST)


def pairs_from(base: int, count: int, host: str) -> list[tuple[int, int]]:
    """Pairs of ports for members from `base` on; `StartFailed` names one that is taken, and by whom."""
    bus = bus_from(base, count)
    if base < 1 or bus + count - 1 > LAST_PORT:
        raise ConfigError("port", base, f"1 to {LAST_PORT - 2 * count + 1}, for {count} members")
    pairs = [(base + index, bus + index) for index in range(count)]
    refuse_taken([(host, port) for pair in pairs for port in pair])
    return pairs


def bus_from(base: int, count: int) -> int:
    """
    The first port of the bus of members from `base` on: 10,000 above it, or right behind them.

    That is where there is no port so high, or an outgoing connection could have it when a member is started again.
    """
    bus, behind = base + BUS_OFFSET, base + count
    is_risky = at_risk(range(bus, bus + count)) and not at_risk(range(behind, behind + count))
    return behind if bus + count > LAST_PORT or is_risky else bus


def next_pairs(pairs: Sequence[tuple[int, int]], count: int, host: str) -> list[tuple[int, int]]:
    """As many more pairs beside those that are there: the next ones where these are consecutive, else free ones."""
    following = [(port + count_on, bus + count_on) for port, bus in pairs[-1:] for count_on in range(1, count + 1)]
    first, bus = pairs[0]
    is_row = pairs == [(first + at, bus + at) for at in range(len(pairs))]
    taken = {port for pair in pairs for port in pair}
    new = [port for pair in following for port in pair]
    if at_risk(new) and not at_risk(taken):
        is_row = False  # free ones are chosen where no connection gets them
    if is_row and max(new) <= LAST_PORT and not taken & {*new} and all(is_free(host, port) for port in new):
        return following
    return free_pairs(count, host, but=taken)


def refuse_taken(addresses: Iterable[tuple[str, int]]) -> None:
    """Raise `StartFailed` for the first address that is taken."""
    for host, port in addresses:
        if not is_free(host, port):
            user = user_of(port)
            raise StartFailed(f"port {port} on {host} is in use{f' by {user}' if user else ''}")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        # As servers do: a port is free although old connections to it have not all died.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True


def user_of(port: int) -> str:
    """Who listens on a port, such as "redis-server (process 71)"; empty if it cannot be known."""
    inodes = {f"socket:[{inode}]" for inode in _listeners(port)}
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if any(str(link.readlink()) in inodes for link in (folder / "fd").iterdir()):
                return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
        except OSError:  # another user's, or it ended meanwhile
            continue
    return ""


def _listeners(port: int) -> list[str]:
    found: list[str] = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
        except OSError:
            continue
        found += [row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]
    return found
