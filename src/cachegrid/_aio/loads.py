"""Reading through: what is not there is loaded, once, and kept unless something newer came in between."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from cachegrid._aio.cell import Ends
from cachegrid._aio.changes import AsyncChanges
from cachegrid._aio.flights import UNLEASED, AsyncLanding, Landed, is_loading, is_spoiled
from cachegrid._aio.outage import OUTAGE
from cachegrid._core.address import Key, Space
from cachegrid._core.frame import version_of
from cachegrid._core.miss import MISS, UNSAID
from cachegrid._core.units import Span
from cachegrid.errors import (
    ConfigError,
    EngineError,
    EngineTimeout,
    FrameError,
    GridFull,
    NotDurable,
    OutcomeUnknown,
    Unreachable,
    WritesRefused,
)

__all__ = ["AsyncLoads"]

T = TypeVar("T")
# Why a value that was loaded is not kept, and given to its callers nevertheless: the grid's affair, and it passes.
_PASSING: Final = (EngineTimeout, GridFull, NotDurable, OutcomeUnknown, Unreachable, WritesRefused)


@dataclass(slots=True)
class _Load:
    """One caller's way to a value: from the grid, if it is there by now, or from the origin."""

    key: Key
    space: Space
    address: bytes
    ends: Ends
    loader: Callable[[], Awaitable[Any]]
    is_damaged: bool = False  # what is there
    has_begun: bool = False
    has_loaded: bool = False
    value: object = MISS  # decoded, or as the loader gave it


