"""What the members of a grid know of each other, and how they come to agree on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress

from cachegrid.cluster.admin import Loading, connect_to
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import GridState, MemberState, Phase
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.errors import EngineError, EngineTimeout, ServerRefused

__all__ = ["View", "agree", "forget_everywhere", "introduce", "merged", "rows_seen", "views", "wait_until"]

View = Mapping[str, NodeRow]  # the grid as one member sees it, by member id

PAUSE = 0.01  # seconds between two looks at members
MEET_AGAIN = 2.0  # seconds until members that still do not know each other are told again
PASSING = {"handshake", "noaddr"}  # of a member that is not known yet, or no longer


def views(state: GridState, *, timeout: float = 1.0) -> dict[int, dict[str, NodeRow]]:
    """How each member that answers sees the grid, by the member's index."""
    found: dict[int, dict[str, NodeRow]] = {}
    for member in state.members:
        with suppress(EngineError):
            if pid_of(member):
                with connect_to(state, member, timeout=timeout) as admin:
                    found[member.index] = node_rows(admin)
    return found


def rows_seen(state: GridState) -> dict[str, NodeRow]:
    """Each member as it sees itself, by its id; one that does not answer as another one sees it."""
    return merged({state.member(index).id: view for index, view in views(state).items()})


def merged(views: Mapping[str, View]) -> dict[str, NodeRow]:
    """
    Each member by its id, as it sees itself where its view is there; else as another one, who knows where it is.

    Of itself a member knows best whether it is an owner or follows one. The views are by the id of who has them.
    """
    rows: dict[str, NodeRow] = {}
    for row in (row for view in views.values() for row in view.values() if "handshake" not in row.flags):
        if row.id not in rows or not rows[row.id].port:
            rows[row.id] = row
    return rows | {member: view[member] for member, view in views.items() if member in view}


def wait_until(missing: Callable[[], str], timeout: float) -> None:
    """Wait until `missing` says nothing any more; EngineTimeout with what it says after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while said := missing():
        if time.monotonic() > deadline:
            raise EngineTimeout(f"after {timeout:.0f} s {said}")
        time.sleep(PAUSE)


def agree(state: GridState, timeout: float) -> None:
    """Wait until all living members say the same of who owns what, and who follows whom. Raises EngineTimeout."""
    wait_until(lambda: _disagreement(state), timeout)


def introduce(state: GridState, timeout: float) -> None:
    """
    Let all living members meet that do not know each other, and replicas that join follow the owner they are to copy.

    On return all know all; copies may still be on their way.
    """
    _meet(state, timeout)
    joining = [member for member in state.members if member.phase is Phase.JOINING and member.follows is not None]
    wait_until(
        lambda: next((f"replica {one.address} follows no owner" for one in _made_follow(state, joining)), ""), timeout
    )


def forget_everywhere(state: GridState, gone: list[MemberState]) -> None:
    """Let all members that stay forget those that are gone: for a minute nobody can bring them back by hearsay."""
    staying = [member for member in state.members if member not in gone and pid_of(member)]
    for member in staying:
        with connect_to(state, member) as admin:
            known = node_rows(admin)
            for other in gone:
                if other.id in known:
                    admin.run("CLUSTER", "FORGET", other.id)


def _disagreement(state: GridState) -> str:
    own = {member.id: member for member in state.members}
    told = {
        index: {row.id: (row.owner_id, row.slots) for row in rows.values() if row.id in own}
        for index, rows in views(state).items()
    }
    if not told:
        return "no member answers"
    first, *others = told
    odd = next((index for index in others if told[index] != told[first]), None)
    if odd is None:
        return ""
    return f"{state.member(first).address} and {state.member(odd).address} do not agree on who owns what"


def _meet(state: GridState, timeout: float) -> None:
    told_at = -MEET_AGAIN

    def missing() -> str:
        nonlocal told_at
        strangers = list(_strangers(state))
        if strangers and time.monotonic() - told_at > MEET_AGAIN:
            told_at = time.monotonic()
            # Those who come are asked in, and do not ask each other. One whose files are gone is known, and knows
            # nobody: from Redis, and Valkey before 8.1, it hears of the others only by a new MEET.
            pairs = ((other, one) if one.phase is Phase.JOINING else (one, other) for one, other in strangers)
            for one, other in {(one, other) for one, other in pairs if one.phase is not Phase.JOINING}:
                with connect_to(state, one) as admin:
                    admin.run("CLUSTER", "MEET", other.host, other.port, other.bus_port)
        return next((f"{one.address} does not know {other.address}" for one, other in strangers), "")

    wait_until(missing, timeout)


def _strangers(state: GridState) -> Iterator[tuple[MemberState, MemberState]]:
    """The pairs of living members of which the first does not know the second."""
    seen = views(state)
    alive = [member for member in state.members if member.index in seen]
    for one in alive:
        known = {row.id for row in seen[one.index].values() if not row.flags & PASSING}
        yield from ((one, other) for other in alive if other.id not in known)


def _made_follow(state: GridState, joining: list[MemberState]) -> list[MemberState]:
    """Those that do not follow their owner yet; they have been told."""
    left: list[MemberState] = []
    for member in joining:
        owner = _owner_to_follow(state, member)
        with ExitStack() as held:
            try:
                admin = held.enter_context(connect_to(state, member))
                mine = node_rows(admin)[member.id]
            except Loading:  # it answers when it has read all
                left.append(member)
                continue
            # One that has slots has taken over since, and so has one whom its owner follows.
            if mine.is_owner and not mine.slots and owner not in {"", member.id}:
                with suppress(ServerRefused):  # it has not heard yet that this one is an owner
                    admin.run("CLUSTER", "REPLICATE", owner)
                left.append(member)
    return left


def _owner_to_follow(state: GridState, member: MemberState) -> str:
    """The id of who owns now what the member was to copy: a failover may have come between."""
    planned = state.member(member.follows or 0)
    row = rows_seen(state).get(planned.id)
    return row.owner_id or planned.id if row else planned.id
