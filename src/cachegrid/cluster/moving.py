"""Slots moved from member to member while everybody goes on using them; it may be cut short and run again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cachegrid.cluster import handover, migration
from cachegrid.cluster.balance import Move, spans
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.state import GridState
from cachegrid.errors import EngineError, GridError

__all__ = [
    "FAST",
    "GENTLE",
    "Pace",
    "Progress",
    "carry_out",
    "entries_per_slot",
    "owned",
    "pace_of",
    "settled",
    "span_text",
]

Progress = Callable[[str, int, int], None]  # what is done, of how many slots, of how many

STEP_SLOTS = 1024  # that change hands together at most, however few entries they have
AGREE = 5.0  # seconds for all to hear of it; one that takes longer has other trouble, and is sent on by the others
PAUSE = 0.02
SHOWN = 4  # ranges that a message names
MOST = 50_000  # entries of one step, however large the owner is: it drops them all before it answers again
FORKS = 3  # of the last steps, of which the shortest counts: others may have waited for a processor
LONGEST_REST = 30.0  # seconds, after a step that took long because something else was the matter
DROPPED = 250_000  # entries in a second, by an owner that has just forked: the first write to each page costs more then


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """
    How much moving slots may disturb those who use them.

    For each step its owner forks, which takes longer the more it holds, and in the end drops what has moved; it answers
    nobody meanwhile. While entries are copied calls to either member take longer, and where processors are few, to all.
    Smaller steps make each of these waits shorter, and more of them. It is the rest after each step that leaves 99 of
    100 calls nearly as they are.
    """

    entries: int  # of one step, about; more where an owner takes longer to fork than to drop so many
    rest: float  # after a step of so many entries, by how many times as long as it took; shorter after a smaller one

    def step(self, fork: float) -> int:
        """
        How many entries the next step of an owner should have that needs so many seconds to fork.

        Of a large owner each step has as many as it drops in the time of a fork: with fewer it would be forking, and
        answer nobody, for most of the time that the whole takes.

        >>> GENTLE.step(0.004), GENTLE.step(0.04), GENTLE.step(4.0)
        (4000, 10000, 50000)
        """
        return max(self.entries, min(MOST, int(fork * DROPPED)))

    def after(self, seconds: float, entries: float) -> float:
        """
        The seconds to rest after a step.

        >>> round(GENTLE.after(0.1, entries=4_000), 3), GENTLE.after(0.1, entries=0), GENTLE.after(60.0, entries=4_000)
        (1.5, 0.0, 30.0)
        """
        return min(LONGEST_REST, seconds * self.rest * min(1.0, entries / self.entries))


GENTLE = Pace(entries=4_000, rest=15.0)
FAST = Pace(entries=MOST, rest=0.0)


def pace_of(*, fast: bool) -> Pace:
    """How slots move for a person who asks for it to be fast, or does not."""
    return FAST if fast else GENTLE


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
    grid: Contacts | GridState,
    moves: Sequence[Move],
    *,
    progress: Progress | None = None,
    pace: Pace = GENTLE,
    by_server: bool = True,
) -> None:
    """
    Move slots with their entries, in steps, while programs read and write them; return when all have moved.

    With `by_server` servers that can (Valkey 9) move each step at once by themselves; otherwise it is done key by key,
    which takes its time anyway and has no rests.
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
            at_once = by_server and _can_at_once(contacts, left)
            entries = entries_per_slot(contacts, left.source)
        forks = deque[float](maxlen=FORKS) if at_once else None
        for step in _steps(left, partial(_slots, contacts, left, entries, pace, forks)):
            begun = time.monotonic()
            with _named(contacts, step):
                (migration if at_once else handover).move(contacts, step)
            done += step.size
            tell("slots", done, total)
            if at_once and done < total:
                time.sleep(pace.after(time.monotonic() - begun, entries * step.size))
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


def _steps(move: Move, size: Callable[[], int]) -> Iterator[Move]:
    """The move in parts, between which it may be interrupted; `size` is asked before each how many slots it has."""
    left = [slot for span in move.slots for slot in span]
    while left:
        several = max(1, min(STEP_SLOTS, size()))
        yield Move(move.source, move.target, tuple(spans(left[:several])))
        del left[:several]


def _slots(grid: Contacts, move: Move, entries: float, pace: Pace, forks: deque[float] | None) -> int:
    """How many slots of so many entries each the next step should have; `forks` are those of the last ones, if any."""
    if forks is None:
        return int(pace.step(0.0) / max(entries, 0.001))
    with _named(grid, move):
        forks.append(_last_fork(grid, move.source))
    return int(pace.step(min(forks)) / max(entries, 0.001))


def _last_fork(grid: Contacts, member: str) -> float:
    """The seconds that a member needed to fork the last time; 0 where it never did, or does not tell."""
    with grid.open(member) as admin:
        return int(admin.facts("stats").get("latest_fork_usec", 0)) / 1e6


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
