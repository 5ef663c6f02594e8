# Generated from src/cachegrid/_aio/loads.py by tools/colour.py. Edit that file, then run `make colour`.
"""Reading through: what is not there is loaded, once, and kept unless something newer came in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from cachegrid._core.address import Key, Space
from cachegrid._core.frame import version_of
from cachegrid._core.miss import MISS, UNSAID
from cachegrid._core.units import Span
from cachegrid._sio.cell import Ends
from cachegrid._sio.changes import SyncChanges
from cachegrid._sio.flights import SyncLanding, is_loading, is_spoiled
from cachegrid.errors import OutcomeUnknown

__all__ = ["SyncLoads"]

T = TypeVar("T")


class SyncLoads(SyncChanges):
    """Loads are shared by all callers in the grid."""

    def get_or_load(self, key: Key, loader: Callable[[], T], *, ttl: Span = UNSAID, idle: Span = UNSAID) -> T:
        """
        The value of an entry; where there is none, `loader()` is called and its result stored.

        However many callers in however many processes miss at once, one of them loads and the others wait for it, at
        most `wait` of the cache's policy (then LoadTimeout). If it fails its caller gets the error and another
        caller's loader is tried; if its process dies, another takes over when the lease has ended. What is set while
        the loader works stays.
        """
        ends = self._ends(ttl, idle)
        value = self._read(key)
        return value if value is not MISS else self._load(key, loader, ends)

    def _load(self, key: Key, loader: Callable[[], T], ends: Ends) -> T:
        """`get_or_load` for who has just missed."""
        space = self._settle()
        address = space.address(key)
        if is_loading(address):
            return loader()  # the loader asks for its own key: it must not wait for itself
        loaded: list[T] = []
        damaged: list[bytes] = []

        def look() -> bytes | None:
            frame = self._fetch(address)
            if frame is None or self._is_sound(address, frame):
                return frame
            damaged.append(frame)
            return None

        def load() -> bytes:
            loaded.append(self._count_load(loader))
            frame = self._freeze(address, key, loaded[0], ends)
            if not is_spoiled(address) and self._keep(address, frame, ends, over=bool(damaged)):
                self._counters.stores += 1
                self._drop_outdated(space, address, frame)
            return frame

        leases = None if "leases" in self._hub.lacking else self._engine
        frame = self._hub.flights.land(SyncLanding(address, look, load, leases, self._lease, self._wait))
        if loaded:
            return loaded[0]
        self._counters.load_waits += 1
        return self._thaw_quietly(address, frame)  # type: ignore[no-any-return] # what another loader stored

    def _keep(self, address: bytes, frame: bytes, ends: Ends, *, over: bool) -> bool:
        """
        Store what was loaded; whether it was stored.

        Only where nothing is, for what was set while the loader worked is newer; or `over` what cannot be read.
        """
        if over or "conditions" in self._hub.lacking:
            self._engine.store(address, frame, ends.engine)
            return True
        for _ in range(2):
            # Repeated when nobody knows whether it was done: if it was, then the second finds it there.
            with contextlib.suppress(OutcomeUnknown):
                return self._engine.store_if_absent(address, frame, ends.engine)
        return True

    def _drop_outdated(self, space: Space, address: bytes, frame: bytes) -> None:
        """Drop what was just stored, if it was dropped while it was being stored, or nobody looks there any more."""
        if is_spoiled(address):
            if "conditions" in self._hub.lacking:
                self._engine.drop(address)
            else:
                self._engine.drop_if_version(address, version_of(frame))
        elif space.doubt != self._engine.doubt and (self._settle()).prefix != space.prefix:
            self._engine.drop(address)
