"""A grid across hosts, as one of them arranges it: new members meet the others, and get their parts of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from cachegrid.cluster.agreement import PASSING, wait_until
from cachegrid.cluster.balance import moves, places
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.hosts.alone import alone
from cachegrid.cluster.hosts.spreading import next_takeover
from cachegrid.cluster.moving import carry_out
from cachegrid.cluster.moving import settled as half_moved_settled
from cachegrid.cluster.operation import Way
from cachegrid.cluster.state import GridState, MemberState, Phase, save
from cachegrid.cluster.takeover_anywhere import failover_at
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.errors import EngineError, EngineTimeout, GridError, ServerRefused

__all__ = [
    "acquaint",
    "arrange",
    "by_host",
    "followed_elsewhere",
    "forget_on_all",
    "hosts_of",
    "is_uneven",
    "misplaced",
    "place",
    "spread_owners",
    "versions",
    "views",
]

MEET_AGAIN = 2.0  # seconds until a member that is still not known is told of again


def hosts_of(grid: Contacts) -> dict[str, list[Contact]]:
    """The members of each host, by its address."""
    found: dict[str, list[Contact]] = {}
    for member in sorted(grid.members.values(), key=lambda member: member.endpoint):
        found.setdefault(member.endpoint.host, []).append(member)
    return found


def acquaint(state: GridState, timeout: float) -> None:
    """
    Let the members of this host that join meet all others; on return everybody who lives knows everybody.

    Raises EngineTimeout, naming who does not hear whom, and the ports that must not be barred.
    """
    coming = [member for member in state.members if member.phase is Phase.JOINING]
    told_at = -MEET_AGAIN

    def missing() -> str:
        nonlocal told_at
        grid = Contacts.of_state(state)
        seen = views(grid)
        if _strangers(seen) and time.monotonic() - told_at > MEET_AGAIN:
            told_at = time.monotonic()
            _introduce(grid, seen, coming)
        return next((f"{grid.of(one)} does not hear {grid.of(other)}" for one, other in _strangers(seen)), "")

    try:
        wait_until(missing, timeout)
    except EngineTimeout as error:
        ports = ", ".join(f"{member.port} and {member.bus_port}" for member in coming)
        raise EngineTimeout(
            f"{error}: members talk on two ports each, and neither may be barred by a firewall, in both directions; "
            f"those of {state.host} are {ports}"
        ) from error


def arrange(state: GridState, way: Way) -> GridState:
    """
    Give this host's members their parts: replicas of owners elsewhere, and as many slots as other owners have.

    Replicas of other hosts go elsewhere where that keeps copies apart. Interrupted, the same call goes on. Raises
    GridError while another host does the same, or an EngineError.
    """
    with alone(state, way) as (there, renewing):
        grid = half_moved_settled(there)
        place(grid, list(_takers(state, grid)), state, renewing)
        grid = grid.again()
        wait_until(lambda: _not_ready(state, grid), way.timeout)
        carry_out(grid, moves(grid.owned, list(_takers(state, grid))), progress=renewing.progress, pace=way.pace)
        spread_owners(grid.again(), renewing)
    here = (replace(m, phase=Phase.HERE) if m.phase is Phase.JOINING else m for m in state.members)
    state = replace(state, members=tuple(here))
    save(state)
    return state


def is_uneven(grid: Contacts) -> bool:
    """Whether a host has more owners than it has to have, and replicas elsewhere may take over."""
    return _next_heir(grid) is not None


def _next_heir(grid: Contacts) -> str | None:
    """
    Who is to take over next for owners to be spread over hosts; nobody while members run servers of several versions.

    Of these the older ones may be unable to read what the newer send, and so must not follow them.
    """
    heir = next_takeover(*by_host(grid))
    return heir if heir and len(versions(grid)) == 1 else None


def versions(grid: Contacts) -> set[str]:
    """The versions of the servers that the members run which answer."""
    found: set[str] = set()
    for one in (one for one in grid.members.values() if one.is_up):
        with suppress(EngineError), grid.open(one) as admin:
            facts = admin.facts("server")
            found.add(facts.get("valkey_version") or facts["redis_version"])
    return found


def followed_elsewhere(grid: Contacts, owner: Contact) -> Contact | None:
    """A replica of an owner, on another host than that, which has all that it was sent; None if there is none."""
    for one in grid.replicas:
        if one.follows == owner.id and one.is_up and one.endpoint.host != owner.endpoint.host:
            with suppress(EngineError), grid.open(one) as admin:
                if admin.facts("replication").get("master_link_status") == "up":
                    return one
    return None


def spread_owners(grid: Contacts, way: Way, *, but: Collection[str] = ()) -> None:
    """
    Let replicas take over from owners, without losing a write, until no host has more owners than it has to have.

    Members in `but` are left out of it. Where most owners are on one host the grid does not outlive it. While members
    run several versions owners stay where they are. Raises an EngineError.
    """
    while heir := _next_heir(grid.without(but)):
        grid = failover_at(grid, grid.of(heir), timeout=way.timeout)
        way.progress("handed over", 1, 1)


def forget_on_all(grid: Contacts, gone: list[str]) -> None:
    """Let all members that answer forget those of these ids: for a minute nobody can bring them back by hearsay."""
    for member in (member for member in grid.members.values() if member.is_up and member.id not in gone):
        with suppress(EngineError), grid.open(member) as admin:
            known = node_rows(admin)
            for other in gone:
                if other in known:
                    admin.run("CLUSTER", "FORGET", other)


def views(grid: Contacts) -> dict[str, Mapping[str, NodeRow]]:
    """How each member that answers sees the grid, by its id."""
    found: dict[str, Mapping[str, NodeRow]] = {}
    for member in (member for member in grid.members.values() if member.is_up):
        with suppress(EngineError), grid.open(member) as admin:
            found[member.id] = node_rows(admin)
    return found


def _strangers(seen: Mapping[str, Mapping[str, NodeRow]]) -> list[tuple[str, str]]:
    """The pairs of which the first does not know the second."""
    known = {one: {row.id for row in rows.values() if not row.flags & PASSING} for one, rows in seen.items()}
    return [(one, other) for one in seen for other in seen if other not in known[one]]


def _introduce(grid: Contacts, seen: Mapping[str, Mapping[str, NodeRow]], coming: list[MemberState]) -> None:
    """Let one that was there before ask in those who come; the others hear of them from it."""
    new = {member.id for member in coming}
    host = next((member for member in seen if member not in new), None)
    if host is None:
        raise GridError("no member of the grid answers that could let others in")
    with grid.open(host) as admin:
        for member in coming:
            admin.run("CLUSTER", "MEET", member.host, member.port, member.bus_port)


def place(grid: Contacts, owners: list[str], state: GridState, way: Way, *, fresh: Collection[str] = ()) -> None:
    """
    Let every replica follow one of these owners, on another host as far as there is one, as `misplaced` tells.

    Raises EngineTimeout for one that does not come to follow.
    """
    left = misplaced(grid, owners, state, fresh=fresh)
    follows = {one.id: one.follows for one in grid.replicas if one.is_up}
    count = Counter(follows.values())
    for done in range(1, len(left) + 1):
        # Whoever leaves an owner alone waits for others to come to it.
        one = max(left, key=lambda one: (one not in follows, count[follows[one]] if one in follows else 0, one))
        owner = left.pop(one)
        _let_follow(grid, one, owner, way)
        count[owner] += 1
        if one in follows:
            count[follows[one]] -= 1
        way.progress("replicas placed", done, done + len(left))


def misplaced(grid: Contacts, owners: list[str], state: GridState, *, fresh: Collection[str] = ()) -> dict[str, str]:
    """
    Who is to follow another one of these owners than now, and which one.

    Among them are those that are to be replicas and are not: newcomers of this host, and the `fresh` ones, which own
    nothing. Members of this host that leave are left out.
    """
    new = {one.id for one in state.members if one.phase is Phase.JOINING and one.role == "replica"} | {*fresh}
    gone = {member.id for member in state.members if member.phase is Phase.LEAVING}
    host_of = {owner: grid.of(owner).endpoint.host for owner in owners}
    there = (one for one in grid.replicas if one.is_up and one.id not in gone)
    follows: dict[str, tuple[str, str | None]] = {one.id: (one.endpoint.host, one.follows) for one in there}
    follows |= {one.id: (one.endpoint.host, None) for one in grid.owners if one.id in new and not one.slots}
    wished = places(host_of, follows, max(state.shape.replicas, 1))
    return {one: owner for one, owner in wished.items() if follows[one][1] != owner}


def _not_ready(state: GridState, grid: Contacts) -> str:
    """Which new owner of this host takes no writes yet: in their first two seconds as an owner servers do not."""
    new = {member.id for member in state.members if member.phase is Phase.JOINING and member.role == "owner"}
    for owner in (owner for owner in grid.owners if owner.id in new):
        with grid.open(owner) as admin:
            if "cluster_state:ok" not in admin.text("CLUSTER", "INFO"):
                return f"{owner} takes no writes"
    return ""


def _takers(state: GridState, grid: Contacts) -> Iterator[str]:
    """The ids of those that shall own slots: who does, and this host's new owners; others' empty ones are theirs."""
    own = {member.id: member for member in state.members}
    for owner in grid.owners:
        member = own.get(owner.id)
        if member is None or member.phase is Phase.HERE:
            if owner.slots:
                yield owner.id
        elif member.phase is Phase.JOINING and member.role == "owner":
            yield owner.id


def _let_follow(grid: Contacts, one: str, owner: str, way: Way) -> None:
    def missing() -> str:
        with grid.open(one) as admin:
            mine = node_rows(admin)[one]
            if mine.owner_id != owner:
                with suppress(ServerRefused):  # it has not heard yet that this one is an owner
                    admin.run("CLUSTER", "REPLICATE", owner)
            elif admin.facts("replication").get("master_link_status") == "up":
                return ""
        return f"{grid.of(one)} does not follow {grid.of(owner)}"

    wait_until(missing, way.timeout)


def by_host(grid: Contacts) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """The hosts of owners by id, and of replicas their hosts and owners; who does not answer is left out."""
    owners = {one.id: one.endpoint.host for one in grid.owners if one.is_up and one.slots}
    followers = (one for one in grid.replicas if one.is_up and one.follows in owners)
    return owners, {one.id: (one.endpoint.host, one.follows) for one in followers}
