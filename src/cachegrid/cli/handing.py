"""`cachegrid failover` and `cachegrid remove` in a grid that others run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cachegrid.cli.exits import ending_cleanly, saying_if_stopped

if TYPE_CHECKING:
    from cachegrid.cluster.balance import Move
    from cachegrid.cluster.contacts import Contacts
    from cachegrid.cluster.state import GridState

__all__ = ["empty_elsewhere", "failover_elsewhere", "of_this_host"]


def failover_elsewhere(
    member: str, url: str | None, name: str | None, config: str | None, *, dry_run: bool, as_json: bool
) -> None:
    """Show who would take over from whom, let it, and say what it came to; raises as `takeover_anywhere`."""
    from cachegrid.cli.operating import operated
    from cachegrid.cluster.takeover_anywhere import failover_at, failover_pair

    grid = operated(url, name, config)
    heir, owner = failover_pair(grid.contacts, member)
    step = f"let {heir} take over from {owner}, which follows it then"
    begun = time.monotonic()
    if not as_json:
        print(f"grid {grid.url}:\n  1. {step}", flush=True)
    after = grid.contacts
    if not dry_run:
        with (
            ending_cleanly(),
            saying_if_stopped(lambda: "stopped: nothing is lost; see who the owner is, or run it again"),
        ):
            after = failover_at(grid.contacts, heir)
    seconds = time.monotonic() - begun
    if as_json:
        rows = [
            {
                "address": str(each),
                "id": each.id,
                "role": "owner" if each.is_owner else "replica",
                "up": each.is_up,
                "slots": sum(map(len, each.slots)),
            }
            for each in after.members.values()
        ]
        told = {"name": grid.name, "url": grid.url, "dry_run": dry_run, "steps": [step]}
        print(json.dumps({**told, "seconds": round(seconds, 3), "members": rows}, indent=2))
    elif not dry_run:
        print(f"{heir} is the owner after {seconds:.1f} s")


def empty_elsewhere(
    member: str,
    url: str | None,
    name: str | None,
    config: str | None,
    *,
    force: bool,
    fast: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show what has to move so that a member has no slots, move it, and say so; raises as `emptying` and `moving`."""
    from cachegrid.cli.operating import bar, operated
    from cachegrid.cli.show import counted
    from cachegrid.cluster import running
    from cachegrid.cluster.emptying import emptying_of
    from cachegrid.cluster.moving import carry_out, pace_of, settled
    from cachegrid.errors import GridError

    grid = operated(url, name, config)
    contacts = grid.contacts
    chosen = contacts.named(member)
    own = of_this_host(contacts, running())
    if own and (own.spread or any(one.id == chosen.id for one in own.members)):  # else somebody else has started it
        does = f"`cachegrid leave{own.option}` takes all members of this host out of it"
        if not own.spread:
            does = f"without --url it ends members, too: cachegrid remove {chosen} --name {own.name}"
        raise GridError(f"{grid.url} is grid {own.name!r} of this host: {does}")
    # Once it owns nothing they follow another owner, and nobody can tell them from that one's.
    replicas = sorted(str(each) for each in contacts.members.values() if each.follows == chosen.id)
    plan = emptying_of(contacts, chosen, force=force)
    steps = _steps(contacts, plan)
    begun = time.monotonic()
    if not as_json:
        lines = [f"grid {grid.url}:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
        print("\n".join(lines if steps else [f"nothing to do: {chosen} owns no slots"]), flush=True)
    if not dry_run:
        text = "stopped: what has moved stays where it is; the same command goes on"
        with ending_cleanly(), saying_if_stopped(lambda: text), bar("slots", quiet=as_json) as progress:
            contacts = settled(contacts)  # what an earlier run has left half-moved
            plan = emptying_of(contacts, contacts.named(chosen.id), force=force)
            carry_out(contacts, plan, progress=progress, pace=pace_of(fast=fast))
    seconds = time.monotonic() - begun
    slots = sum(move.size for move in plan)
    if as_json:
        told = {"name": grid.name, "url": grid.url, "dry_run": dry_run, "steps": steps, "slots": slots}
        told |= {"member": str(chosen), "replicas": replicas}
        print(json.dumps({**told, "seconds": round(seconds, 3)}, indent=2))
    elif not dry_run:
        done = f"{counted(slots, 'slot')} moved in {seconds:.1f} s; " if plan else ""
        print(f"{done}end {_ending(str(chosen), replicas)} (CLUSTER FORGET)")


def of_this_host(contacts: Contacts, running: Sequence[GridState]) -> GridState | None:
    """The one of these grids of this host that has these members, by whatever address they were reached."""
    return next((one for one in running if any(member.id in contacts.members for member in one.members)), None)


def _steps(contacts: Contacts, plan: Sequence[Move]) -> list[str]:
    """What has to move, in words."""
    from cachegrid.cli.show import counted
    from cachegrid.cluster.moving import span_text

    return [
        f"move {counted(move.size, 'slot')} to {contacts.of(move.target)}: {span_text(move.slots)}" for move in plan
    ]


def _ending(owner: str, replicas: Sequence[str]) -> str:
    """What is left to do by whoever runs it: who is to end, by address."""
    if not replicas:
        return f"{owner} where it runs, and let the others forget it"
    kind = "replica" if len(replicas) == 1 else "replicas"
    return f"{owner} and its {kind} {', '.join(replicas)} where they run, and let the others forget them"
