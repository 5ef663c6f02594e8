"""All faults by name: what happens, to what grid, and what this machine must have for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cachegrid.testing.loopback import LoopbackGrid
from tests.chaos import disk, faults, moves, network
from tests.chaos.run import GRID, Inject, Plan, Report, Stage, fill, kept_in, observed, run
from tests.hosts import namespaces

__all__ = ["ROWS", "SHORT", "TEXTS", "Row"]

Run = Callable[[str, Plan, Path | None], list[Report]]


@dataclass(frozen=True)
class Row:
    """One fault of the table."""

    text: str  # what happens, for people
    run: Run  # one report or more: of both sides of a cut, say
    missing: Callable[[], str] = lambda: ""


def _plain(inject: Inject, *, replicas: int = 1, persist: bool = False, entries: bool = False) -> Run:
    def go(name: str, plan: Plan, keep: Path | None) -> list[Report]:
        count = plan.entries if entries else 0
        return [run(name, inject, plan, replicas=replicas, persist=persist, entries=count, keep=keep)]

    return go


def _small_disk(name: str, plan: Plan, keep: Path | None) -> list[Report]:
    with disk.small_disk():
        return _plain(disk.disk_full, persist=True)(name, plan, keep)


def _killed_often(name: str, plan: Plan, keep: Path | None) -> list[Report]:
    return _plain(faults.kill_any)(name, replace(plan, kills=plan.kills if plan.kills > 1 else 50), keep)


LARGE: Final[dict[str, tuple[str, Inject]]] = {
    "add": ("two owners with a replica each are added", moves.add_two),
    "remove": ("two owners and their replicas are removed", moves.remove_two),
    "rebalance": ("slots are shared out anew to an owner that had hardly any", moves.rebalanced),
    "restart": ("rolling restart", faults.restart_rolling),
}


def _in_turn(name: str, plan: Plan, keep: Path | None) -> list[Report]:
    """What changes a grid of many entries, one after the other in the same grid."""
    found = []
    plan = replace(plan, before=2 * plan.before, after=2 * plan.before)  # there is more to compare, and it takes long
    with LoopbackGrid(name=GRID) as grid:
        stage = Stage(grid, plan, random.Random(f"{plan.seed} {name}"))
        fill(grid.url, plan.entries)
        for each, (_, inject) in LARGE.items():
            if each == "rebalance":
                moves.unbalance(stage)
            with kept_in(keep, each) as folder:
                found.append(observed(each, stage, inject, folder))
    return found


ROWS: Final[dict[str, Row]] = {
    "kill": Row("SIGKILL of an owner", _plain(faults.kill_owner)),
    "kill of many": Row("SIGKILL of an owner that has two replicas", _plain(faults.kill_owner, replicas=2)),
    "kill two": Row("SIGKILL of an owner and of a replica of another", _plain(faults.kill_owner_and_replica)),
    "kill all": Row("SIGKILL of all members, without `--persist`", _plain(faults.kill_all)),
    "kill all kept": Row("SIGKILL of all members, with `--persist`", _plain(faults.kill_all, persist=True)),
    "pause": Row("SIGSTOP of an owner for 10 s, and on again", _plain(faults.pause_owner)),
    "cancel": Row("slots that move: cancelled half-way, then moved", _plain(moves.move_cancelled, entries=True)),
    "disk full": Row("no room on the disk for 5 s, with `--persist`", _small_disk, disk.missing),
    "large": Row("a grid of many entries changes", _in_turn),
    "kills": Row("SIGKILL of any member, again and again", _killed_often),
    "cut alone": Row("an owner is cut off from all for 10 s", network.run_cut, namespaces.missing),
    "cut with clients": Row("an owner is cut off for 10 s with some programs", network.run_cut, namespaces.missing),
    "cut minority": Row(
        "an owner, a replica of another and some programs are cut off for 10 s", network.run_cut, namespaces.missing
    ),
    "slow network": Row("20 ms of delay and 1 % of loss for 10 s", network.run_cut, network.missing_netem),
}
TEXTS: Final[dict[str, str]] = {
    **{name: row.text for name, row in ROWS.items()},
    **{name: text for name, (text, _) in LARGE.items()},
    "cut with clients: inside": "the same, as those see it who are cut off",
    "cut minority: inside": "the same, as those see it who are cut off",
}
SHORT: Final = ("kill", "pause", "kill all kept")
