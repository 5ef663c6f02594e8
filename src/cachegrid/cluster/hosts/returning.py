"""Members of a host that was away come back empty, and the copies that other hosts have of them are not lost by it."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from cachegrid.cluster.admin import target_of
from cachegrid.cluster.contacts import PATIENCE, Contact, Contacts, agreed
from cachegrid.cluster.layout import rows_on_disk
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.errors import EngineError, ServerRefused, StartFailed

__all__ = ["make_way", "silent_owners"]

AWAY = 8.0  # seconds that copies on other hosts get to answer: the network of a host that boots comes up late
LOOK = 0.2


def make_way(
    state: GridState, dead: Sequence[MemberState], *, timeout: float, is_forced: bool = False
) -> Contacts | None:
    """
    Let replicas take over from dead owners of this host, which are about to come back with nothing.

    On return no copy would be lost by that: returns the grid as its members see it, None where none answers. Raises
    StartFailed, with nothing changed, where a copy may be alive and out of reach, unless that `is_forced`, or entries
    are on disk.
    """
    end = time.monotonic() + min(timeout, AWAY)
    left = list(dead)
    gone = {member.id for member in dead}
    while True:
        seen = _seen_from(state)
        grid = seen or _as_written(state, dead)
        at_stake = {member: copies for member in left if (copies := _at_stake(grid, member.id, gone))}
        if not at_stake or is_forced or state.persist:
            return seen
        if time.monotonic() > end:
            raise StartFailed(_refusal(state, at_stake.items()))
        left = list(at_stake)
        time.sleep(LOOK)


def _seen_from(state: GridState) -> Contacts | None:
    """The members of a grid across hosts, as far as any answers."""
    try:
        return Contacts.of_state(state)
    except EngineError:
        return None


def _as_written(state: GridState, dead: Sequence[MemberState]) -> Contacts:
    """The members as dead ones knew them last; nobody answers."""
    target = target_of(state)
    views = {member.id: rows for member in dead if member.id in (rows := rows_on_disk(member))}
    known = agreed(views, target.seeds[0])
    return Contacts(target=target, members={one.id: replace(one, is_up=False) for one in known.values()})


def _at_stake(grid: Contacts, dead: str, gone: Collection[str]) -> list[Contact]:
    """The copies that would be lost if a dead owner came back empty; none once one of them has taken over from it."""
    lost = grid.members.get(dead)
    if lost is None or not lost.is_owner or not lost.slots:
        return []
    copies = [one for one in grid.replicas if one.follows == dead and one.id not in gone]
    alive = [one for one in copies if one.is_up]
    if alive and not _is_most_elsewhere(grid, gone) and _taken_over(grid, alive):
        return []
    return [one for one in copies if one.is_up or not _has_ended(one)]


def _is_most_elsewhere(grid: Contacts, gone: Collection[str]) -> bool:
    """
    Whether most owners may be together where they are not seen from here.

    These elect who takes over. Whoever takes over by force on this side could win over that one later, without what was
    written there since.
    """
    return 2 * len(silent_owners(grid, gone)) > sum(bool(one.slots) for one in grid.owners)


def silent_owners(grid: Contacts, gone: Collection[str]) -> list[Contact]:
    """The owners of slots that do not answer, and may be alive; those that are known to be `gone` are not."""
    silent = (one for one in grid.owners if one.slots and not one.is_up and one.id not in gone)
    return [one for one in silent if not _has_ended(one)]


def _taken_over(grid: Contacts, copies: Iterable[Contact]) -> bool:
    """Let the replica that has most of its owner's writes take over; whether it has."""
    offsets: dict[int, Contact] = {}
    for one in copies:
        with suppress(EngineError), grid.open(one) as admin:
            offsets[int(admin.facts("replication").get("slave_repl_offset", "0"))] = one
    if not offsets:
        return False
    try:
        with grid.open(offsets[max(offsets)]) as admin:
            admin.run("CLUSTER", "FAILOVER", "TAKEOVER")
    except ServerRefused:
        return True  # it has just been elected
    except EngineError:
        return False
    return True


def _has_ended(one: Contact) -> bool:
    """Whether the host of a member says that nobody listens there: it has nothing any more. Silence says nothing."""
    try:
        socket.create_connection(one.endpoint, PATIENCE).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _refusal(state: GridState, at_stake: Iterable[tuple[MemberState, Sequence[Contact]]]) -> str:
    owners = ", ".join(member.address for member, _ in at_stake)
    copies = ", ".join(sorted({str(one) for _, those in at_stake for one in those}))
    return (
        f"grid {state.name!r}: {owners} would come back with nothing, and what {copies} may still have of it would be "
        "lost: see that this host reaches most of the others, those first, and start it again then; if they are lost, "
        f"`cachegrid up --force{state.option}` starts it without"
    )
