"""The members of a grid as its operator reaches them: one of this host, or any that somebody else runs."""

from __future__ import annotations

import socket
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from cachegrid.cluster.admin import Admin
from cachegrid.cluster.balance import spans
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.state import GridState
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey import url
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target
from cachegrid.errors import (
    AccessDenied,
    ConfigError,
    EngineError,
    EngineTimeout,
    Unreachable,
    Unsupported,
)

__all__ = ["Contact", "Contacts", "agreed", "look", "open_admin"]

PATIENCE = 1.0  # seconds for a connection, and for an answer that is not asked to take longer
LOST = {"fail", "noaddr", "handshake"}  # flags of members that nobody should be sent to


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A member as most of the others see it: who it is, where it answers, what it owns or whom it follows."""

    id: str
    endpoint: Endpoint
    is_owner: bool
    follows: str = ""  # of a replica: the id of its owner
    slots: tuple[range, ...] = ()
    is_up: bool = True  # it has answered

    def __str__(self) -> str:
        return str(self.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """
    The members of a grid, by id, at one moment, and how to reach them. `look` sees them again.

    Made by `of_state` for a grid of this host, or by `of_target` and `at_url` for any.
    """

    target: Target  # user, password, TLS and, as `seeds`, whom to ask
    members: Mapping[str, Contact]

    @classmethod
    def of_state(cls, state: GridState) -> Self:
        """Those of a grid of this user on this host. Raises an EngineError if none answers."""
        return cls.of_target(cls.target_of(state))

    @staticmethod
    def target_of(state: GridState) -> Target:
        """How a grid of this user on this host is reached, whether anybody answers or not."""
        return url.parse(_url_of(state), timeout=5.0)

    @classmethod
    def at_url(cls, text: str) -> Self:
        """Those of the grid at a URL. Raises ConfigError, or an EngineError if none answers."""
        return cls.of_target(url.parse(text, timeout=5.0))

    @classmethod
    def of_target(cls, target: Target) -> Self:
        """Those that a member knows which is reached so. Raises an EngineError if none answers, or is no cluster."""
        return cls(target=target, members=look(target, target.seeds))

    def again(self) -> Self:
        """The members as they are now. Raises an EngineError if none answers."""
        known = dict.fromkeys([*(member.endpoint for member in self.members.values()), *self.target.seeds])
        return type(self)(target=self.target, members=look(self.target, known))

    def open(self, member: str | Contact, *, timeout: float = PATIENCE) -> Admin:
        """A connection to a member, to be closed by the caller. Raises Unreachable, EngineTimeout or AccessDenied."""
        return open_admin(self.target, self.of(member).endpoint, timeout=timeout)

    def of(self, member: str | Contact) -> Contact:
        """The member of that id."""
        return self.members[member] if isinstance(member, str) else member

    def named(self, text: str) -> Contact:
        """
        The member that a person means: `host:port`, the port alone, or the beginning of its id (4 letters or more).

        Raises ConfigError, naming the members, if that is none, or more than one.
        """
        found = [member for member in self.members.values() if _is_meant(member, text)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(sorted(str(member) for member in self.members.values()))
        raise ConfigError("MEMBER", text, f"one of {known}" if not found else f"clearer, as it could be {known}")

    @property
    def owners(self) -> tuple[Contact, ...]:
        """The members that take writes, those too that own no slots yet; in the order of their slots."""
        found = [member for member in self.members.values() if member.is_owner]
        return tuple(sorted(found, key=lambda member: (member.slots[0].start if member.slots else 1 << 14, member.id)))

    @property
    def replicas(self) -> tuple[Contact, ...]:
        """The members that follow an owner, by their address."""
        found = [member for member in self.members.values() if not member.is_owner]
        return tuple(sorted(found, key=lambda member: member.endpoint))

    @property
    def owned(self) -> dict[str, list[range]]:
        """The slots of each owner, as `moves` takes them; a slot belongs to whom most living members give it."""
        return {member.id: list(member.slots) for member in self.owners}


def look(target: Target, endpoints: Iterable[Endpoint]) -> dict[str, Contact]:
    """
    The members by id, as most of those see them that answer; all are asked that one of these knows of.

    Raises Unsupported where what answers is no cluster, AccessDenied, or Unreachable if nobody answers.
    """
    views: dict[str, Mapping[str, NodeRow]] = {}
    trouble: EngineError | None = None
    left, asked = list(endpoints), set[Endpoint]()
    while left:
        endpoint = left.pop(0)
        asked.add(endpoint)
        try:
            with open_admin(target, endpoint) as admin:
                rows = node_rows(admin)
        except (Unsupported, AccessDenied):
            raise
        except EngineError as error:
            trouble = error
            continue
        views[next(row.id for row in rows.values() if "myself" in row.flags)] = rows
        known = [endpoint.beside(row.host, row.port) for row in rows.values() if not row.flags & LOST and row.port]
        left += [each for each in dict.fromkeys(known) if each not in asked and each not in left]
    if not views:
        raise trouble or Unreachable("no member is known that could be asked")
    return agreed(views, target.seeds[0])


def agreed(views: Mapping[str, Mapping[str, NodeRow]], asked: Endpoint) -> dict[str, Contact]:
    """
    The members as most of the views, by the id of who has them, say; `asked` is who told of those without a host.

    Of itself a member knows best whether it is an owner or follows one.
    """
    owners = _slot_owners(views.values())
    rows: dict[str, NodeRow] = {}
    for view in views.values():
        for row in view.values():
            if "handshake" not in row.flags and (row.id not in rows or not rows[row.id].port):
                rows[row.id] = row
    rows |= {member: views[member][member] for member in views}
    return {
        member: Contact(
            id=member,
            endpoint=_place(member, views, asked),
            is_owner=row.is_owner,
            follows=row.owner_id,
            slots=tuple(spans(owners.get(member, ()))),
            is_up=member in views,
        )
        for member, row in sorted(rows.items())
        if member in views or not row.flags & {"noaddr"}
    }


def _place(member: str, views: Mapping[str, Mapping[str, NodeRow]], asked: Endpoint) -> Endpoint:
    """Where a member is, as others know it; it may not know its own address."""
    told = [view[member] for one, view in views.items() if member in view and one != member]
    told += [view[member] for view in views.values() if member in view]
    row = next((row for row in told if row.host and row.port), told[0])
    return asked.beside(row.host, row.port)


def _slot_owners(views: Iterable[Mapping[str, NodeRow]]) -> dict[str, list[int]]:
    # Most views are the same in most rows: these are counted once. And so are slots that no row tells apart.
    rows = Counter((row.id, row.slots) for view in views for row in view.values())
    bounds = sorted({bound for _, slots in rows for span in slots for bound in (span.start, span.stop)})
    votes = [Counter[str]() for _ in bounds]
    for (member, slots), count in rows.items():
        for span in slots:
            for counted in votes[bisect_left(bounds, span.start) : bisect_left(bounds, span.stop)]:
                counted[member] += count
    owned: dict[str, list[int]] = {}
    for counted, (first, after) in zip(votes, pairwise(bounds), strict=False):
        if counted:
            chosen = max(sorted(counted), key=counted.__getitem__)
            owned.setdefault(chosen, []).extend(range(first, after))
    return owned


def open_admin(target: Target, endpoint: Endpoint, *, timeout: float = PATIENCE, clustered: bool = True) -> Admin:
    """
    A connection to what listens there, with the user and password of `target`; raises as `connect_to` does.

    What is no cluster is refused with Unsupported, unless `clustered` says that this does not matter.
    """
    with held_back():  # an interrupt would leave a connection that nobody closes
        admin = Admin(_opened(target, endpoint, timeout), str(endpoint))
        try:
            _greet(admin, target, endpoint, clustered=clustered)
        except BaseException:
            admin.close()
            raise
    return admin


def _greet(admin: Admin, target: Target, endpoint: Endpoint, *, clustered: bool) -> None:
    if target.password is not None or target.username:
        user = [target.username] if target.username else []
        admin.run("AUTH", *user, target.password or "")
    if clustered and "cluster_enabled:1" not in admin.text("INFO", "cluster"):
        raise Unsupported(f"{endpoint} is no cluster: it has no slots that could move", where=str(endpoint))


def _opened(target: Target, endpoint: Endpoint, timeout: float) -> socket.socket:
    where = str(endpoint)
    try:
        return _secured(_connected(endpoint, timeout), target, endpoint)
    except TimeoutError as error:
        raise EngineTimeout(f"member {where} does not answer", where=where) from error
    except OSError as error:
        raise Unreachable(f"member {where} cannot be reached: {error}", where=where) from error


def _connected(endpoint: Endpoint, timeout: float) -> socket.socket:
    if not endpoint.port:
        raise Unsupported(f"{endpoint} is a socket of one server, and no grid: say host:port", where=str(endpoint))
    sock = socket.create_connection(endpoint, timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _secured(sock: socket.socket, target: Target, endpoint: Endpoint) -> socket.socket:
    if target.context is None:
        return sock
    try:
        name = endpoint.host if target.tls and target.tls.verify_host else None
        return target.context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def _url_of(state: GridState) -> str:
    # Members are named by address, and the members themselves check the authority alone.
    return f"{state.full_url}&verify_host=no" if state.tls else state.full_url


def _is_meant(member: Contact, text: str) -> bool:
    return text in {str(member.endpoint), str(member.endpoint.port), member.id} or (
        len(text) > 3 and not text.isdigit() and member.id.startswith(text)
    )
