"""Entries that nobody has any more: of slots whose owner died with all its replicas, and had nothing on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cachegrid.cluster.agreement import rows_seen
from cachegrid.cluster.balance import spans
from cachegrid.cluster.files import keeps_entries
from cachegrid.cluster.moving import span_text
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import GridState
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import SLOTS

__all__ = ["CACHES_TOO", "NO_COPY", "emptied_slots", "revival_steps", "share_text"]

NO_COPY = "their owner died with all its replicas, nothing of them is on disk, and so their entries are lost"
# What they have on other owners nobody reads any more: it is of an epoch that nobody knows.
CACHES_TOO = "caches whose epoch was there are empty as well"


def emptied_slots(state: GridState, rows: Mapping[str, NodeRow] | None = None) -> list[range]:
    """
    The slots of which no member of a grid of this host has a copy, alive or on disk: what was in them is lost.

    By what the members that answer know, and so none where nobody does. Of a grid across hosts nothing is said.
    """
    if state.spread:
        return []
    rows = rows_seen(state) if rows is None else rows
    there = {member.id for member in state.members if pid_of(member) or (state.persist and keeps_entries(member))}
    copied = {row.owner_id or row.id for row in rows.values() if row.id in there}
    own = {member.id for member in state.members}
    gone = (row.slots for row in rows.values() if row.is_owner and row.id in own - copied)
    return spans({slot for slots in gone for span in slots for slot in span})


def revival_steps(state: GridState) -> list[str]:
    """What it means in a plan, in words, that dead members of a grid of this host are started again first."""
    dead = [member.address for member in state.members if not pid_of(member)]
    if not dead:
        return []
    emptied = emptied_slots(state)
    lost = [f"bring {share_text(emptied)} back empty: {NO_COPY}; {CACHES_TOO}"] if emptied else []
    return [f"start members again that do not run: {', '.join(dead)}", *lost]


def share_text(slots: Sequence[range]) -> str:
    """
    Slots for people who ask how much of a grid that is.

    >>> share_text([range(0, 4096)])
    '4,096 of 16,384 slots (25%: 0-4095)'
    """
    count = sum(map(len, slots))
    return f"{count:,} of {SLOTS:,} slots ({count / SLOTS:.0%}: {span_text(slots)})"
