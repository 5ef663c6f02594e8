# hand-written in both colours
"""What only one colour of cache has: a sync one is a mapping, as a dict is, over the grid."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from cachegrid._core.address import Key
from cachegrid._core.miss import MISS, UNSAID
from cachegrid.errors import EntryNotFound

__all__ = ["SyncFace", "SyncGridFace"]


class SyncFace:
    """
    The mapping face of a sync cache.

    `len()` and iteration walk the whole cache. A cache is always true, so that `if cache:` asks no member.
    """

    is_async = False
    other_way = "cachegrid.aconnect()"  # to a cache of the other colour

    if TYPE_CHECKING:
        name: str

        def _read(self, key: Key) -> Any: ...
        def _drop_damaged(self, key: Key) -> None: ...
        def set(self, key: Key, value: Any) -> None: ...
        def add(self, key: Key, value: Any) -> bool: ...
        def delete(self, key: Key) -> bool: ...
        def keys(self, match: str | None = None) -> Iterator[Key]: ...
        def items(self) -> Iterator[tuple[Key, Any]]: ...

    def __getitem__(self, key: Key) -> Any:
        value = self._read(key)
        if value is MISS:
            raise EntryNotFound(self.name, key)
        return value

    def __setitem__(self, key: Key, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self.delete(key):
            raise EntryNotFound(self.name, key)

    def __contains__(self, key: Key) -> bool:
        return self._read(key) is not MISS

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())

    def __bool__(self) -> bool:
        return True

    def values(self) -> Iterator[Any]:
        """Every entry's value; an entry that comes or goes meanwhile may be missing."""
        for _, value in self.items():
            yield value

    def pop(self, key: Key, default: Any = UNSAID) -> Any:
        """Drop an entry and return its value; without one `default`, or EntryNotFound. Not atomic."""
        value = self._read(key)
        if value is not MISS and self.delete(key):
            return value
        if default is UNSAID:
            raise EntryNotFound(self.name, key)
        return default

    def popitem(self) -> tuple[Key, Any]:
        """Drop some entry and return its key and value; EntryNotFound when the cache is empty."""
        for key, value in self.items():
            if self.delete(key):
                return key, value
        raise EntryNotFound(self.name, "any key")

    def setdefault(self, key: Key, default: Any = None) -> Any:
        """The entry's value, or `default` after storing it; of several callers at once one stores."""
        while True:
            value = self._read(key)
            if value is not MISS:
                return value
            if self.add(key, default):
                return default
            self._drop_damaged(key)  # else what cannot be read would be in the way for ever


class SyncGridFace:
    """What only a sync grid has: nothing."""


MutableMapping.register(SyncFace)
