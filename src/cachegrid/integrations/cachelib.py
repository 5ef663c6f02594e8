"""
cachelib on a grid, and what is built on cachelib: the sessions of Flask-Session, for example.

    cache = CacheGridCache(url="valkey://a:7001,b:7001", cache="shop", default_timeout=300)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

try:
    from cachelib import BaseCache
except ModuleNotFoundError as error:
    message = "cachegrid.integrations.cachelib needs cachelib: pip install 'cachegrid[cachelib]'"
    raise ModuleNotFoundError(message) from error

from cachegrid.errors import ConfigError
from cachegrid.integrations.places import Place, fitting

if TYPE_CHECKING:
    from cachegrid import SyncCache

__all__ = ["CacheGridCache"]


class CacheGridCache(BaseCache):
    """
    Keeps values in a named cache of a grid.

    `said` is `url`, `name` or what else `connect` takes (with none, the grid of this host), or `grid`, one that is
    connected; `cache`, the name of the cache ("cachelib"); and the settings of its policy. It connects at its first
    use.

    Timeouts are whole seconds or a timedelta; 0 is without end, and without one it is `default_timeout`. Values are
    kept by type; with `codec="pickle"` they may be any objects, and are signed. An outage is no miss: what the cache
    raises is raised.
    """

    def __init__(
        self, default_timeout: int | timedelta = 300, *, ignore_delete_many_errors: bool = True, **said: Any
    ) -> None:
        super().__init__(default_timeout, ignore_delete_many_errors=ignore_delete_many_errors)
        if "ttl" in said:
            raise ConfigError("ttl", said["ttl"], "said as default_timeout, which is what cachelib calls it")
        self._place = Place(said, cache="cachelib")

    def get(self, key: str) -> Any:
        """The value of an entry, or None where there is none."""
        return self._cache.get(fitting(key))

    def get_many(self, *keys: str) -> list[Any]:
        """The values of entries, or None, in the order of the keys; one trip to each member."""
        wanted = [fitting(key) for key in keys]
        found = self._cache.get_many(wanted)
        return [found.get(key) for key in wanted]

    def has(self, key: str) -> bool:
        """Whether there is an entry, also one whose value is None."""
        return self._cache.has(fitting(key))

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value, whatever was there; True."""
        self._cache.set(fitting(key), value, ttl=self._ttl(timeout))
        return True

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value if there is none; whether it was stored. Of several callers at once one stores."""
        return self._cache.add(fitting(key), value, ttl=self._ttl(timeout))

    def set_many(self, mapping: Mapping[str, Any], timeout: int | timedelta | None = None) -> list[Any]:
        """Store many values, with one trip to each member; their keys."""
        self._cache.set_many({fitting(key): value for key, value in mapping.items()}, ttl=self._ttl(timeout))
        return list(mapping)

    def delete(self, key: str) -> bool:
        """Drop an entry; whether there was one."""
        return self._cache.delete(fitting(key))

    def delete_many(self, *keys: str) -> list[Any]:
        """Drop entries, with one trip to each member; all keys, for none of them has an entry now."""
        self._cache.delete_many([fitting(key) for key in keys])
        return list(keys)

    def clear(self) -> bool:
        """Drop all entries of the named cache, at once, for everybody; True."""
        self._cache.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Add to an integer, atomically; its time goes on. Without an entry it begins at 0. Raises NotANumber."""
        return self._cache.incr(fitting(key), delta, ttl=self._ttl(None))

    def dec(self, key: str, delta: int = 1) -> int:
        """Take from an integer, as `inc` adds to it."""
        return self.inc(key, -delta)

    @property
    def _cache(self) -> SyncCache:
        return self._place.cache()

    def _ttl(self, timeout: int | timedelta | None) -> int | None:
        return self._normalize_timeout(timeout) or None
