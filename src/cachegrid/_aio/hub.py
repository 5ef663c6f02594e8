"""What the caches of one grid share: the engine, opened when it is first needed, and everything that works behind."""

from __future__ import annotations

import os
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, NamedTuple, NoReturn, Protocol, cast

from cachegrid._aio.ability import AsyncAbleEngine, able, lacking_in
from cachegrid._aio.bounds import AsyncBounds
from cachegrid._aio.events import AsyncEvents
from cachegrid._aio.fleets import AsyncFleets
from cachegrid._aio.keeper import AsyncKeeper
from cachegrid._aio.reloads import AsyncReloads
from cachegrid._aio.tagbook import AsyncTagBook
from cachegrid._aio.tagsweep import AsyncTagSweep
from cachegrid._core.origins import Origin
from cachegrid._core.units import seconds_of
from cachegrid.config import Settings
from cachegrid.engines._aio.protocol import AsyncEngine
from cachegrid.errors import EngineError, ValueRefused
from cachegrid.waits._aio import AsyncLock, AsyncTasks

__all__ = ["CLOSED", "UNOPENED", "AsyncAttached", "AsyncBoundToEngine", "AsyncHub", "AsyncOpened"]

_hubs: weakref.WeakSet[AsyncHub] = weakref.WeakSet()  # for what has to be done in a forked child


class AsyncOpened(NamedTuple):
    """An engine that answers, with what was learned while opening it."""

    engine: AsyncEngine
    name: str  # of the grid, for people
    url: str  # without a password
    secret: bytes | None  # signs pickled values

    def __repr__(self) -> str:
        """Without the secret."""
        return f"{type(self).__name__}(engine={self.engine!r}, name={self.name!r}, url={self.url!r})"


class _Unopened:
    """Stands for the engine until it is opened; its doubt equals no space's, so that nothing is asked of it."""

    doubt = -1


UNOPENED: Final = cast("AsyncAbleEngine", _Unopened())


class _Closed:
    """Stands for the engine after `aclose`; its doubt equals no space's either, and what was under way is told."""

    doubt = -2

    def __getattr__(self, name: str) -> NoReturn:
        raise _closed()


CLOSED: Final = cast("AsyncAbleEngine", _Closed())


class AsyncBoundToEngine(Protocol):
    """What uses the engine directly, and has to be told when it is closed."""

    def give_up(self, engine: AsyncAbleEngine) -> None:
        """Use this one from now on, which stands for none."""


class AsyncAttached(Protocol):
    """What has something left to do before the engine is closed."""

    async def aclose(self) -> None:
        """Do it."""

    def forget(self) -> None:
        """In a forked child: it is the parent's to do."""


class AsyncHub:
    """Opens the engine once, whoever asks first, and closes it with all background work."""

    def __init__(self, opener: Callable[[], Awaitable[AsyncOpened]], settings: Settings) -> None:
        self.settings = settings
        self.engine = UNOPENED
        self.opened: AsyncOpened | None = None
        self.lacking: frozenset[str] = frozenset()  # abilities that the engine does not have
        self.tasks = AsyncTasks(is_to_be_done=True)
        self.keeper = AsyncKeeper()
        self.flights = AsyncFleets(self.keeper)
        self.tags = AsyncTagBook()
        self.reloads = AsyncReloads()
        self.events = AsyncEvents()
        self.tag_sweep = AsyncTagSweep(self.tags)
        self.bounds = AsyncBounds()
        self.origins: dict[str, Origin] = {}  # of the functions that are kept, by their caches and labels
        self.on_use: Callable[[], None] | None = None  # called now and then while caches are used, soon after a fork
        self._opener = opener
        self._opening = AsyncLock()
        # Not a WeakSet, which may not grow while another thread goes through it.
        self._attached: list[AsyncAttached] = []
        self._cells: dict[int, weakref.ref[AsyncBoundToEngine]] = {}
        _hubs.add(self)

    def __reduce__(self) -> NoReturn:
        """Grids, caches and locks are pickled with their hub, and so not at all."""
        raise ValueRefused(
            "a grid, its caches and its locks cannot be pickled, since they hold connections; "
            "connect in the other process, and open them there by their names",
            kind=type(self),
        )

    def enter(self, cell: AsyncBoundToEngine) -> None:
        """Tell a cell when the grid is closed."""
        number, cells = id(cell), self._cells
        cells[number] = weakref.ref(cell, lambda _: cells.pop(number, None))

    def attach(self, work: AsyncAttached) -> None:
        """Let something be done before the engine is closed."""
        self._attached.append(work)

    async def open(self) -> AsyncAbleEngine:
        """The engine; the first caller opens it. Raises EngineError, GridError or ConfigError when that fails."""
        if self.opened is None:
            async with self._opening:
                if self.opened is None:
                    if self.engine is CLOSED:
                        raise _closed()
                    opened = await self._opener()
                    if self.engine is CLOSED:  # meanwhile
                        await opened.engine.aclose()
                        raise _closed()
                    self.lacking = lacking_in(opened.engine)
                    self.engine = able(opened.engine, self.lacking)
                    self.opened = opened
        return self.engine

    async def aclose(self) -> None:
        """Let be done what is attached, then close; what that raised is raised at the end. May be called twice."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            for work in self._attached:
                stack.push_async_callback(work.aclose)

    async def _close(self) -> None:
        """Give background work the time of one call to get done, end it, then close the engine. May be called twice."""
        opened, self.opened = self.opened, None
        self.engine = CLOSED
        for reference in list(self._cells.values()):
            cell = reference()
            if cell is not None:
                cell.give_up(CLOSED)
        try:
            await self.tasks.settle(seconds_of("timeout", self.settings.timeout))
        finally:
            await self.reloads.aclose()
            await self.tag_sweep.aclose()
            await self.bounds.aclose()
            await self.tasks.aclose()
            await self.keeper.aclose()
            await self.events.aclose(seconds_of("timeout", self.settings.timeout))
            if opened is not None:
                await opened.engine.aclose()

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
        self._opening = AsyncLock()
        if self.opened is not None and hasattr(self.opened.engine, "forget"):
            self.opened.engine.forget()


def _closed() -> EngineError:
    return EngineError("the grid was closed here; connect again")


def _forget_all() -> None:
    for hub in list(_hubs):
        hub.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_all)
