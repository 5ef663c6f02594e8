"""`cachegrid failover` in a grid that others run."""

from __future__ import annotations

import json
import time

from cachegrid.cli.exits import ending_cleanly

__all__ = ["failover_elsewhere"]


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
        with ending_cleanly():
            after = failover_at(grid.contacts, heir, owner)
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
