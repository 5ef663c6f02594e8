"""Where back ends keep their entries: a grid that all sync threads share, and one for each event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from django.core.cache import InvalidCacheBackendError
from django.utils.crypto import salted_hmac

import cachegrid
from cachegrid.errors import ConfigError
from cachegrid.integrations.places import KNOWN, Place

if TYPE_CHECKING:
    from cachegrid import AsyncCache, AsyncGrid

__all__ = ["LoopPlace", "aclose", "place_of"]

_SALT: Final = "cachegrid.integrations.django"
_ELSEWHERE: Final = {"ttl": "TIMEOUT", "url": "LOCATION", "grid": "LOCATION"}  # what Django has a name of its own for
_BESIDE: Final = ("KEY_FUNCTION", "KEY_PREFIX", "LOCATION", "TIMEOUT", "VERSION")  # Django's own settings of a cache
_lock = threading.Lock()
# By the way to connect. Django makes a back end for each thread and each request, and all share these.
_loops: dict[str, dict[asyncio.AbstractEventLoop, AsyncGrid]] = {}
_places: dict[str, LoopPlace] = {}


class LoopPlace(Place):
    """A named cache, as a configuration says it, for sync code and for that of event loops."""

    def __init__(self, said: Mapping[str, Any], *, cache: str) -> None:
        super().__init__(said, cache=cache)
        # To name the policy takes longer than to read a near copy: it is done once for each grid.
        self._known: WeakKeyDictionary[AsyncGrid, AsyncCache] = WeakKeyDictionary()

    def here(self) -> AsyncCache:
        """The cache for the event loop that runs; raises ConfigError for a policy that cannot be."""
        grid = self._grid_here()
        cache = self._known.get(grid)
        if cache is None:
            cache = self._known[grid] = grid.cache(self._name, **self._policy)
        return cache

    def _grid_here(self) -> AsyncGrid:
        loop = asyncio.get_running_loop()
        grids = _loops.setdefault(self._way, {})
        grid = grids.get(loop)
        if grid is None:
            with _lock:
                # Loops come and go, as under WSGI: the grid of one that has ended serves the next.
                grid = grids[loop] = _left_in(grids) or cachegrid.aconnect(**self._connecting)
        return grid


def place_of(location: object, options: Mapping[str, Any]) -> LoopPlace:
    """
    The place that LOCATION and OPTIONS name; the same for the same ones.

    Raises InvalidCacheBackendError where they say what Django says otherwise, and ConfigError for unknown options.
    """
    if not isinstance(location, str):
        raise InvalidCacheBackendError(
            f"LOCATION is {location!r}; it must be one URL, such as 'valkey://a:6379,b:6379'"
        )
    for name in options:
        _check(name)
    said = {"codec": "pickle", **options} | ({"url": location} if location else {})
    if said["codec"] == "pickle" and "secret" not in said:
        said["secret"] = salted_hmac(_SALT, "secret", algorithm="sha256").hexdigest()
    key = repr(sorted(said.items()))
    return _places.get(key) or _places.setdefault(key, LoopPlace(said, cache="django"))


def _check(name: str) -> None:
    """Refuse an option that Django has a place of its own for, or that nobody knows."""
    error = None if name in KNOWN else ConfigError.unknown("OPTIONS: unknown setting", name, KNOWN - _ELSEWHERE.keys())
    meant = name if error is None else ConfigError.unknown("", name, KNOWN).near
    theirs = name if name in _BESIDE else _ELSEWHERE.get(meant or "")
    if theirs:
        raise InvalidCacheBackendError(f"OPTIONS has {name!r}; with Django it is said as {theirs}, beside OPTIONS")
    if error is not None:
        raise error


async def aclose() -> None:
    """Close what back ends have open in this event loop, and in those that have ended; who uses one connects anew."""
    loop = asyncio.get_running_loop()
    left: list[AsyncGrid] = []
    with _lock:
        for grids in list(_loops.values()):
            left += [grids.pop(loop)] if loop in grids else []
            while grid := _left_in(grids):
                left.append(grid)
    for grid in left:
        await grid.aclose()


def _left_in(grids: dict[asyncio.AbstractEventLoop, AsyncGrid]) -> AsyncGrid | None:
    """A grid whose loop has ended, taken out."""
    return next((grids.pop(loop) for loop in list(grids) if loop.is_closed()), None)
