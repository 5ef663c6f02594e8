"""Where back ends that are named in a configuration keep their entries: caches of grids that this process shares."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import cachegrid
from cachegrid import AsyncCache, CachePolicy, Key, Settings, SyncCache
from cachegrid.errors import ConfigError

if TYPE_CHECKING:
    from cachegrid import SyncGrid

__all__ = ["KNOWN", "Place", "close", "fitting", "of_colour"]

C = TypeVar("C", AsyncCache, SyncCache)

_CONNECTING: Final = frozenset(field.name for field in dataclasses.fields(Settings) if field.init) | {"config"}
_POLICY: Final = frozenset(field.name for field in dataclasses.fields(CachePolicy))
_OWN: Final = frozenset({"cache", "grid"})
KNOWN: Final = _CONNECTING | _POLICY | _OWN  # all that may be said of a place
_SHORT: Final = 256  # characters; nearly all keys are, and are looked at no further
_LONGEST: Final = 1024  # bytes that a key may take
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # alone it has no UTF-8 form, and so is in no key
_lock = threading.Lock()
_grids: dict[str, SyncGrid] = {}


class Place:
    """
    A named cache, as a configuration says it: `url`, `name` or what else `connect` takes, `cache`, and its policy.

    `grid` names one that is connected already. Else this process connects at the first use, once for all that say
    the same of it. `cache` is the name where none is said. Raises ConfigError for a name that nobody knows; where it is
    `lenient`, only for one that is nearly a known one.
    """

    def __init__(self, said: Mapping[str, Any], *, cache: str, lenient: bool = False) -> None:
        for name in said.keys() - KNOWN:
            error = ConfigError.unknown("unknown setting", name, KNOWN)
            if error.near or not lenient:
                raise error
        self._name = said.get("cache") or cache
        self._policy = {name: said[name] for name in _POLICY & said.keys()}
        self._connecting = {name: said[name] for name in _CONNECTING & said.keys() if said[name] is not None}
        self._way = repr(sorted(self._connecting.items()))
        self._given: SyncGrid | None = said.get("grid")
        if self._given is not None and self._connecting:
            others = ", ".join(map(repr, sorted(self._connecting)))
            raise ConfigError("grid", self._given, f"the only one of 'grid' and {others}")
        self._found: tuple[SyncGrid, SyncCache] | None = None

    def cache(self) -> SyncCache:
        """The cache. Raises what `connect` does."""
        grid = self.grid()
        found = self._found
        if found is None or found[0] is not grid:
            found = self._found = grid, grid.cache(self._name, **self._policy)
        return found[1]

    def grid(self) -> SyncGrid:
        """The grid of the cache. Raises what `connect` does, and tries again when it is called again."""
        return self._given or _grids.get(self._way) or self._connect()

    def _connect(self) -> SyncGrid:
        # Not under the lock: while a grid cannot be reached, who asks next shall not wait for who asked first.
        made = cachegrid.connect(**self._connecting)
        with _lock:
            kept = _grids.setdefault(self._way, made)
        if kept is not made:
            made.close()
        return kept


def close() -> None:
    """Close the grids that back ends of this process share; who uses one again connects anew."""
    with _lock:
        left = list(_grids.values())
        _grids.clear()
    for grid in left:
        grid.close()


def fitting(key: str) -> Key:
    """
    The key itself where a grid takes it, else a digest of it, which is no key that anybody else has.

    >>> fitting("user:1")
    'user:1'
    >>> fitting("/search?q=" + 2000 * "x")[0]
    'sha256'
    """
    if not isinstance(key, str):
        return key  # which may be a key; if not, the cache says what would be one
    if len(key) <= _SHORT and key.isascii():
        return key
    raw = key.encode("utf-8", "surrogatepass")
    if len(raw) <= _LONGEST and not _SURROGATE.search(key):
        return key
    return "sha256", hashlib.sha256(raw).digest()


def of_colour(cache: object, kind: type[C]) -> C:
    """The cache itself, if it is of the kind that is needed: sync or async. Raises ConfigError for anything else."""
    if isinstance(cache, kind):
        return cache
    way = "cachegrid.aconnect()" if kind is AsyncCache else "cachegrid.connect()"
    raise ConfigError("cache", cache, f'a cache of the grid that {way} gives, such as grid.cache("name")')
