"""Slots of a grid across hosts whose owner is away, with nobody who has a copy: counted, and given to others."""

from __future__ import annotations

from collections.abc import Collection

from cachegrid.cluster.agreement import wait_until
from cachegrid.cluster.balance import moves, spans
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.hosts.alone import without_owner
from cachegrid.cluster.hosts.arranging import views
from cachegrid.cluster.hosts.returning import silent_owners
from cachegrid.cluster.mending import claim
from cachegrid.cluster.operation import Way
from cachegrid.cluster.state import GridState
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import GridError

__all__ = ["assign", "refuse_minority", "slots_away"]


def slots_away(grid: Contacts, *, coming: Collection[str] = ()) -> list[range]:
    """
    The slots of which neither an owner nor a replica answers, nor is one of those that are about to be started.

    Whether another host brings them back is not seen from here.
    """
    there = {one.id for one in grid.owners if one.is_up} | {one.follows for one in grid.replicas if one.is_up}
    held = (span for one in grid.owners if one.id in there or one.id in coming for span in one.slots)
    return spans({*range(SLOTS)} - {slot for span in held for slot in span})


def refuse_minority(state: GridState, grid: Contacts) -> None:
    """
    Raise GridError where as many owners as answer, or more, may be together where they are not seen from here.

    They may go on without this host: what programs write there would be lost when both meet again.
    """
    own = {member.id for member in state.members}
    owners = [one for one in grid.owners if one.slots]
    silent = silent_owners(grid, own)
    if 2 * len(silent) >= len(owners):
        raise GridError(
            f"{len(silent)} of {len(owners)} owners do not answer, and may go on without this host: "
            f"{', '.join(map(str, silent))}; if those are lost, `cachegrid heal --assign --force{state.option}` "
            "gives what they owned to others"
        )


def assign(grid: Contacts, lost: list[range], way: Way) -> None:
    """
    Give slots to the owners that answer, those with fewest first, and return when all that answer know, and serve them.

    Who owned them gives way when it comes back. Raises GridError where no owner answers, or an EngineError.
    """
    able = [one for one in grid.owners if one.is_up]
    into = [one.id for one in able if one.slots] or [one.id for one in able]
    if not into:
        raise GridError("no owner answers that slots could be given to")
    owned = {one.id: list(one.slots) for one in able if one.id in into}
    given = [move for move in moves({"": lost, **owned}, into) if not move.source]
    for move in given:
        with grid.open(move.target, timeout=5.0) as admin:
            claim(admin, [slot for span in move.slots for slot in span])
        way.progress("slots given", sum(map(len, move.slots)), sum(map(len, lost)))
    wait_until(lambda: _unknowing(grid, {slot for span in lost for slot in span}, {*into}), way.timeout)
    if not without_owner(grid.again()):
        wait_until(lambda: _not_serving(grid, into), way.timeout)


def _unknowing(grid: Contacts, lost: set[int], into: set[str]) -> str:
    """Who takes somebody else for the owner of what was given."""
    for one, rows in views(grid).items():
        known = {slot for row in rows.values() if row.id in into for span in row.slots for slot in span}
        if missing := lost - known:
            return f"{grid.of(one)} does not know who was given {len(missing):,} slots"
    return ""


def _not_serving(grid: Contacts, owners: list[str]) -> str:
    for owner in owners:
        with grid.open(owner) as admin:
            if "cluster_state:ok" not in admin.text("CLUSTER", "INFO"):
                return f"{grid.of(owner)} takes no writes"
    return ""
