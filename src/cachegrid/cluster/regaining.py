"""Members of a grid that lost their part in it from outside get one again: decided from what the members say."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.agreement import View
from cachegrid.cluster.growth import newcomer
from cachegrid.cluster.ports import next_pairs
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import send_signal, wait_gone
from cachegrid.cluster.state import GridState, MemberState, Phase
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import SLOTS

__all__ = ["begin_anew", "known_rows", "new_owners", "regained", "strangers"]


def known_rows(rows: Mapping[str, NodeRow], views: Mapping[str, View]) -> dict[str, NodeRow]:
    """The rows of members that others know, too; one that all others have forgotten has no part in the grid."""
    seen = Counter(row.id for view in views.values() for row in view.values() if "handshake" not in row.flags)
    alone = len(views) == 1
    return {id_: row for id_, row in rows.items() if alone or seen[id_] > (id_ in views)}


def strangers(state: GridState, rows: Mapping[str, NodeRow]) -> list[NodeRow]:
    """Owners of slots that are in the grid, and are none that is written down here: somebody else started them."""
    own = {member.id for member in state.members}
    return [row for row in rows.values() if row.id not in own and row.slots and row.is_owner]


def regained(state: GridState, rows: Mapping[str, NodeRow], running: Collection[str]) -> GridState:
    """
    The grid with owners, and replicas for each, as its shape says, where that is not so though every slot is owned.

    `rows` are of members that others know, `running` the ids of those whose process is there. Who is to get another
    part is about to join: those that nobody knows any more, owners of nothing, and replicas that their owners do not
    need; then new ones. While members come or go, or an owner does not run, all stay what they are.
    """
    owners = [member for member in state.members if member.id in rows and rows[member.id].slots]
    covered = sum(len(span) for owner in owners for span in rows[owner.id].slots)
    begun = any(member.phase is not Phase.HERE for member in state.members)
    if begun or covered < SLOTS or any(owner.id not in running for owner in owners):
        return state
    followers = _followers(state, rows, {owner.id: owner.index for owner in owners})
    spare = _spare(state, followers, {owner.index for owner in owners})
    is_thin = any(len(following) < state.shape.replicas for following in followers.values())
    short = max(state.shape.owners - len(owners), 0)
    if not short and not (is_thin and spare) and all(member.id in rows for member in spare):
        return state
    parts: dict[int, int | None] = {member.index: None for member in spare[:short]}
    counts = {index: len(following) for index, following in followers.items()} | dict.fromkeys(parts, 0)
    for member in spare[short:]:
        owner = min(counts, key=lambda index: (counts[index], index))
        if counts[owner] < state.shape.replicas or member.id not in rows:
            parts[member.index] = owner
            counts[owner] += 1  # else it is one more than is needed, wherever it is
    # One that was forgotten is refused for a minute under the name that it had.
    named = (one if one.id in rows else replace(one, id=secrets.token_hex(20)) for one in state.members)
    state = replace(state, members=tuple(_with_part(member, parts) for member in named))
    return _with_new(state, counts, short - len(spare[:short]))


def new_owners(before: GridState, state: GridState) -> list[str]:
    """The addresses of those that are about to be owners of a part of what others own."""
    new = [one for one in state.members if one not in before.members and one.phase is Phase.JOINING]
    return [member.address for member in new if member.follows is None]


def begin_anew(before: GridState, state: GridState, rows: Mapping[str, NodeRow]) -> None:
    """Let members that are to get another part forget the one that they had, with what they have: others have it."""
    for was, member in zip(before.members, state.members, strict=False):
        row = rows.get(was.id)
        is_idle = row is not None and row.is_owner and not row.slots
        if member == was or is_idle or not was.conf.exists():
            continue
        pid = pid_of(was)
        if not row or not pid:
            send_signal(pid, was.conf, signal.SIGKILL)
            wait_gone([(pid, was.conf)])
            shutil.rmtree(was.folder, ignore_errors=True)
            continue
        with connect_to(before, was) as admin:
            admin.run("CLUSTER", "RESET", "SOFT")


def _with_new(state: GridState, counts: Mapping[int, int], owners: int) -> GridState:
    """The grid with so many new owners more, and with the replicas that owners lack by these counts."""
    lacking = [index for index, count in counts.items() for _ in range(state.shape.replicas - count)]
    number = min(len(lacking), state.shape.members - len(state.members)) + owners * (1 + state.shape.replicas)
    if number <= 0:
        return state
    pairs = [(member.port, member.bus_port) for member in state.members]
    ports = iter(next_pairs(pairs, number, state.host))
    follows: list[int | None] = [*lacking]
    for _ in range(owners):
        first = max(member.index for member in state.members) + 1
        state = replace(state, members=(*state.members, newcomer(state, next(ports), None)))
        follows += [first] * state.shape.replicas
    for follow, pair in zip(follows, ports, strict=False):
        state = replace(state, members=(*state.members, newcomer(state, pair, follow)))
    return state


def _followers(
    state: GridState, rows: Mapping[str, NodeRow], owners: Mapping[str, int]
) -> dict[int, list[MemberState]]:
    """The replicas of each owner, by its index."""
    found: dict[int, list[MemberState]] = {index: [] for index in owners.values()}
    for member in state.members:
        if member.id in rows and rows[member.id].owner_id in owners:
            found[owners[rows[member.id].owner_id]].append(member)
    return found


def _spare(state: GridState, followers: Mapping[int, list[MemberState]], owners: Collection[int]) -> list[MemberState]:
    """Members that may get another part: those that have none, and then replicas that are too many."""
    busy = {one.index for following in followers.values() for one in following} | {*owners}
    idle = [member for member in state.members if member.index not in busy]
    # Those that were owners, as they are written down, are owners again.
    extra = [one for following in followers.values() for one in following[state.shape.replicas :]]
    return sorted(idle + extra, key=lambda member: (member.role != "owner", member.index))


def _with_part(member: MemberState, parts: Mapping[int, int | None]) -> MemberState:
    if member.index not in parts:
        return member
    follows = parts[member.index]
    role = "owner" if follows is None else "replica"
    return replace(member, phase=Phase.JOINING, follows=follows, role=role)
