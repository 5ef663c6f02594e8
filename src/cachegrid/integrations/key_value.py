"""
py-key-value on a grid: a store of collections, for FastMCP and others.

    store = CacheGridStore(grid.cache("answers"))
    await store.put("a-1", {"text": "yes"}, collection="faq", ttl=60)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

try:
    from key_value.aio.errors import ValueTooLargeError
    from key_value.aio.stores.base import (
        BaseDestroyCollectionStore,
        BaseDestroyStore,
        BaseEnumerateKeysStore,
        ManagedEntry,
    )
except ModuleNotFoundError as error:
    message = "cachegrid.integrations.key_value needs py-key-value-aio: pip install 'cachegrid[key-value]'"
    raise ModuleNotFoundError(message) from error

from cachegrid import AsyncCache
from cachegrid.errors import ValueTooLarge
from cachegrid.integrations.places import of_colour

__all__ = ["CacheGridStore"]

_LONGEST: Final = 480  # bytes of a name: two of them are a key, which may take 1,024
_LONGEST_TAG: Final = 250
_PAGE: Final = 1000  # entries that are read at once, to list their keys


class CacheGridStore(BaseDestroyCollectionStore, BaseDestroyStore, BaseEnumerateKeysStore):
    """
    Keeps collections in a named cache of a grid. The cache is for this store alone: `destroy` drops all that is in it.

    Values are what JSON knows, as in every such store. A collection is destroyed at the cost of one entry; to list its
    keys walks the whole cache, and is for operators. What the grid itself has to report is raised as it is. The
    cache, and its grid, stay open.
    """

    def __init__(self, cache: AsyncCache, *, default_collection: str | None = None) -> None:
        super().__init__(default_collection=default_collection, stable_api=True)
        self._cache = of_colour(cache, AsyncCache)

    async def _get_managed_entry(self, *, collection: str, key: str) -> ManagedEntry | None:
        return self._loaded(await self._cache.get(_where(collection, key)))

    async def _get_managed_entries(self, *, collection: str, keys: Sequence[str]) -> list[ManagedEntry | None]:
        found = await self._cache.get_many([_where(collection, key) for key in keys])
        return [self._loaded(found.get(_where(collection, key))) for key in keys]

    async def _put_managed_entry(self, *, collection: str, key: str, managed_entry: ManagedEntry) -> None:
        await self._put(collection, {key: managed_entry}, managed_entry.ttl)

    async def _put_managed_entries(
        self,
        *,
        collection: str,
        keys: Sequence[str],
        managed_entries: Sequence[ManagedEntry],
        ttl: float | None,
        created_at: datetime,
        expires_at: datetime | None,
    ) -> None:
        await self._put(collection, dict(zip(keys, managed_entries, strict=True)), ttl)

    async def _put(self, collection: str, entries: dict[str, ManagedEntry], ttl: float | None) -> None:
        dump = self._serialization_adapter.dump_json
        values = {_where(collection, key): dump(it, key=key, collection=collection) for key, it in entries.items()}
        ttl = None if ttl is None else max(ttl, 0.001)  # what has ended by now ends at once
        try:
            await self._cache.set_many(values, ttl=ttl, tags=_tag(collection))
        except ValueTooLarge as error:
            raise ValueTooLargeError(error.size, error.limit, collection) from error

    async def _delete_managed_entry(self, *, key: str, collection: str) -> bool:
        return await self._cache.delete(_where(collection, key))

    async def _delete_managed_entries(self, *, keys: Sequence[str], collection: str) -> int:
        return await self._cache.delete_many([_where(collection, key) for key in keys])

    async def _delete_collection(self, *, collection: str) -> bool:
        await self._cache.invalidate(_tag(collection))
        return True

    async def _delete_store(self) -> bool:
        await self._cache.clear()
        return True

    async def _get_collection_keys(self, *, collection: str, limit: int | None = None) -> list[str]:
        part, keys = _part(collection), list[str]()
        listed = [where async for where in self._cache if isinstance(where, tuple) and where[0] == part]
        for at in range(0, len(listed), _PAGE):
            # What a collection held before it was destroyed is listed for some time yet, and not found.
            found = await self._cache.get_many(listed[at : at + _PAGE])
            keys += [json.loads(stored)["key"] for stored in found.values()]
            if limit is not None and len(keys) >= limit:
                break
        return keys[:limit]

    def _loaded(self, stored: str | None) -> ManagedEntry | None:
        return None if stored is None else self._serialization_adapter.load_json(stored)


def _where(collection: str, key: str) -> tuple[str | bytes, str | bytes]:
    return _part(collection), _part(key)


def _part(name: str) -> str | bytes:
    """A name of any length, as a part of a key: bytes are no name that anybody says."""
    raw = name.encode()
    return name if len(raw) <= _LONGEST else hashlib.sha256(raw).digest()


def _tag(collection: str) -> str:
    raw = collection.encode()
    return f"={collection}" if len(raw) <= _LONGEST_TAG else f"#{hashlib.sha256(raw).hexdigest()}"
