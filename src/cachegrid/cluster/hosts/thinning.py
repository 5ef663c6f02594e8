"""Owners that have become too many for the replicas that are left: some give their part up, and copy others."""

from __future__ import annotations

from collections.abc import Collection

from cachegrid.cluster.balance import moves
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.emptying import refuse_overflow
from cachegrid.cluster.hosts.alone import without_owner
from cachegrid.cluster.hosts.arranging import by_host, place, spread_owners
from cachegrid.cluster.hosts.spreading import surplus_owners
from cachegrid.cluster.moving import carry_out
from cachegrid.cluster.operation import Way
from cachegrid.cluster.state import GridState, Phase
from cachegrid.errors import GridError

__all__ = ["lacking", "refuse_unfit", "staying", "surplus_here", "surplus_left", "thin_out", "thinning"]


def surplus_left(grid: Contacts, rest: Contacts) -> tuple[str, ...]:
    """The owners that are to be replicas when the others have left, for each owner to have as many as now."""
    owners = sum(bool(one.slots) for one in grid.owners)
    return surplus_owners(*by_host(rest), wanted=-(-owners * len(rest.members) // len(grid.members)))


def surplus_here(state: GridState, grid: Contacts) -> tuple[str, ...]:
    """The owners of this host that are to be replicas: it has more than it began with, and replicas are missing."""
    owners, replicas = by_host(grid)
    here = {one: host for one, host in owners.items() if host == state.host}
    per_owner = state.shape.replicas
    missing = len(owners) * per_owner - len(replicas)
    wanted = max(state.shape.owners, len(here) - -(-missing // (per_owner + 1))) if missing > 0 else len(here)
    return surplus_owners(here, replicas, wanted)


def lacking(grid: Contacts) -> list[Contact]:
    """The owners that nobody copies."""
    followed = {one.follows for one in grid.replicas if one.is_up}
    return [one for one in grid.owners if one.slots and one.id not in followed]


def thinning(grid: Contacts, surplus: Collection[str]) -> str:
    """What is about to be done with these owners, in words."""
    named = ", ".join(str(grid.of(one)) for one in surplus)
    return f"let {named} give their slots to the other owners, and copy one: else some have no replica"


def staying(grid: Contacts, surplus: Collection[str]) -> list[str]:
    """The owners that go on as such."""
    return [one.id for one in grid.owners if one.slots and one.is_up and one.id not in surplus]


def thin_out(grid: Contacts, surplus: Collection[str], state: GridState, way: Way) -> None:
    """
    Let owners give their slots away and copy others, and let those that stay be spread over the hosts again.

    Members of this host that leave give theirs away, too, and copy nobody. To be called while no other host changes the
    grid. Raises an EngineError.
    """
    gone = {member.id for member in state.members if member.phase is Phase.LEAVING}
    left = staying(grid.without(gone), surplus)
    if surplus or gone:
        _keep_roles(grid, {*surplus, *gone}, "no")
        # To owners that stay alone; between those, nothing moves that need not.
        carry_out(grid, moves(grid.owned, left), progress=way.progress, pace=way.pace)
        _keep_roles(grid, surplus, "yes")
    place(grid.again(), left, state, way, fresh=surplus)
    spread_owners(grid.again(), way, but=gone)


def refuse_unfit(grid: Contacts, into: list[str], *, force: bool) -> None:
    """Raise GridError where slots cannot move to these owners now, or these would evict and nobody said they may."""
    if said := without_owner(grid):
        raise GridError(said)
    refuse_overflow(grid, moves(grid.owned, into), force=force)


def _keep_roles(grid: Contacts, givers: Collection[str], may_follow: str) -> None:
    """Let owners that give all away stay owners, until they may follow others: they would forget that they give it."""
    for owner in (one for one in grid.owners if one.id in givers and one.is_up):
        with grid.open(owner) as admin:
            admin.run("CONFIG", "SET", "cluster-allow-replica-migration", may_follow)
