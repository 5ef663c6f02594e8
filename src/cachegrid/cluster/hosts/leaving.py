"""A host leaves a grid that goes on elsewhere: for a while, with all that it has, or because it is lost."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cachegrid.cluster.agreement import wait_until
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.hosts.alone import alone
from cachegrid.cluster.hosts.arranging import (
    followed_elsewhere,
    forget_on_all,
    hosts_of,
    views,
)
from cachegrid.cluster.hosts.thinning import refuse_unfit, staying, surplus_left, thin_out, thinning
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.lock import locked
from cachegrid.cluster.moving import settled as half_moved_settled
from cachegrid.cluster.operation import Operation, Way
from cachegrid.cluster.plan import counted
from cachegrid.cluster.shutdown import end_members
from cachegrid.cluster.state import GridState, Phase, checked_name, load, save, state_root
from cachegrid.cluster.takeover_anywhere import failover_at
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import ConfigError, EngineError, GridError, GridNotFound

__all__ = ["hand_over", "leave"]

HANDING = 10.0  # seconds for owners to hand over before their host goes away


def hand_over(state: GridState, *, is_loss_meant: bool = False) -> None:
    """
    Let replicas on other hosts take over from this host's owners, as far as there are any, without losing a write.

    What cannot be handed over is taken over later by those who notice that it is gone. Raises GridError, and changes
    nothing, where nobody has a copy of what an owner has and others go on with the grid, unless that `is_loss_meant`.
    """
    with suppress(EngineError):
        grid = Contacts.of_state(state)
        own = {member.id for member in state.members}
        heirs = {one: followed_elsewhere(grid, one) for one in grid.owners if one.id in own and one.slots and one.is_up}
        alone_with_it = [owner for owner, heir in heirs.items() if heir is None]
        if alone_with_it and not is_loss_meant and any(one.is_up for one in grid.without(own).members.values()):
            raise GridError(_loss(state, grid, alone_with_it))
        for heir in filter(None, heirs.values()):
            failover_at(grid, heir, timeout=HANDING)


def _loss(state: GridState, grid: Contacts, owners: list[Contact]) -> str:
    count = 0
    for owner in owners:
        with grid.open(owner) as admin:
            count += int(admin.text("DBSIZE"))
    named = ", ".join(map(str, owners))
    return (
        f"{count:,} entries of {named} would be lost, as no other host has a copy: `cachegrid leave{state.option}` "
        f"moves what is on {state.host} to others, `cachegrid heal{state.option}` may make copies, and "
        f"`cachegrid down --force{state.option}` goes without"
    )


def leave(
    name: str = "default",
    address: str | None = None,
    *,
    root: Path | None = None,
    force: bool = False,
    way: Way | None = None,
) -> GridState:
    """
    Take this host out of its grid: its slots go to the others' owners, while programs use them; then its members end.

    With the `address` of another host, which does not answer and is not to come back, that one is forgotten.
    Interrupted, the same call goes on. Returns the grid as it was here. Raises GridNotFound, GridError where the grid
    needs the host or, unless `force` lets them evict, an owner has no room for what it would be given, ConfigError for
    an address that is none of the grid, or an EngineError.
    """
    way, root = way or Way(), (root or state_root()).absolute()
    _spread_here(root, name)  # before a lock is made of what is none
    with locked(root, checked_name(name), timeout=way.timeout):
        state = _spread_here(root, name)
        grid = Contacts.of_state(state)
        if address not in {None, state.host}:
            return _forgotten(state, grid, str(address), way, force=force)
        return _left(state, grid, way, force=force)


def _spread_here(root: Path, name: str) -> GridState:
    state = load(root, name)
    if state is None or not state.ready or not state.spread:
        raise GridNotFound(f"there is no grid {name!r} on this host that is on others, too (looked in {root})")
    return state


def _left(state: GridState, grid: Contacts, way: Way, *, force: bool) -> GridState:
    own = {member.id for member in state.members}
    others = [one for one in grid.owners if one.slots and one.is_up and one.id not in own]
    mine = [one for one in grid.owners if one.slots and one.id in own]
    rest = grid.without(own)
    surplus = surplus_left(grid, rest)
    if not others:
        raise GridError(
            f"{state.host} is the last host of grid {state.name!r}: `cachegrid down{state.option}` ends the grid"
        )
    if dead := [str(one) for one in mine if not one.is_up]:
        starts = f"`cachegrid up{state.option}` starts it again"
        raise GridError(f"{dead[0]} does not run, and has slots to give away: {starts}")
    refuse_unfit(grid, staying(rest, surplus), force=force)
    steps = tuple(_steps(state, grid, mine, surplus))
    way.tell(Operation(grid=state.name, steps=steps, shape=state.shape))
    if way.is_rehearsal:
        return state
    leaving = tuple(replace(member, phase=Phase.LEAVING) for member in state.members)
    state = replace(state, members=leaving)
    save(state)  # whoever comes after us knows who is about to go
    with alone(state, way) as (there, renewing):
        grid = half_moved_settled(there)
        thin_out(grid, surplus, state, renewing)
        grid = grid.again()
        # Still alone: whoever shares out slots meanwhile would give some back.
        wait_until(lambda: _still_needed(grid, own), way.timeout)
        with held_back():
            end_members(state, state.members)
            forget_on_all(grid.without(own), sorted(own))
    shutil.rmtree(state.folder, ignore_errors=True)  # what is in it was needed to say that we are through
    return state


def _steps(state: GridState, grid: Contacts, mine: list[Contact], surplus: Collection[str]) -> list[str]:
    given = sum(len(span) for one in mine for span in one.slots)
    steps = [f"move {given:,} of 16,384 slots to owners on other hosts"] if given else []
    steps += [thinning(grid, surplus)] if surplus else []
    return [*steps, f"end {counted(len(state.members), 'member')} of {state.host}, and let all others forget them"]


def _still_needed(grid: Contacts, own: set[str]) -> str:
    """Why the members may not go yet: anyone that was up, they too, says that they own a slot, or that nobody does."""
    seen = views(grid)
    for member in (one for one in grid.members.values() if one.is_up):
        rows = seen.get(member.id)
        if rows is None:
            return f"{member} does not answer"
        if holder := next((row for row in rows.values() if row.id in own and row.slots), None):
            return f"{member} takes {holder.host}:{holder.port} for the owner of slots"
        if member.id in own:
            continue
        if lost := SLOTS - sum(len(span) for row in rows.values() for span in row.slots):
            return f"{member} knows no owner of {lost:,} slots"
        if rows[member.id].owner_id in own:
            return f"{member} follows one that leaves"
    return ""


def _forgotten(state: GridState, grid: Contacts, address: str, way: Way, *, force: bool) -> GridState:
    there = hosts_of(grid)
    if address not in there:
        raise ConfigError("ADDRESS", address, f"that of a host of grid {state.name!r}: {', '.join(sorted(there))}")
    lost = there[address]
    if alive := [str(one) for one in lost if one.is_up]:
        raise GridError(f"{alive[0]} answers: say `cachegrid leave{state.option}` on that host")
    if needed := [str(one) for one in lost if one.slots]:
        raise GridError(
            f"nobody has taken over from {needed[0]}: what it owned comes back when that host does; "
            f"`cachegrid heal --assign{state.option}` gives its slots to others, without what was in them"
        )
    rest = grid.without({one.id for one in lost})
    surplus = surplus_left(grid, rest)
    steps = [f"let all members forget {counted(len(lost), 'member')} of {address}"]
    if surplus:
        refuse_unfit(rest, staying(rest, surplus), force=force)
        steps.append(thinning(rest, surplus))
    way.tell(Operation(grid=state.name, steps=tuple(steps), shape=state.shape))
    if way.is_rehearsal:
        return state
    with alone(state, way) as (now, renewing):
        forget_on_all(now, [one.id for one in lost])
        thin_out(half_moved_settled(now.without({one.id for one in lost})), surplus, state, renewing)
    return state
