"""Django's cache on a grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from cachegrid.errors import NotANumber
from cachegrid.integrations.django.awaited import Awaited
from cachegrid.integrations.django.ground import GONE, REFUSALS, beyond, moved

__all__ = ["CacheGridCache"]


class CacheGridCache(Awaited):
    """
    A back end for CACHES, on a named cache of a grid: LOCATION is its URL, and OPTIONS say the rest.

    Timeouts are seconds, from now; None is without end. `tags` name entries for `invalidate`. An outage is no miss:
    what the cache raises is raised.
    """

    # One entry.

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()) -> bool:
        """Store a value if there is none; whether it was stored. Of several callers at once one stores."""
        key, ttl = self._said(key, timeout, version)
        with REFUSALS:
            return not self.native.has(key) if ttl == 0 else self.native.add(key, value, ttl=ttl, tags=tags)

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """The value of an entry, or `default` where there is none."""
        return self.native.get(self._key(key, version), default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()) -> None:
        """Store a value, whatever was there; one that shall not live is dropped. Raises NotStored."""
        key, ttl = self._said(key, timeout, version)
        with REFUSALS:
            if ttl == 0:
                self.native.delete(key)
            else:
                self.native.set(key, value, ttl=ttl, tags=tags)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        """Let an entry live for so long from now; whether there is one."""
        key, ttl = self._said(key, timeout, version)
        return self.native.delete(key) if ttl == 0 else self.native.touch(key, ttl)

    def delete(self, key: Any, version: Any = None) -> bool:
        """Drop an entry; whether there was one."""
        return self.native.delete(self._key(key, version))

    def has_key(self, key: Any, version: Any = None) -> bool:
        """Whether there is an entry."""
        return self.native.has(self._key(key, version))

    def get_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()
    ) -> Any:
        """The value of an entry; else `default`, or what it gives when called: once in the grid, for all who miss."""
        key, ttl = self._said(key, timeout, version)
        load = default if callable(default) else lambda: default
        if ttl == 0:
            value = self.native.get(key, GONE)
            return load() if value is GONE else value
        with REFUSALS:
            return self.native.get_or_load(key, load, ttl=ttl, tags=tags)

    def incr(self, key: Any, delta: int = 1, version: Any = None) -> int:
        """Add to an integer, atomically; its time goes on. Raises ValueError where no entry is, and NotANumber."""
        key = self._key(key, version)
        try:
            return self.native.incr(key, delta, start=beyond(delta))
        except NotANumber as error:
            if self.native.entry(key) is not None:  # not `has`, which may know it from a near copy
                raise
            raise ValueError(f"Key {key!r} not found") from error

    def incr_version(self, key: Any, delta: int = 1, version: Any = None) -> Any:
        """Move an entry to another version, and return that; its time goes on. ValueError where none is."""
        version = self.version if version is None else version
        old = self._key(key, version)
        self.native.set(self._key(key, version + delta), **moved(old, self.native.entry(old)))
        self.native.delete(old)
        return version + delta

    # Many entries.

    def get_many(self, keys: Iterable[Any], version: Any = None) -> dict[Any, Any]:
        """The values of those entries that are there; one trip to each member."""
        asked = self._asked(keys, version)
        return {asked[key]: value for key, value in self.native.get_many(asked).items()}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()
    ) -> list[Any]:
        """Store many values, with one trip to each member. What cannot be stored raises: none are left to return."""
        values, ttl = self._named(data, version), self.get_backend_timeout(timeout)
        with REFUSALS:
            if ttl == 0:
                self.native.delete_many(values)
            else:
                self.native.set_many(values, ttl=ttl, tags=tags)
        return []

    def delete_many(self, keys: Iterable[Any], version: Any = None) -> None:
        """Drop entries, with one trip to each member."""
        self.native.delete_many(self._asked(keys, version))

    def clear(self) -> None:
        """Drop all entries of the named cache, those of other prefixes and versions, too; at once, for everybody."""
        self.native.clear()

    def invalidate(self, tags: str | Iterable[str]) -> None:
        """Drop the entries of the named cache that have any of these tags; at once, for everybody."""
        self.native.invalidate(tags)
