"""The members of a grid as its operator reaches them: one of this host, or any that somebody else runs."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Self

from cachegrid.cluster.admin import Admin, open_at, target_of
from cachegrid.cluster.agreement import merged
from cachegrid.cluster.balance import spans
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
    Unreachable,
    Unsupported,
)

__all__ = ["Contact", "Contacts", "agreed", "look"]

AT_ONCE = 16  # members that are asked at the same time
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
        return cls.of_target(target_of(state))

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

    def without(self, gone: Collection[str]) -> Self:
        """All members but those of these ids."""
        return replace(self, members={one: member for one, member in self.members.items() if one not in gone})

    def open(self, member: str | Contact, *, timeout: float = PATIENCE) -> Admin:
        """A connection to a member, to be closed by the caller. Raises Unreachable, EngineTimeout or AccessDenied."""
        return open_at(self.target, self.of(member).endpoint, timeout=timeout)

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
        known = ", ".join(sorted(str(member) for member in found or self.members.values()))
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
    left, asked = list(dict.fromkeys(endpoints)), set[Endpoint]()
    with ThreadPoolExecutor(AT_ONCE) as pool:  # each that is silent is waited for
        while left:
            asked |= {*left}
            known: dict[Endpoint, None] = {}
            for endpoint, answer in zip(left, pool.map(partial(_asked, target), left), strict=True):
                if isinstance(answer, EngineError):
                    trouble = answer
                    continue
                views[next(row.id for row in answer.values() if "myself" in row.flags)] = answer
                rows = (row for row in answer.values() if not row.flags & LOST and row.port)
                known |= dict.fromkeys(endpoint.beside(row.host, row.port) for row in rows)
            left = [endpoint for endpoint in known if endpoint not in asked]
    if not views:
        raise trouble or Unreachable("no member is known that could be asked")
    return agreed(views, target.seeds[0])


def _asked(target: Target, endpoint: Endpoint) -> Mapping[str, NodeRow] | EngineError:
    """How a member sees the grid, or why it does not say."""
    try:
        with open_at(target, endpoint) as admin:
            if "cluster_enabled:1" not in admin.text("INFO", "cluster"):
                raise Unsupported(f"{endpoint} is no cluster: it has no slots that could move", where=str(endpoint))
            return node_rows(admin)
    except (Unsupported, AccessDenied):
        raise
    except EngineError as error:
        return error


def agreed(views: Mapping[str, Mapping[str, NodeRow]], asked: Endpoint) -> dict[str, Contact]:
    """
    The members as most of the views, by the id of who has them, say; `asked` is who told of those without a host.
    """
    owners = _slot_owners(views)
    return {
        member: Contact(
            id=member,
            endpoint=_place(member, views, asked),
            is_owner=row.is_owner,
            follows=row.owner_id,
            slots=tuple(spans(owners.get(member, ()))),
            is_up=member in views,
        )
        for member, row in sorted(merged(views).items())
        if member in views or not row.flags & {"noaddr"}
    }


def _place(member: str, views: Mapping[str, Mapping[str, NodeRow]], asked: Endpoint) -> Endpoint:
    """Where a member is, as others know it; it may not know its own address."""
    told = [view[member] for one, view in views.items() if member in view and one != member]
    told += [view[member] for view in views.values() if member in view]
    row = next((row for row in told if row.host and row.port), told[0])
    return asked.beside(row.host, row.port)


def _slot_owners(views: Mapping[str, Mapping[str, NodeRow]]) -> dict[str, list[int]]:
    """The slots of each owner, as most say. No vote gives a member that answers what it says it does not own."""
    # Most views are the same in most rows: these are counted once. And so are slots that no row tells apart.
    rows = Counter((row.id, row.slots) for view in views.values() for row in view.values())
    own = {(member, view[member].slots) for member, view in views.items() if member in view}
    bounds = sorted({bound for _, slots in rows for span in slots for bound in (span.start, span.stop)})
    votes, held = [Counter[str]() for _ in bounds], [set[str]() for _ in bounds]
    for (member, slots), count in rows.items():
        for span in slots:
            for at in range(bisect_left(bounds, span.start), bisect_left(bounds, span.stop)):
                votes[at][member] += count
                if (member, slots) in own:
                    held[at].add(member)
    owned: dict[str, list[int]] = {}
    for counted, holders, (first, after) in zip(votes, held, pairwise(bounds), strict=False):
        if likely := sorted(member for member in counted if member in holders or member not in views):
            owned.setdefault(max(likely, key=counted.__getitem__), []).extend(range(first, after))
    return owned


def _is_meant(member: Contact, text: str) -> bool:
    return text in {str(member.endpoint), str(member.endpoint.port), member.id} or (
        len(text) > 3 and not text.isdigit() and member.id.startswith(text)
    )
