"""One host at a time arranges a grid that is on several: who may is noted in the grid itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.operation import Way
from cachegrid.cluster.state import GridState
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.errors import EngineError, GridError, ServerRefused

__all__ = ["alone", "without_owner"]

NOTE = b"cg!hosts"
NOBODY = b"unknown 0"
ENDS = 60.0  # seconds: a host that died with it is not waited for any longer
RENEW = 10.0  # seconds after which who is at work says so
LOOK = 0.2


@contextmanager
def alone(state: GridState, way: Way) -> Iterator[tuple[Contacts, Way]]:
    """
    The members of the grid, for no other host to arrange meanwhile, and the way to do it: its progress renews the note.

    On this host its own lock sees to that: what is noted of it here was left by a process that was killed. Raises
    GridError if another host is at it for too long, or if slots are without an owner that answers.
    """
    mine = f"{state.host} {secrets.token_hex(4)}".encode()
    end = time.monotonic() + max(way.timeout, ENDS)
    while (holder := _hold(state, mine)) != mine:
        if time.monotonic() > end:
            raise GridError(f"host {_host_in(holder)} is changing grid {state.name!r}: try again when it is through")
        time.sleep(LOOK)
    try:
        grid = Contacts.of_state(state)
        if said := without_owner(grid):
            raise GridError(said)
        yield grid, _renewing(state, way)
    finally:
        with suppress(EngineError, GridError):
            _release(Contacts.of_state(state), mine)


def without_owner(grid: Contacts) -> str:
    """Why nothing can be shared out now: an owner of slots that does not answer; empty if all do."""
    dead = next((owner for owner in grid.owners if owner.slots and not owner.is_up), None)
    return f"{dead} owns slots and does not answer: its host has to come back first" if dead else ""


def _renewing(state: GridState, way: Way) -> Way:
    renewed = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        nonlocal renewed
        if time.monotonic() > renewed + RENEW:
            renewed = time.monotonic()
            with suppress(EngineError, GridError):
                grid = Contacts.of_state(state)
                with grid.open(_keeper(grid)) as admin:
                    admin.run("PEXPIRE", NOTE, int(ENDS * 1000))
        way.progress(what, done, total)

    return replace(way, progress=progress)


def _hold(state: GridState, mine: bytes) -> bytes:
    """Whose note is there now: ours, if it was nobody's."""
    grid = Contacts.of_state(state)
    with suppress(ServerRefused), grid.open(_keeper(grid)) as admin:  # refused: it has just come to own the slot
        admin.run("SET", NOTE, mine, "NX", "PX", int(ENDS * 1000))
        found = admin.run("GET", NOTE)
        if isinstance(found, bytes) and found != mine and _host_in(found) == state.host:
            admin.run("SET", NOTE, mine, "PX", int(ENDS * 1000))
            return mine
        return found if isinstance(found, bytes) else NOBODY
    return NOBODY


def _release(grid: Contacts, mine: bytes) -> None:
    with grid.open(_keeper(grid)) as admin:
        if admin.run("GET", NOTE) == mine:
            admin.run("DEL", NOTE)


def _host_in(note: bytes) -> str:
    return note.split()[0].decode()


def _keeper(grid: Contacts) -> Contact:
    """The owner of the note's slot."""
    slot = slot_of(NOTE)
    owner = next((one for one in grid.owners if any(slot in span for span in one.slots)), None)
    if owner is None or not owner.is_up:
        raise GridError(without_owner(grid) or f"slot {slot} of the grid has no owner: `cachegrid heal` says more")
    return owner
