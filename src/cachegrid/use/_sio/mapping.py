# hand-written in both colours
"""What only one colour has: a sync cache with a source is a mapping, as a dict is."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from cachegrid._core.miss import MISS
from cachegrid.errors import EntryNotFound

if TYPE_CHECKING:
    from cachegrid._core.address import Key
    from cachegrid._sio.cache import SyncCache

__all__ = ["SyncThroughFace"]


class SyncThroughFace(MutableMapping[Any, Any]):
    """
    The mapping face: keys are looked up, set and deleted through the cache in the source.

    Iteration and `len` go through what is in the cache: what else the source has, only the source knows.
    """

    __eq__ = object.__eq__  # else entries would be compared, and nothing could be hashed
    __hash__ = object.__hash__

    if TYPE_CHECKING:
        cache: SyncCache

        def get(self, key: Key, default: Any = None) -> Any: ...
        def set(self, key: Key, value: Any) -> None: ...
        def set_many(self, values: Any) -> None: ...
        def delete(self, key: Key) -> None: ...
        def _read(self, key: Key) -> Any: ...

    def __getitem__(self, key: Key) -> Any:
        return self._read(key)

    def __setitem__(self, key: Key, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: Key) -> None:
        if key not in self:
            raise EntryNotFound(self.cache.name, key)
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        return self.get(key, MISS) is not MISS  # type: ignore[arg-type] # any key

    def __iter__(self) -> Iterator[Any]:
        return iter(self.cache.keys())

    def __len__(self) -> int:
        return len(self.cache)

    def __bool__(self) -> bool:
        return True

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Write many, with one call of the writer."""
        self.set_many(dict(values, **more))
