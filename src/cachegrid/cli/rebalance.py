"""`cachegrid rebalance`: every owner gets as many slots as the others, while programs go on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cachegrid.cli.exits import ending_cleanly, fail
from cachegrid.cli.options import Config, Json, Name, Url

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cachegrid.cli.operating import Operated
    from cachegrid.cluster.balance import Move
    from cachegrid.cluster.contacts import Contacts
    from cachegrid.cluster.launch import Progress

__all__ = ["DryRun", "Fast", "rebalance"]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the plan, and change nothing.")]
Fast = Annotated[bool, typer.Option("--fast", help="Large steps without rests: sooner done, and programs wait longer.")]


def rebalance(
    *,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    fast: Fast = False,
    as_json: Json = False,
) -> None:
    """
    Share out a grid's slots evenly.

    They move with their entries, from owners that have more than others to those that have fewer or none, while
    programs go on. It may be stopped, and run again.
    """
    from cachegrid.cli.operating import operated

    with ExitStack() as held:
        grid = operated(url, name, config)
        renew: Progress = _unheard
        contacts = grid.contacts
        if not dry_run:
            held.enter_context(ending_cleanly())
            contacts, renew = held.enter_context(grid.alone())
        plan = _planned(grid, contacts, changes=not dry_run)
        run = _Run(plan, renew, fast=fast, quiet=as_json)
        if plan.moves and not dry_run:
            run.through()
        elif not as_json:
            _show(plan)
    if as_json:
        print(
            json.dumps({"name": grid.name, "url": grid.url, "dry_run": dry_run, **plan.told(), **run.told()}, indent=2)
        )
    elif plan.moves and not dry_run:
        print(run.in_words)


def _unheard(what: str, done: int, total: int) -> None:
    """How far it is, where nobody is to be told."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What shall move, and about how many entries that is."""

    contacts: Contacts
    moves: Sequence[Move]
    entries: Sequence[int]
    half_moved: int  # slots that an earlier run left on their way, and that are not put right yet

    @property
    def slots(self) -> int:
        return sum(move.size for move in self.moves)

    def told(self) -> dict[str, Any]:
        """For programs."""
        rows = [
            {
                "from": str(self.contacts.of(move.source)),
                "to": str(self.contacts.of(move.target)),
                "slots": move.size,
                "ranges": [[span.start, span[-1]] for span in move.slots],
                "entries": entries,
            }
            for move, entries in zip(self.moves, self.entries, strict=True)
        ]
        return {"moves": rows, "slots": self.slots, "entries": sum(self.entries), "half_moved": self.half_moved}


class _Run:
    """A plan that is shown and carried out."""

    def __init__(self, plan: _Plan, renew: Progress, *, fast: bool, quiet: bool) -> None:
        self._plan, self._renew, self._fast, self._quiet = plan, renew, fast, quiet
        self._moved, self._begun_at, self._seconds = 0, time.monotonic(), 0.0

    def through(self) -> None:
        """Show it, and carry it out. Stopped by a signal, it says how far it came."""
        from cachegrid.cli.operating import bar
        from cachegrid.cluster.moving import carry_out, pace_of

        try:
            if not self._quiet:
                _show(self._plan)
            with bar("slots", quiet=self._quiet) as shown:

                def progress(what: str, done: int, total: int) -> None:
                    self._moved = done
                    self._renew(what, done, total)
                    if shown:
                        shown(what, done, total)

                carry_out(self._plan.contacts, self._plan.moves, progress=progress, pace=pace_of(fast=self._fast))
        except (KeyboardInterrupt, SystemExit):
            fail(
                f"stopped: {self._moved:,} of {self._plan.slots:,} slots have moved, and none is half-moved; "
                "run it again to go on"
            )
            raise
        finally:
            self._seconds = time.monotonic() - self._begun_at

    def told(self) -> dict[str, Any]:
        """For programs."""
        return {"moved": self._moved, "seconds": round(self._seconds, 3)}

    @property
    def in_words(self) -> str:
        """For people."""
        return f"{self._moved:,} slots moved in {self._seconds:.1f} s"


def _planned(grid: Operated, contacts: Contacts, *, changes: bool) -> _Plan:
    """The plan for a grid; what an earlier run left half-moved is put right first, if that may be."""
    from cachegrid.cluster.balance import moves
    from cachegrid.cluster.handover import half_moved
    from cachegrid.cluster.moving import entries_per_slot, settled

    _check_leavers(grid)
    contacts = settled(contacts) if changes else contacts
    _check_owners(contacts, _words_for(grid))
    plan = moves(contacts.owned, [owner.id for owner in contacts.owners if owner.is_up])
    share = {source: entries_per_slot(contacts, source) for source in {move.source for move in plan}}
    entries = [round(share[move.source] * move.size) for move in plan]
    return _Plan(contacts, plan, entries, 0 if changes else len({half.slot for half in half_moved(contacts)}))


def _check_leavers(grid: Operated) -> None:
    """Raise GridError while a member leaves: it would be given slots back."""
    from cachegrid.cluster.state import Phase, load
    from cachegrid.errors import GridError

    state = grid.state and load(grid.state.folder.parent, grid.state.name)  # as it is since others have been waited for
    leaving = [member.address for member in state.members if member.phase is Phase.LEAVING] if state else []
    if state and leaving:
        raise GridError(f"{leaving[0]} is leaving: end that first, with `cachegrid remove {leaving[0]}{state.option}`")


def _words_for(grid: Operated) -> str:
    """What says to a command which grid is meant."""
    return grid.state.option if grid.state else " --url ..."


def _check_owners(contacts: Contacts, which: str) -> None:
    from cachegrid.engines.valkey.slots import SLOTS
    from cachegrid.errors import GridError, Unreachable

    dead = [str(owner) for owner in contacts.owners if owner.slots and not owner.is_up]
    if dead:
        raise Unreachable(
            f"slots cannot be shared out while an owner does not answer: {', '.join(dead)}; start it again, or let a "
            f"replica take its place (cachegrid status{which} shows more)",
            where=dead[0],
        )
    if lost := SLOTS - sum(len(span) for owner in contacts.owners for span in owner.slots):
        gives = f"`cachegrid heal --assign{which}`" if "--url" not in which else "CLUSTER ADDSLOTS"
        raise GridError(f"{lost:,} slots have no owner: {gives} gives them to owners, rebalance then")


def _show(plan: _Plan) -> None:
    from cachegrid.cli import show

    out = show.console()
    if plan.half_moved:
        slots = show.counted(plan.half_moved, "slot")
        out.print(
            f"{slots} half-moved by an earlier run: that comes to its end first, when this is run without --dry-run"
        )
    if not plan.moves:
        out.print("nothing to do: the owners have as many slots as each other")
        return
    out.print(_table(plan))
    out.print(f"{show.counted(plan.slots, 'slot')} to move, with about {show.counted(sum(plan.entries), 'entry')}")


def _table(plan: _Plan) -> RenderableType:
    from rich import box
    from rich.table import Table

    from cachegrid.cluster.moving import span_text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("from", "to", "slots", "entries", "which"):
        table.add_column(column, justify="right" if column in {"slots", "entries"} else "left", overflow="fold")
    for move, entries in zip(plan.moves, plan.entries, strict=True):
        source, target = (str(plan.contacts.of(member)) for member in (move.source, move.target))
        table.add_row(source, target, f"{move.size:,}", f"{entries:,}", span_text(move.slots))
    return table
