# Generated from src/cachegrid/_aio/hub.py by tools/colour.py. Edit that file, then run `make colour`.
"""What the caches of one grid share: the engine, opened when it is first needed, and everything that works behind."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, NamedTuple, NoReturn, Protocol, cast

from cachegrid._core.origins import Origin
from cachegrid._core.units import seconds_of
from cachegrid._sio.ability import SyncAbleEngine, able, lacking_in
from cachegrid._sio.bounds import SyncBounds
from cachegrid._sio.events import SyncEvents
from cachegrid._sio.fleets import SyncFleets
from cachegrid._sio.keeper import SyncKeeper
from cachegrid._sio.reloads import SyncReloads
from cachegrid._sio.tagbook import SyncTagBook
from cachegrid._sio.tagsweep import SyncTagSweep
from cachegrid.config import Settings
from cachegrid.engines._sio.protocol import SyncEngine
from cachegrid.errors import EngineError, ValueRefused
from cachegrid.waits._sio import SyncLock, SyncTasks

__all__ = ["CLOSED", "UNOPENED", "SyncAttached", "SyncBoundToEngine", "SyncHub", "SyncOpened"]

_hubs: weakref.WeakSet[SyncHub] = weakref.WeakSet()  # for what has to be done in a forked child


class SyncOpened(NamedTuple):
    """An engine that answers, with what was learned while opening it."""

    engine: SyncEngine
    name: str  # of the grid, for people
    url: str  # without a password
    secret: bytes | None  # signs pickled values

    def __repr__(self) -> str:
        """Without the secret."""
        return f"{type(self).__name__}(engine={self.engine!r}, name={self.name!r}, url={self.url!r})"


class _Unopened:
    """Stands for the engine until it is opened; its doubt equals no space's, so that nothing is asked of it."""

    doubt = -1


UNOPENED: Final = cast("SyncAbleEngine", _Unopened())


class _Closed:
    """Stands for the engine after `close`; its doubt equals no space's either, and what was under way is told."""

    doubt = -2

    def __getattr__(self, name: str) -> NoReturn:
        raise _closed()


CLOSED: Final = cast("SyncAbleEngine", _Closed())


class SyncBoundToEngine(Protocol):
    """What uses the engine directly, and has to be told when it is closed."""

    def give_up(self, engine: SyncAbleEngine) -> None:
        """Use this one from now on, which stands for none."""


class SyncAttached(Protocol):
    """What has something left to do before the engine is closed."""

    def close(self) -> None:
        """Do it."""

    def forget(self) -> None:
        """In a forked child: it is the parent's to do."""


class SyncHub:
    """Opens the engine once, whoever asks first, and closes it with all background work."""

    def __init__(self, opener: Callable[[], SyncOpened], settings: Settings) -> None:
        self.settings = settings
        self.engine = UNOPENED
        self.opened: SyncOpened | None = None
        self.lacking: frozenset[str] = frozenset()  # abilities that the engine does not have
        self.tasks = SyncTasks(is_to_be_done=True)
        self.keeper = SyncKeeper()
        self.flights = SyncFleets(self.keeper)
        self.tags = SyncTagBook()
        self.reloads = SyncReloads()
        self.events = SyncEvents()
        self.tag_sweep = SyncTagSweep(self.tags)
        self.bounds = SyncBounds()
        self.origins: dict[str, Origin] = {}  # of the functions that are kept, by their caches and labels
        self.on_use: Callable[[], None] | None = None  # called now and then while caches are used, soon after a fork
        self._opener = opener
        self._opening = SyncLock()
        # Not a WeakSet, which may not grow while another thread goes through it.
        self._attached: list[SyncAttached] = []
        self._cells: dict[int, weakref.ref[SyncBoundToEngine]] = {}
        _hubs.add(self)

    def __reduce__(self) -> NoReturn:
        """Grids, caches and locks are pickled with their hub, and so not at all."""
        raise ValueRefused(
            "a grid, its caches and its locks cannot be pickled, since they hold connections; "
            "connect in the other process, and open them there by their names",
            kind=type(self),
        )

    def enter(self, cell: SyncBoundToEngine) -> None:
        """Tell a cell when the grid is closed."""
        number, cells = id(cell), self._cells
        cells[number] = weakref.ref(cell, lambda _: cells.pop(number, None))

    def attach(self, work: SyncAttached) -> None:
        """Let something be done before the engine is closed."""
        self._attached.append(work)

    def open(self) -> SyncAbleEngine:
        """The engine; the first caller opens it. Raises EngineError, GridError or ConfigError when that fails."""
        if self.opened is None:
            with self._opening:
                if self.opened is None:
                    if self.engine is CLOSED:
                        raise _closed()
                    opened = self._opener()
                    if self.engine is CLOSED:  # meanwhile
                        opened.engine.close()
                        raise _closed()
                    self.lacking = lacking_in(opened.engine)
                    self.engine = able(opened.engine, self.lacking)
                    self.opened = opened
        return self.engine

    def close(self) -> None:
        """Let be done what is attached, then close; what that raised is raised at the end. May be called twice."""
        with ExitStack() as stack:
            stack.callback(self._close)
            for work in self._attached:
                stack.callback(work.close)

    def _close(self) -> None:
        """Give background work the time of one call to get done, end it, then close the engine. May be called twice."""
        opened, self.opened = self.opened, None
        self.engine = CLOSED
        for reference in list(self._cells.values()):
            cell = reference()
            if cell is not None:
                cell.give_up(CLOSED)
        try:
            self.tasks.settle(seconds_of("timeout", self.settings.timeout))
        finally:
            self.reloads.close()
            self.tag_sweep.close()
            self.bounds.close()
            self.tasks.close()
            self.keeper.close()
            self.events.close(seconds_of("timeout", self.settings.timeout))
            if opened is not None:
                opened.engine.close()

    def forget(self) -> None:
        """In a forked child: what was under way is the parent's; connections are made anew."""
        for work in self._attached:
            work.forget()
        self.tasks.forget()
        self.keeper.forget()
        self.flights.forget()
        self.reloads.forget()
        self.events.forget()
        self.tag_sweep.forget()
        self.bounds.forget()
        self._opening = SyncLock()
        if self.opened is not None and hasattr(self.opened.engine, "forget"):
            self.opened.engine.forget()


def _closed() -> EngineError:
    return EngineError("the grid was closed here; connect again")


def _forget_all() -> None:
    for hub in list(_hubs):
        hub.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_all)
