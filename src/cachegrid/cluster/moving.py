"""Slots moved from member to member while everybody goes on using them; it may be cut short and run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cachegrid.cluster import handover, migration
from cachegrid.cluster.balance import Move, spans
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.state import GridState
from cachegrid.errors import EngineError, GridError

__all__ = ["Progress", "carry_out", "entries_per_slot", "owned", "settled", "span_text"]

Progress = Callable[[str, int, int], None]  # what is done, of how many slots, of how many

STEP_ENTRIES = 50_000  # at most about so many entries are copied before their slots change hands
STEP_SLOTS = 1024
AGREE = 5.0  # seconds for all to hear of it; one that takes longer has other trouble, and is sent on by the others
PAUSE = 0.02
SHOWN = 4  # ranges that a message names


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
    _wait_agreed(contacts, handover.settle(contacts.again()))
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
    for move in moves:
        left = _left(contacts, move)
        done += move.size - left.size
        tell("slots", done, total)
        with _named(contacts, left):
            way = migration.move if by_server and _can_at_once(contacts, left) else handover.move
            steps = list(_steps(left, entries_per_slot(contacts, left.source)))
        for step in steps:
            with _named(contacts, step):
                way(contacts, step)
            done += step.size
            tell("slots", done, total)
    _wait_agreed(contacts, moves)


def span_text(slots: Sequence[range]) -> str:
    """
    Slots for people: the first few ranges, ends included.

    >>> span_text([range(0, 10), range(12, 13)])
    '0-9, 12'
    """
    shown = [f"{span.start}-{span[-1]}" if len(span) > 1 else str(span.start) for span in slots[:SHOWN]]
    return ", ".join(shown) + (f" and {len(slots) - SHOWN} more ranges" if len(slots) > SHOWN else "")


def _can_at_once(grid: Contacts, move: Move) -> bool:
    return bool(move.slots) and all(migration.is_known(grid, member) for member in (move.source, move.target))


def _wait_agreed(grid: Contacts, moves: Sequence[Move]) -> None:
    """Wait until most members know who owns what now; those who were told last hear of it from the others."""
    wanted = [(slot, move.target) for move in moves for span in move.slots for slot in span]
    give_up = time.monotonic() + AGREE
    while time.monotonic() < give_up:
        owners = {slot: member for member, slots in grid.again().owned.items() for span in slots for slot in span}
        if all(owners.get(slot) == target for slot, target in wanted):
            return
        time.sleep(PAUSE)


@contextmanager
def _named(grid: Contacts, step: Move) -> Iterator[None]:
    """What goes wrong inside is told with the members and the slots, and with what to do."""
    source, target = (_name(grid, member) for member in (step.source, step.target))
    what = f"slots {span_text(step.slots)} did not move from {source} to {target}"
    advice = "what moved before stays where it is; see to these members, and run it again"
    try:
        yield
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


def _steps(move: Move, entries: float) -> Iterator[Move]:
    """The move in parts, between which it may be interrupted; `entries` is how many are in each slot."""
    size = max(1, min(STEP_SLOTS, int(STEP_ENTRIES / max(entries, 0.001))))
    slots = [slot for span in move.slots for slot in span]
    for start in range(0, len(slots), size):
        yield Move(move.source, move.target, tuple(spans(slots[start : start + size])))


def entries_per_slot(grid: Contacts, member: str) -> float:
    """How many entries an owner has in each of its slots, on average. Raises an EngineError."""
    with grid.open(member) as admin:
        keys = admin.run("DBSIZE")
    slots = sum(map(len, grid.members[member].slots))
    return keys / slots if isinstance(keys, int) and slots else 0.0


def _contacts(grid: Contacts | GridState) -> Contacts:
    return grid if isinstance(grid, Contacts) else Contacts.of_state(grid)


def _name(grid: Contacts, member: str) -> str:
    return str(grid.members[member]) if member in grid.members else member
