"""Slots moved from member to member while everybody goes on using them; it may be cut short and run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cachegrid.cluster import handover, migration
from cachegrid.cluster.balance import Move, spans
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.state import GridState
from cachegrid.errors import EngineError, GridError

__all__ = ["Progress", "carry_out", "owned", "settled", "span_text"]

Progress = Callable[[str, int, int], None]  # what is done, of how many slots, of how many

STEP_ENTRIES = 50_000  # at most about so many entries are copied before their slots change hands
STEP_SLOTS = 1024


class Way(Protocol):
    """A way to move the slots of one step, which is through, or undone, when it returns or raises."""

    def __call__(self, grid: Contacts, step: Move) -> None:
        """Raises EngineError or GridError, with the reason alone."""


@dataclass(frozen=True, slots=True)
class _Ways:
    """The ways that members can go."""

    by_server: bool

    def of(self, grid: Contacts, move: Move) -> Way:
        """The way for a move: by the servers themselves where both know how, else key by key."""
        both = (move.source, move.target)
        return (
            migration.move
            if self.by_server and all(migration.is_known(grid, member) for member in both)
            else handover.move
        )


def owned(grid: Contacts | GridState) -> dict[str, list[range]]:
    """The slots of each owner, by its id, as most living members see it. Raises an EngineError if none answers."""
    return _contacts(grid).again().owned


def settled(grid: Contacts | GridState) -> Contacts:
    """
    The members as they are when what an earlier run has left half-moved is moved to its end, or taken back.

    Plans are to be made of what this returns. Raises an EngineError if nobody answers, and GridError where it cannot be
    put right.
    """
    contacts = _contacts(grid)
    migration.settle(contacts)
    handover.settle(contacts.again())
    return contacts.again()


def carry_out(
    grid: Contacts | GridState, moves: Sequence[Move], *, progress: Progress | None = None, by_server: bool = True
) -> None:
    """
    Move slots with their entries, in steps, while programs read and write them; return when all have moved.

    With `by_server` servers that can (Valkey 9) move each step at once by themselves; otherwise it is done key by key.
    Interrupted, as by Ctrl-C, or failed, it leaves nothing half-moved that `settled` does not put right: what has moved
    stays where it is, and the next plan goes on from there. Raises GridError, or the EngineError of a member that
    cannot be reached, which names the members, the slots, and what to do.
    """
    contacts = settled(grid)
    total, done = sum(move.size for move in moves), 0
    tell = progress or (lambda *_: None)
    ways = _Ways(by_server)
    for move in moves:
        left = _left(contacts, move)
        done += move.size - left.size
        tell("slots", done, total)
        way = ways.of(contacts, move) if left.slots else handover.move
        for step in _steps(left, _entries_per_slot(contacts, move)):
            _go(way, contacts, step)
            done += step.size
            tell("slots", done, total)


def span_text(slots: Sequence[range]) -> str:
    """
    Slots for people: the first few ranges, ends included.

    >>> span_text([range(0, 10), range(12, 13)])
    '0-9, 12'
    """
    shown = [f"{span.start}-{span[-1]}" if len(span) > 1 else str(span.start) for span in slots[:4]]
    return ", ".join(shown) + (f" and {len(slots) - 4} more ranges" if len(slots) > 4 else "")


def _go(way: Way, grid: Contacts, step: Move) -> None:
    source, target = (_name(grid, member) for member in (step.source, step.target))
    what = f"slots {span_text(step.slots)} did not move from {source} to {target}"
    advice = "what moved before stays where it is; see to these members, and run it again"
    try:
        way(grid, step)
    except EngineError as error:
        raise type(error)(f"{what}: {error}; {advice}", where=error.where) from error
    except GridError as error:
        raise GridError(f"{what}: {error}; {advice}") from error


def _left(grid: Contacts, move: Move) -> Move:
    """What of a move is still to be done. Raises GridError if its slots are neither where they were nor there."""
    for member in (move.source, move.target):
        if member not in grid.members or not grid.members[member].is_owner:
            raise GridError(f"member {_name(grid, member)} is no owner any more: make a new plan, by running it again")
    wanted = {slot for span in move.slots for slot in span}
    here = {slot for span in grid.members[move.source].slots for slot in span} & wanted
    there = {slot for span in grid.members[move.target].slots for slot in span} & wanted
    if here | there != wanted:
        lost = span_text(spans(wanted - here - there))
        raise GridError(f"slots {lost} are owned by others than planned: make a new plan, by running it again")
    return Move(move.source, move.target, tuple(spans(here)))


def _steps(move: Move, entries_per_slot: float) -> Iterator[Move]:
    """The move in parts, between which it may be interrupted."""
    size = max(1, min(STEP_SLOTS, int(STEP_ENTRIES / max(entries_per_slot, 0.001))))
    slots = [slot for span in move.slots for slot in span]
    for start in range(0, len(slots), size):
        yield Move(move.source, move.target, tuple(spans(slots[start : start + size])))


def _entries_per_slot(grid: Contacts, move: Move) -> float:
    with grid.open(move.source) as admin:
        keys = admin.run("DBSIZE")
    owned = sum(map(len, grid.members[move.source].slots))
    return keys / owned if isinstance(keys, int) and owned else 0.0


def _contacts(grid: Contacts | GridState) -> Contacts:
    return grid if isinstance(grid, Contacts) else Contacts.of_state(grid)


def _name(grid: Contacts, member: str) -> str:
    return str(grid.members[member]) if member in grid.members else member
