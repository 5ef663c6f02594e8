"""What operators do with a grid across hosts, from one of them: it grows here, or hands over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.files import write_one_more
from cachegrid.cluster.growth import newcomer, warned
from cachegrid.cluster.hosts.alone import alone, without_owner
from cachegrid.cluster.hosts.arranging import followed_elsewhere, spread_owners
from cachegrid.cluster.hosts.joining import back_again
from cachegrid.cluster.operation import Operation, Way, unfinished
from cachegrid.cluster.ports import next_pairs
from cachegrid.cluster.state import GridState, MemberState, Phase, save
from cachegrid.cluster.takeover_anywhere import failover_at, refuse_empty
from cachegrid.errors import GridError

__all__ = ["failed_over", "grown_here", "handed_over", "spread_around"]


def grown_here(state: GridState, count: int, way: Way) -> GridState:
    """
    The grid with so many more owners on this host, and as many replicas for each as its owners have.

    Owners that an earlier call has begun count. Raises StartFailed, GridError while an owner is away, or EngineError.
    """
    if said := without_owner(Contacts.of_state(state)):
        raise GridError(said)
    begun = sum(member.phase is Phase.JOINING and member.role == "owner" for member in state.members)
    after = _with_more(state, max(count - begun, 0))
    new = [member.address for member in after.members if member not in state.members]
    steps = [f"start {', '.join(new)} on this host"] if new else []
    steps.append("give new owners as many slots as the others have, and replicas owners on other hosts")
    warnings = warned(state, after, max(count - begun, 0))
    way.tell(Operation(grid=state.name, steps=tuple(steps), shape=after.shape, warnings=warnings))
    if way.is_rehearsal:
        return state
    for member in after.members:
        if member.phase is Phase.JOINING and not member.conf.exists():
            write_one_more(after, member)
    save(after)
    return back_again(after, way)


def failed_over(state: GridState, member: str, way: Way) -> GridState:
    """The grid after an owner, on whichever host, handed over to a replica; on another host, if there is one."""
    grid = Contacts.of_state(state)
    chosen = grid.named(member)
    heir = chosen
    if chosen.is_owner:
        found = _heir(grid, chosen)
        if found is None:
            raise GridError(f"owner {chosen} has no replica that could take over")
        heir = found
    owner = grid.of(heir.follows)
    refuse_empty(owner, sum(map(len, owner.slots)), unfinished(state))
    step = f"let {heir} take over from {owner}, which follows it then"
    way.tell(Operation(grid=state.name, steps=(step,), shape=state.shape))
    if not way.is_rehearsal:
        with alone(state, way) as (now, renewing):
            if now.of(heir.id).follows != heir.follows:
                raise GridError(f"{heir} does not follow {owner} any more: try again")
            failover_at(now, heir, timeout=way.timeout)
            renewing.progress("handed over", 1, 1)
    return state


def handed_over(state: GridState, member: MemberState, way: Way) -> None:
    """Let a replica take over from a member of this host, where that is an owner and has any. Raises an EngineError."""
    grid = Contacts.of_state(state)
    own = grid.of(member.id)
    if own.is_owner and (heir := _heir(grid, own)):
        failover_at(grid, heir, timeout=way.timeout)


@contextmanager
def spread_around(state: GridState, way: Way) -> Iterator[Way]:
    """
    What is done in the way that this gives, no other host meddles with; after it owners are spread over hosts again.

    Raises GridError while another host is at it, or slots are without an owner that answers, or an EngineError.
    """
    with alone(state, way) as (_, renewing):
        yield renewing
        spread_owners(Contacts.of_state(state), renewing)


def _heir(grid: Contacts, owner: Contact) -> Contact | None:
    """Who would take over from an owner: on another host, if there is one."""
    others = (one for one in grid.replicas if one.follows == owner.id and one.is_up)
    return followed_elsewhere(grid, owner) or next(others, None)


def _with_more(state: GridState, owners: int) -> GridState:
    """The grid with so many new owners here, and the replicas that those bring."""
    roles = ["owner"] * owners + ["replica"] * (owners * state.shape.replicas)
    pairs = [(member.port, member.bus_port) for member in state.members]
    ports = next_pairs(pairs, len(roles), state.host) if roles else []
    grown = replace(state, shape=state.shape.with_owners(state.shape.owners + owners))
    for role, pair in zip(roles, ports, strict=True):
        grown = replace(grown, members=(*grown.members, replace(newcomer(grown, pair, None), role=role)))
    return grown
