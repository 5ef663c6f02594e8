"""The grids of a Django process: one that all threads share, and one for each event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from django.core.cache import InvalidCacheBackendError
from django.utils.crypto import salted_hmac

import cachegrid

if TYPE_CHECKING:
    from cachegrid import AsyncCache, AsyncGrid, SyncCache, SyncGrid

__all__ = ["Place", "aclose", "close", "place_of"]

# What of OPTIONS says how to connect; the rest is the policy of the cache.
_CONNECTING: Final = frozenset({"name", "config", "namespace", "timeout", "secret", "ca", "cert", "key"})
_SALT: Final = "cachegrid.integrations.django"
_lock = threading.Lock()
_grids: dict[str, Grids] = {}
_places: dict[str, Place] = {}


class Grids:
    """
    The grids of one way to connect. Django makes a back end for each thread and each request, and all share these.

    An async grid serves one event loop, and when that has ended another one, as loops come and go under WSGI.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = said
        self._shared: SyncGrid | None = None
        self._loops: dict[asyncio.AbstractEventLoop, AsyncGrid] = {}

    def shared(self) -> SyncGrid:
        """The grid for sync code. Raises what `connect` does, and tries again at the next call."""
        if self._shared is None:
            # Not under the lock: while the grid cannot be reached, who asks next shall not wait for who asked first.
            made = cachegrid.connect(**self._said)
            with _lock:
                kept = self._shared = self._shared or made
            if kept is not made:
                made.close()
        return self._shared

    def here(self) -> AsyncGrid:
        """The grid for the event loop that runs."""
        loop = asyncio.get_running_loop()
        grid = self._loops.get(loop)
        if grid is None:
            with _lock:
                grid = self._loops[loop] = self._left() or cachegrid.aconnect(**self._said)
        return grid

    def _left(self) -> AsyncGrid | None:
        """A grid whose loop has ended."""
        return next((self._loops.pop(loop) for loop in list(self._loops) if loop.is_closed()), None)

    def close(self) -> None:
        """Close the shared one."""
        with _lock:
            shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()

    async def aclose(self) -> None:
        """Close that of this loop, and those whose loops have ended."""
        with _lock:
            mine = self._loops.pop(asyncio.get_running_loop(), None)
            left = [mine] if mine is not None else []
            while (grid := self._left()) is not None:
                left.append(grid)
        for grid in left:
            await grid.aclose()


class Place:
    """Where the entries of a back end are: a named cache, with its policy, in the grids of this process."""

    def __init__(self, grids: Grids, name: str, policy: Mapping[str, Any]) -> None:
        self._grids, self._name, self._policy = grids, name, policy
        # To name the policy takes longer than to read a near copy: it is done once for each grid.
        self._shared: WeakKeyDictionary[SyncGrid, SyncCache] = WeakKeyDictionary()
        self._here: WeakKeyDictionary[AsyncGrid, AsyncCache] = WeakKeyDictionary()

    def shared(self) -> SyncCache:
        """The cache for sync code. Raises what `connect` does, and ConfigError for a policy that cannot be."""
        grid = self._grids.shared()
        cache = self._shared.get(grid)
        if cache is None:
            cache = self._shared[grid] = grid.cache(self._name, **self._policy)
        return cache

    def here(self) -> AsyncCache:
        """The cache for the event loop that runs; raises ConfigError for a policy that cannot be."""
        grid = self._grids.here()
        cache = self._here.get(grid)
        if cache is None:
            cache = self._here[grid] = grid.cache(self._name, **self._policy)
        return cache


def place_of(location: object, options: Mapping[str, Any]) -> Place:
    """The place that LOCATION and OPTIONS name; the same for the same ones. Raises InvalidCacheBackendError."""
    if not isinstance(location, str):
        raise InvalidCacheBackendError(
            f"LOCATION is {location!r}; it must be one URL, such as 'valkey://a:6379,b:6379'"
        )
    if "ttl" in options:
        raise InvalidCacheBackendError("OPTIONS has 'ttl'; with Django it is said as TIMEOUT, beside OPTIONS")
    policy = {"codec": "pickle", **options}
    name = policy.pop("cache", "django")
    said = {"url": location or None} | {key: policy.pop(key) for key in _CONNECTING & policy.keys()}
    if policy["codec"] == "pickle" and "secret" not in said:
        said["secret"] = salted_hmac(_SALT, "secret", algorithm="sha256").hexdigest()
    with _lock:
        grids = _grids.setdefault(repr(sorted(said.items())), Grids(said))
        return _places.setdefault(
            repr((sorted(said.items()), name, sorted(policy.items()))), Place(grids, name, policy)
        )


def close() -> None:
    """Close what sync code of this process has open; it is opened anew when it is used again."""
    for grids in list(_grids.values()):
        grids.close()


async def aclose() -> None:
    """Close what async code has open in this event loop, and in those that have ended."""
    for grids in list(_grids.values()):
        await grids.aclose()
