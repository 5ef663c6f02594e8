"""A replica takes over from its owner while both live: planned, and without losing a write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cachegrid.cluster.agreement import agree, rows_seen, wait_until
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.operation import Operation, Way, member_named, operating, unfinished
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import GridState, MemberState, save
from cachegrid.cluster.takeover_anywhere import failover_at, refuse_empty
from cachegrid.cluster.view import members
from cachegrid.engines.facts import MemberFacts
from cachegrid.errors import GridError

__all__ = ["best_replica", "failover", "hand_over", "with_roles"]


def failover(name: str = "default", member: str = "", *, root: Path | None = None, way: Way | None = None) -> GridState:
    """
    Let an owner hand over to its best replica, or a replica take over from its owner, and return when all know.

    The owner lets writes wait until the replica has them all, and so none is lost; then it follows. `member` is
    `host:port`, its port, or its id. Raises ConfigError, GridNotFound, GridError where nobody could take over, or an
    EngineError.
    """
    way = way or Way()
    with operating(name, root, way) as state:
        if state.spread:
            from cachegrid.cluster.hosts.operating import failed_over  # what only grids across hosts need

            return failed_over(state, member, way)
        chosen = member_named(state, member)
        facts = members(state)
        own = next((each for each in facts if each.id == chosen.id), None)
        is_owner = own is not None and own.role == "owner"
        owner = chosen if is_owner else _owner_of(state, facts, chosen)
        refuse_empty(owner.address, sum(each.slots for each in facts if each.id == owner.id), unfinished(state))
        heir = best_replica(state, facts, chosen) if is_owner else chosen
        step = f"let {heir.address} take over from {owner.address}, which follows it then"
        way.tell(Operation(grid=state.name, steps=(step,), shape=state.shape))
        return state if way.is_rehearsal else hand_over(state, heir, way)


def best_replica(state: GridState, facts: list[MemberFacts], owner: MemberState) -> MemberState:
    """The replica of an owner that is up and has most of its writes. Raises GridError if there is none."""
    able = [each for each in facts if each.owner_id == owner.id and each.up and each.link_up]
    if not able:
        heals = f"`cachegrid heal{state.option}` starts dead ones"
        raise GridError(f"owner {owner.address} has no replica that could take over: {heals}")
    best = min(able, key=lambda each: each.lag_bytes)
    return next(member for member in state.members if member.id == best.id)


def hand_over(state: GridState, heir: MemberState, way: Way) -> GridState:
    """Let a replica take over, wait until all living members take it for the owner, and note who is what."""
    grid = Contacts.of_state(state)
    failover_at(grid, grid.of(heir.id), timeout=way.timeout)
    wait_until(lambda: _not_followed(state, heir), way.timeout)
    agree(state, way.timeout)
    way.progress("handed over", 1, 1)
    state = with_roles(state)
    save(state)
    return state


def with_roles(state: GridState) -> GridState:
    """The grid with the roles that its members have now."""
    rows = rows_seen(state)
    roles = {row.id: "owner" if row.is_owner else "replica" for row in rows.values()}
    return replace(
        state, members=tuple(replace(member, role=roles.get(member.id, member.role)) for member in state.members)
    )


def _owner_of(state: GridState, facts: list[MemberFacts], replica: MemberState) -> MemberState:
    own = next((each for each in facts if each.id == replica.id), None)
    owner = next((one for one in state.members if own and one.id == own.owner_id), None)
    if own is None or owner is None or not own.up or not own.link_up or not pid_of(owner):
        heals = f"`cachegrid heal{state.option}` starts them"
        raise GridError(f"{replica.address} cannot take over: it, or its owner, is not up; {heals}")
    return owner


def _not_followed(state: GridState, heir: MemberState) -> str:
    """Who follows the heir without a link."""
    followers = [each for each in members(state) if each.owner_id == heir.id and each.up]
    late = next((each for each in followers if not each.link_up), None)
    return f"{late.host}:{late.port} does not follow {heir.address} yet" if late else ""
