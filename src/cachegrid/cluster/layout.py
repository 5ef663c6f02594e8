"""The layout of a grid that was kept on disk, read back from what its members wrote there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

from cachegrid.cluster.files import own_nodes
from cachegrid.cluster.plan import GridPlan, MemberPlan
from cachegrid.cluster.state import GridState, MemberState, Phase
from cachegrid.engines.valkey.facts import NodeRow, read_rows
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import StartFailed

__all__ = ["read_back", "rows_on_disk"]


def read_back(state: GridState, new_id: Callable[[], str]) -> GridPlan:
    """
    Who owns what, by the members' own word: the owner with the latest epoch wins a slot that two claim.

    What a member has lost, the others tell that knew it last. Raises `StartFailed` where that leaves a slot without an
    owner: giving it to anyone could hide entries that are still on disk.
    """
    views = {member.id: rows_on_disk(member) for member in state.members}
    own = {member.index: _last_known(member, views) for member in state.members}
    held = _held(own)
    if lost := SLOTS - sum(map(len, held.values())):
        raise StartFailed(
            f"{lost:,} of the {SLOTS:,} slots of grid {state.name!r} have no owner by what its members have on disk "
            f"(nodes.conf in {state.folder}/m*): put these files back from a copy; its entries are as they were"
        )
    # One without any is an owner that has just come, or is about to go; one that claims slots was replaced.
    owners = [index for index, row in own.items() if held[index] or (row.is_owner and not row.slots)]
    shards = {index: new_id() for index in owners}
    planned = {member.index: member.follows for member in state.members if member.follows in owners}
    follows = _follows(own, owners, planned)
    members = [
        MemberPlan(
            index=member.index,
            id=member.id,
            host=member.host,
            port=member.port,
            bus_port=member.bus_port,
            slots=_spans(held[member.index]),
            follows=follows.get(member.index),
            shard=shards[follows.get(member.index, member.index)],
            phantom="" if member.index in follows else new_id(),
        )
        for member in state.members
    ]
    return GridPlan(shape=state.shape, members=tuple(members))


def rows_on_disk(member: MemberState) -> dict[str, NodeRow]:
    """What one member knew of all, by id; nothing, if its file is missing, torn or another's."""
    try:
        lines = own_nodes(member).read_text().splitlines()
        return read_rows(line for line in lines if not line.startswith("vars "))
    except (OSError, ValueError, IndexError):
        return {}


def _last_known(member: MemberState, views: Mapping[str, Mapping[str, NodeRow]]) -> NodeRow:
    own = views[member.id].get(member.id)
    # One that was about to join as a replica, and had not been told yet, takes itself for an owner.
    if own and not (member.follows is not None and own.is_owner and not own.slots):
        return own
    seen = [rows[member.id] for rows in views.values() if member.id in rows]
    is_new_owner = member.phase is Phase.JOINING and member.role == "owner"
    flags = frozenset({"master" if is_new_owner else "slave"})
    unknown = NodeRow(id=member.id, flags=flags, owner_id="", epoch=0, slots=())
    return unknown if member.phase is Phase.JOINING else max(seen, key=lambda row: row.epoch, default=unknown)


def _held(own: Mapping[int, NodeRow]) -> dict[int, list[int]]:
    """The slots of each member, in order."""
    held: dict[int, list[int]] = {index: [] for index in own}
    claims = sorted((row.epoch, index) for index, row in own.items() if row.is_owner)
    winner = {slot: index for _, index in claims for span in own[index].slots for slot in span}
    for slot in sorted(winner):
        held[winner[slot]].append(slot)
    return held


def _follows(own: Mapping[int, NodeRow], owners: list[int], planned: Mapping[int, int | None]) -> dict[int, int]:
    """The owner of every other member: the one it followed, or is to, else the one that took its slots, else any."""
    by_id = {own[index].id: index for index in owners}
    found: dict[int, int] = {}
    for index in (index for index in own if index not in owners):
        row = own[index]
        took = next((o for o in owners for span in row.slots for mine in own[o].slots if span.start in mine), None)
        meant = planned.get(index)
        another = owners[index % len(owners)] if took is None else took
        found[index] = by_id.get(row.owner_id, another if meant is None else meant)
    return found


def _spans(slots: list[int]) -> tuple[range, ...]:
    runs = (list(run) for _, run in groupby(enumerate(slots), lambda pair: pair[1] - pair[0]))
    return tuple(range(run[0][1], run[-1][1] + 1) for run in runs)
