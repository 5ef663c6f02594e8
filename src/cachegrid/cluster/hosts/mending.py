"""A grid across hosts made whole again, from one of them: what died here, where owners are, and who copies them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.hosts.alone import alone
from cachegrid.cluster.hosts.arranging import is_uneven, misplaced
from cachegrid.cluster.hosts.assigning import assign as give
from cachegrid.cluster.hosts.assigning import refuse_minority, slots_away
from cachegrid.cluster.hosts.joining import back_again, seen
from cachegrid.cluster.hosts.thinning import lacking, refuse_unfit, staying, surplus_here, thin_out, thinning
from cachegrid.cluster.moving import settled as half_moved_settled
from cachegrid.cluster.operation import Operation, Way
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import GridState, Phase
from cachegrid.errors import GridError

__all__ = ["mended_here"]


def mended_here(state: GridState, way: Way, *, assign: bool, force: bool = False) -> GridState:
    """
    The grid with this host's dead members started again, and with owners and copies on hosts of their own again.

    Where owners are too many for the replicas that are left, those that this host did not begin with give their slots
    up, and copy others. With `assign` slots are given to others of which no owner and no replica answers; GridError is
    raised, unless `force` says to do it all the same, where most owners may be together where they are not seen.
    """
    grid = seen(state)
    away_slots = sum(map(len, slots_away(grid, coming={member.id for member in state.members}))) if grid else 0
    if grid and away_slots and assign and not force:
        refuse_minority(state, grid)
    others = [_step_for(away_slots, assign=assign)] if away_slots else _steps_between(state, grid)
    steps = (*_steps_here(state), *others)
    way.tell(Operation(grid=state.name, steps=steps, shape=state.shape))
    if way.is_rehearsal or not steps:
        return state
    state = back_again(state, way)
    now = seen(state)
    if assign and now and (lost := slots_away(now)):
        give(now, lost, way)
        return back_again(state, way)
    if now and _is_whole(now) and (_surplus(state, now) or _is_misplaced(state, now)):
        with alone(state, way) as (there, renewing):
            thin_out(half_moved_settled(there), _surplus(state, there), state, renewing)
    return state


def _steps_here(state: GridState) -> Iterator[str]:
    if dead := [member.address for member in state.members if not pid_of(member)]:
        yield f"start members of this host again that do not run: {', '.join(dead)}"
    if any(member.phase is Phase.JOINING for member in state.members):
        yield "go on with members that were begun before"


def _step_for(away_slots: int, *, assign: bool) -> str:
    if assign:
        return f"give {away_slots:,} slots, of which no owner answers, to others; what was in them is lost"
    return (
        f"leave {away_slots:,} slots, of which no owner answers: their host brings them back, or `--assign` gives "
        "them to others, without what was in them"
    )


def _steps_between(state: GridState, grid: Contacts | None) -> Iterator[str]:
    """What is done between hosts, or cannot be."""
    away = sorted({one.endpoint.host for one in grid.members.values() if not one.is_up} - {state.host}) if grid else []
    if away or grid is None:
        yield f"leave it at that, as other hosts are away: {', '.join(away) or 'all of them'}"
        return
    if not _is_whole(grid) or is_uneven(grid):
        yield "let replicas take over until owners are spread over the hosts"
    if not _is_whole(grid):
        return
    if surplus := _surplus(state, grid):
        yield thinning(grid, surplus)
    elif _is_misplaced(state, grid):
        yield f"let replicas copy owners that have none: {_named(lacking(grid))}"
    elif state.shape.replicas and (alone_there := lacking(grid)):
        yield _why_lacking(state, grid, alone_there)


def _why_lacking(state: GridState, grid: Contacts, owners: list[Contact]) -> str:
    count = Counter(one.endpoint.host for one in grid.owners if one.slots)
    elsewhere = sorted(host for host in count if count[host] > 1 and host != state.host)
    if surplus_here(state, grid):
        why = "the others have no room for what one would give up to copy another"
    else:
        elsewhere = [f", but `cachegrid heal{state.option}` on {host} may make one" for host in elsewhere[:1]]
        why = "".join(["no replica is left", *elsewhere])
    return f"leave {_named(owners)} without a replica: {why}; a host that joins brings more"


def _surplus(state: GridState, grid: Contacts) -> tuple[str, ...]:
    """The owners of this host that are to be replicas; none where the others have no room for what they have."""
    found = surplus_here(state, grid)
    try:
        refuse_unfit(grid, staying(grid, found), force=False)
    except GridError:
        return ()
    return found


def _is_misplaced(state: GridState, grid: Contacts) -> bool:
    """Whether owners have no replica that could have one."""
    return bool(lacking(grid) and misplaced(grid, staying(grid, ()), state))


def _is_whole(grid: Contacts) -> bool:
    return all(one.is_up for one in grid.members.values())


def _named(owners: list[Contact]) -> str:
    return ", ".join(map(str, owners))
