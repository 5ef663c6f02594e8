"""Which of the 16,384 slots of a cluster an address belongs to, and who owns them."""

from __future__ import annotations

import binascii
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = [
    "SLOTS",
    "Endpoint",
    "Routes",
    "read_routes",
    "single_route",
    "slot_of",
    "slots_in",
    "slots_of",
    "tag_in",
    "tag_of",
]

SLOTS = 16_384

_crc = binascii.crc_hqx  # the same CRC16 (XMODEM) that the cluster specification asks for


def slot_of(address: bytes) -> int:
    """
    The cluster slot of an address. Only the part in `{}` counts, if there is one.

    >>> slot_of(b"cart:{42}:items") == slot_of(b"cart:{42}:total")
    True
    """
    start = address.find(b"{")
    if start >= 0:
        end = address.find(b"}", start + 1)
        if end > start + 1:
            return _crc(address[start + 1 : end], 0) & 16383
    return _crc(address, 0) & 16383


def slots_of(addresses: Sequence[bytes]) -> list[int]:
    """The slots of many addresses. One look for tags in all of them is quicker than one in each."""
    if b"{" in b"".join(addresses):
        return [slot_of(address) for address in addresses]
    return [_crc(address, 0) & 16383 for address in addresses]


class Endpoint(NamedTuple):
    """Where a member listens. For a unix socket, `host` is its path and `port` is 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def beside(self, host: str, port: int) -> Endpoint:
        """A member that this one told of; one that it tells no host of is on the same host."""
        return Endpoint(host or (self.host if self.port else "127.0.0.1"), port)


class Routes(NamedTuple):
    """Who owns each slot, and who keeps a replica of it."""

    owners: dict[Endpoint, list[tuple[int, int]]]  # the ranges of slots, ends included
    replicas: dict[Endpoint, list[Endpoint]]  # by owner
    clustered: bool = True

    def endpoints(self) -> list[Endpoint]:
        """Every member, owners first."""
        followers = [replica for replicas in self.replicas.values() for replica in replicas]
        return list(dict.fromkeys([*self.owners, *followers]))

    def covered(self) -> int:
        """How many slots have an owner."""
        return sum(last - first + 1 for ranges in self.owners.values() for first, last in ranges)


def single_route(endpoint: Endpoint) -> Routes:
    """The routes of a server that is no cluster: it owns everything."""
    return Routes({endpoint: [(0, SLOTS - 1)]}, {endpoint: []}, clustered=False)


def read_routes(reply: object, asked: Endpoint) -> Routes:
    """
    The routes in a reply to CLUSTER SLOTS.

    A member without a host has that of the one that was asked. Raises ValueError when the reply has another form.
    """
    owners: dict[Endpoint, list[tuple[int, int]]] = {}
    replicas: dict[Endpoint, list[Endpoint]] = {}
    for first, last, members in _ranges(reply):
        owner, *followers = [_endpoint(member, asked) for member in members]
        owners.setdefault(owner, []).append((first, last))
        replicas[owner] = followers
    return Routes(owners, replicas)


def _ranges(reply: object) -> Iterator[tuple[int, int, list[object]]]:
    if not isinstance(reply, list):
        raise ValueError(f"CLUSTER SLOTS answered {reply!r}")  # noqa: TRY004 - what a server said, not a caller
    for row in reply:
        match row:
            case [int(first), int(last), *members] if members:
                yield first, last, members
            case _:
                raise ValueError(f"CLUSTER SLOTS answered a row {row!r}")


def _endpoint(member: object, asked: Endpoint) -> Endpoint:
    match member:
        case [b"?", int(port), _, {b"ip": bytes(host)}, *_]:  # known by names, and this one has none
            return Endpoint(host.decode(), port)
        case [None | b"" | b"?", int(port), *_]:
            return asked.beside("", port)
        case [bytes(host), int(port), *_]:
            return Endpoint(host.decode(), port)
        case _:
            raise ValueError(f"CLUSTER SLOTS answered a member {member!r}")


def slots_in(ranges: list[tuple[int, int]]) -> set[int]:
    """The slots in some ranges, ends included."""
    return {slot for first, last in ranges for slot in range(first, last + 1)}


def tag_in(ranges: list[tuple[int, int]], start: int = 0) -> bytes:
    """A short tag whose slot lies in one of the ranges: a way to name a key that a given owner has."""
    for number in itertools.count(start):
        tag = b"%d" % number
        slot = _crc(tag, 0) & 16383
        if any(first <= slot <= last for first, last in ranges):
            return tag
    raise AssertionError  # pragma: no cover - every slot has a tag


def tag_of(slot: int) -> bytes:
    """
    Two bytes that make any key belong to a slot when they are its tag.

    >>> slot_of(b"cg!lease:{" + tag_of(42) + b"}anything")
    42
    """
    # The checksum of two bytes can be computed backwards; four checksums belong to each slot.
    for crc in range(slot, 1 << 16, SLOTS):
        tag = _before(crc).to_bytes(2, "big")
        if b"}" not in tag:
            return tag
    raise AssertionError  # pragma: no cover - no slot has only such tags


def _before(crc: int) -> int:
    """The two bytes, as a number, whose checksum this is."""
    for _ in range(16):
        crc = (crc ^ 0x1021) >> 1 | 0x8000 if crc & 1 else crc >> 1
    return crc
