"""`cachegrid doctor`: what is wrong with a grid, or may be soon, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from cachegrid.cli.exits import Exit
from cachegrid.cli.options import Config, Json, Name, Url

if TYPE_CHECKING:
    from cachegrid.cluster.doctor.facts import Examined, Finding

__all__ = ["doctor"]


def doctor(*, url: Url = None, name: Name = None, config: Config = None, as_json: Json = False) -> None:
    """
    Check what could be wrong with a grid.

    Also of a grid or a server that others run. It says what is wrong, where, how bad that is, and what to do. The exit
    code is 1 if there are problems or warnings, and 0 if there are only notes.
    """
    from cachegrid.cli.reached_target import grid_meant
    from cachegrid.cluster.doctor.checks import findings, is_well
    from cachegrid.cluster.doctor.look import examine

    grid = grid_meant(url, name, config)
    caches = {name: policy.waits_for for name, policy in grid.caches.items()}
    examined = examine(grid.target, name=grid.name, url=grid.url, state=grid.state, caches=caches)
    found = findings(examined)
    if as_json:
        print(json.dumps(_told(examined, found), indent=2))
    else:
        print(_text(examined, found))
    if not is_well(found):
        raise typer.Exit(Exit.NO)


def _text(grid: Examined, found: list[Finding]) -> str:
    from cachegrid.cli.show import counted

    lines: list[str] = []
    for each in found:
        where = f"{', '.join(each.where)}: " if each.where else ""
        lines += [f"{each.badness}: {where}{each.what}", f"  what to do: {each.advice}"]
    looked = f"{counted(len(grid.members), 'member')} of {grid.name or grid.url} looked at"
    kinds = ", ".join(
        counted(count, kind)
        for kind in ("problem", "warning", "note")
        if (count := sum(each.badness == kind for each in found))
    )
    return "\n".join([*lines, f"{looked}: {kinds or 'nothing to say'}"])


def _told(grid: Examined, found: list[Finding]) -> dict[str, object]:
    return {
        "name": grid.name,
        "url": grid.url,
        "members": len(grid.members),
        "findings": [
            {
                "check": each.check,
                "badness": each.badness.value,
                "what": each.what,
                "where": list(each.where),
                "advice": each.advice,
            }
            for each in found
        ],
    }