class AsyncLoads(AsyncChanges):
    """Loads are shared by all callers in the grid."""

    if TYPE_CHECKING:
        is_async: bool
        other_way: str

    async def get_or_load(
        self, key: Key, loader: Callable[[], Awaitable[T]], *, ttl: Span = UNSAID, idle: Span = UNSAID
    ) -> T:
        """
        The value of an entry; where there is none, `loader()` is called and its result stored.

        However many callers in however many processes miss at once, one of them loads and the others wait for it, at
        most `wait` of the cache's policy (then LoadTimeout). If it fails its caller gets the error and another
        caller's loader is tried; if its process dies, another takes over when the lease has ended. What is set while
        the loader works stays, and what is deleted meanwhile, by whichever process, is not stored. If the grid cannot
        store the result, who waited gets it all the same, and `store_failures` in `stats()` counts it. If it cannot
        even be asked, that is EngineTimeout or Unreachable; where the cache's policy says `on_outage="load"`, the
        loader runs, its result is kept nowhere, and `outage_loads` counts it.
        """
        ends = self._ends(ttl, idle)
        try:
            value = await self._read(key)
        except OUTAGE as trouble:
            return await self._load_past(key, loader, trouble)
        return value if value is not MISS else await self._load(key, loader, ends)

    async def _load(self, key: Key, loader: Callable[[], Awaitable[T]], ends: Ends) -> T:
        """`get_or_load` for who has just missed."""
        try:
            space = await self._settle()
        except OUTAGE as trouble:
            return await self._load_past(key, loader, trouble)
        address = space.address(key)
        if is_loading(address):
            return await self._call(loader)  # the loader asks for its own key: it must not wait for itself
        load = _Load(key, space, address, ends, loader)
        landing = AsyncLanding(
            address,
            partial(self._look, load),
            partial(self._ask_origin, load),
            partial(self._store_loaded, load),
            None if "leases" in self._hub.lacking else self._engine,
            self._lease,
            self._wait,
        )
        try:
            frame = await self._hub.flights.land(landing)
        except OUTAGE as trouble:
            if load.has_begun:  # it is the loader's own
                raise
            return await self._load_past(key, loader, trouble)
        if not load.has_loaded:
            self._counters.load_waits += 1
        if load.value is not MISS:
            return cast("T", load.value)
        return self._thaw_quietly(address, frame)  # type: ignore[no-any-return] # what another caller has in hand

    async def _load_past(self, key: Key, loader: Callable[[], Awaitable[T]], trouble: EngineError) -> T:
        """What the loader gives, where the policy lets loads go past a grid in trouble; else raises the trouble."""
        if self.policy.on_outage != "load":
            raise trouble
        self._outage.note(trouble)

        async def load() -> T:
            self._counters.outage_loads += 1
            return await self._count_load(partial(self._call, loader))

        return await self._outage.load(self._hub.flights, self._space.address(key), load, self._wait)

    async def _look(self, load: _Load) -> bytes | None:
        """Ask the grid. What cannot be read counts as nothing."""
        frame = await self._fetch(load.address, self._sure)  # whether to load is decided by it
        self._saw(load.address, frame)
        if frame is not None:
            try:
                load.value = self._thaw_quietly(load.address, frame)
            except FrameError:
                load.is_damaged = True
                return None
        return frame

    async def _ask_origin(self, load: _Load) -> bytes:
        """The frame of what the loader gives. Raises what the loader raises, and for what the codec refuses."""
        load.has_begun = True
        load.value = await self._count_load(partial(self._call, load.loader))
        load.has_loaded = True
        return self._freeze(load.address, load.key, load.value, load.ends)

    async def _call(self, loader: Callable[[], Awaitable[T]]) -> T:
        """What a loader gives. Raises ConfigError for a loader of the other colour."""
        made = loader()
        if inspect.isawaitable(made) is not self.is_async:
            if inspect.iscoroutine(made):
                made.close()  # else it is told, much later, that nobody awaited it
            want = "an async function" if self.is_async else "a sync function"
            want = f"{want}; for this one take the cache from {self.other_way}"
            raise ConfigError(f"the loader for {self.name!r}", loader, want)
        return await made

    async def _store_loaded(self, load: _Load, frame: bytes, token: bytes | None) -> Landed:
        """Keep what was loaded, under the lease of `token` if there is one."""
        if is_spoiled(load.address):
            return Landed(is_for_all=True, is_released=False)  # who comes after the drop waits for another flight
        if token == UNLEASED:
            self._counters.store_failures += 1
            return Landed(is_for_all=True, is_released=False)
        lands = token is not None and not load.is_damaged and "landings" not in self._hub.lacking
        try:
            if lands and token is not None:
                stored = await self._writer.land(load.address, token, frame, load.ends.engine)
            else:
                stored = await self._keep(load, frame)
            if self._stored(stored):
                await self._drop_outdated(load, frame, lands=lands)
        except _PASSING:
            self._counters.store_failures += 1
            return Landed(is_for_all=True, is_released=False)
        return Landed(is_for_all=stored, is_released=lands)

    async def _keep(self, load: _Load, frame: bytes) -> bool:
        """
        Store where the engine does not know what a load is; whether it was stored.

        Only where nothing is, for what was set while the loader worked is newer; or over what cannot be read.
        """
        address, ttl = load.address, load.ends.engine
        if load.is_damaged or "conditions" in self._hub.lacking:
            await self._writer.store(address, frame, ttl)
            return True
        try:
            return await self._writer.store_if_absent(address, frame, ttl)
        except OutcomeUnknown:
            # Repeated when nobody knows whether it was done: if it was, then the second finds it there.
            return await self._writer.store_if_absent(address, frame, ttl)

    async def _drop_outdated(self, load: _Load, frame: bytes, *, lands: bool) -> None:
        """Drop what was just stored, if it was dropped while it was being stored, or nobody looks there any more."""
        if not lands and is_spoiled(load.address):  # what lands, the drop has met at the owner
            if "conditions" in self._hub.lacking:
                await self._writer.drop(load.address)
            else:
                await self._writer.drop_if_version(load.address, version_of(frame))
        elif load.space.doubt != self._engine.doubt and (await self._settle()).prefix != load.space.prefix:
            await self._writer.drop(load.address)
