"""One host at a time arranges a grid that is on several: who may is noted in the grid itself."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final, Self

from cachegrid.cluster.admin import NotOwner
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.operation import Way
from cachegrid.cluster.state import GridState
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.errors import EngineError, GridError

__all__ = ["alone", "without_owner"]

NOTE = b"cg!hosts"
NOBODY = b"unknown 0"
ENDS = 60.0  # seconds: a host that died with it is not waited for any longer
RENEW = 10.0  # seconds after which who is at work says so
LOOK = 0.2

# The note is `<when it ends, in ms> <host> <word>`, by its owner's clock. It has no end in the owner's books, and more
# memory is not asked for: members that are full evict what has one, and refuse what asks. ARGV: who, whose note may be
# taken as if it had ended, and for how many ms. Answers whose it is then.
HOLD: Final = """#!lua flags=allow-oom
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local note = redis.pcall('GET', KEYS[1])
if type(note) == 'string' then
  local ends, who = string.match(note, '^(%d+) (.*)$')
  if ends and tonumber(ends) > now and string.sub(who, 1, #ARGV[2]) ~= ARGV[2] then return who end
end
redis.call('SET', KEYS[1], string.format('%.0f ', now + ARGV[3]) .. ARGV[1])
return ARGV[1]
"""
RELEASE: Final = """#!lua flags=allow-oom
local note = redis.pcall('GET', KEYS[1])
if type(note) == 'string' and string.match(note, '^%d+ (.*)$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


@contextmanager
def alone(state: GridState, way: Way) -> Iterator[tuple[Contacts, Way]]:
    """
    The members of the grid, for no other host to arrange meanwhile, and the way to do it, whose progress sees to that.

    On this host its own lock sees to that: what is noted of it here was left by a process that was killed. Raises
    GridError if another host is at it for too long, or if slots are without an owner that answers; progress does if
    another host has begun because this one could not say for a minute that it is at work.
    """
    mine = f"{state.host} {secrets.token_hex(4)}".encode()
    end = time.monotonic() + max(way.timeout, ENDS)
    while (holder := _hold(state, mine, instead_of=f"{state.host} ".encode())) != mine:
        if time.monotonic() > end:
            raise GridError(_busy(state, holder))
        time.sleep(LOOK)
    try:
        grid = Contacts.of_state(state)
        if said := without_owner(grid):
            raise GridError(said)
        with _Renewal(state, mine) as renewal:
            yield grid, renewal.watched(way)
    finally:
        with suppress(EngineError, GridError):
            grid = Contacts.of_state(state)
            with grid.open(_keeper(state, grid)) as admin:
                admin.run("EVAL", RELEASE, 1, NOTE, mine)


def without_owner(grid: Contacts) -> str:
    """Why nothing can be shared out now: an owner of slots that does not answer; empty if all do."""
    dead = next((owner for owner in grid.owners if owner.slots and not owner.is_up), None)
    return f"{dead} owns slots and does not answer: its host has to come back first" if dead else ""


@dataclass(slots=True)
class _Renewal:
    """The note is renewed for as long as this is open, however long a step takes that tells of no progress."""

    _state: GridState
    _mine: bytes
    _lost_to: bytes = b""
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="cachegrid-note", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def watched(self, way: Way) -> Way:
        """That way, but its progress raises GridError once the note is another host's."""

        def progress(what: str, done: int, total: int) -> None:
            if self._lost_to:
                raise GridError(_busy(self._state, self._lost_to))
            way.progress(what, done, total)

        return replace(way, progress=progress)

    def _run(self) -> None:
        while not self._lost_to and not self._ended.wait(RENEW):
            with suppress(EngineError, GridError):
                holder = _hold(self._state, self._mine, instead_of=self._mine)
                self._lost_to = b"" if holder in {self._mine, NOBODY} else holder


def _hold(state: GridState, mine: bytes, *, instead_of: bytes) -> bytes:
    """Whose note is there now: ours, if it was nobody's, or of who begins so."""
    grid = Contacts.of_state(state)
    with suppress(NotOwner), grid.open(_keeper(state, grid)) as admin:  # its slot moves, or has just been taken over
        holder = admin.run("EVAL", HOLD, 1, NOTE, mine, instead_of, int(ENDS * 1000))
        return holder if isinstance(holder, bytes) else NOBODY
    return NOBODY


def _busy(state: GridState, holder: bytes) -> str:
    host = holder.split()[0].decode()
    return f"host {host} is changing grid {state.name!r}: try again when it is through"


def _keeper(state: GridState, grid: Contacts) -> Contact:
    """The owner of the note's slot."""
    slot = slot_of(NOTE)
    owner = next((one for one in grid.owners if any(slot in span for span in one.slots)), None)
    if owner is None or not owner.is_up:
        gives = f"`cachegrid heal --assign{state.option}` gives it one"
        raise GridError(without_owner(grid) or f"slot {slot} of the grid has no owner: {gives}")
    return owner
