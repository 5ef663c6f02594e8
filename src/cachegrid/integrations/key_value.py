"""
py-key-value on a grid: a store of collections, for FastMCP and others.

    store = CacheGridStore(grid.cache("answers"))
    await store.put("a-1", {"text": "yes"}, collection="answers", ttl=60)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

try:
    from key_value.aio.errors import InvalidKeyError, SerializationError, ValueTooLargeError
    from key_value.aio.stores.base import (
        BaseDestroyCollectionStore,
        BaseDestroyStore,
        BaseEnumerateKeysStore,
        ManagedEntry,
    )
except ModuleNotFoundError as error:
    message = "cachegrid.integrations.key_value needs py-key-value-aio: pip install 'cachegrid[key-value]'"
    raise ModuleNotFoundError(message) from error

from cachegrid.errors import KeyRefused, ValueRefused, ValueTooLarge

if TYPE_CHECKING:
    from cachegrid import AsyncCache

__all__ = ["CacheGridStore"]


class CacheGridStore(BaseDestroyCollectionStore, BaseDestroyStore, BaseEnumerateKeysStore):
    """
    Keeps collections in a named cache of a grid. It is for this store alone: `destroy` drops all that is in it.

    A value may hold what the codec of the cache keeps: with `plain` also times, decimals and sets, exactly. A
    collection is destroyed at the cost of one entry; to list its keys walks the whole cache, and is for operators.
    The cache, and its grid, stay open when the store is closed.
    """

    def __init__(self, cache: AsyncCache, *, default_collection: str | None = None) -> None:
        super().__init__(default_collection=default_collection, stable_api=True)
        self._cache = cache

    async def _get_managed_entry(self, *, collection: str, key: str) -> ManagedEntry | None:
        with _their_errors():
            stored = await self._cache.get((collection, key))
        return None if stored is None else _managed(stored)

    async def _get_managed_entries(self, *, collection: str, keys: Sequence[str]) -> list[ManagedEntry | None]:
        with _their_errors():
            found = await self._cache.get_many([(collection, key) for key in keys])
        return [_managed(found[collection, key]) if (collection, key) in found else None for key in keys]

    async def _put_managed_entry(self, *, collection: str, key: str, managed_entry: ManagedEntry) -> None:
        with _their_errors():
            ttl = managed_entry.ttl
            await self._cache.set((collection, key), _stored(managed_entry), ttl=_ahead(ttl), tags=_tags(collection))

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
        values = {(collection, key): _stored(entry) for key, entry in zip(keys, managed_entries, strict=True)}
        with _their_errors():
            await self._cache.set_many(values, ttl=_ahead(ttl), tags=_tags(collection))

    async def _delete_managed_entry(self, *, key: str, collection: str) -> bool:
        with _their_errors():
            return await self._cache.delete((collection, key))

    async def _delete_managed_entries(self, *, keys: Sequence[str], collection: str) -> int:
        with _their_errors():
            return await self._cache.delete_many([(collection, key) for key in keys])

    async def _delete_collection(self, *, collection: str) -> bool:
        await self._cache.invalidate(_tags(collection))
        return True

    async def _delete_store(self) -> bool:
        await self._cache.clear()
        return True

    async def _get_collection_keys(self, *, collection: str, limit: int | None = None) -> list[str]:
        keys: list[str] = []
        async for key in self._cache.keys():
            if limit is not None and len(keys) >= limit:
                break
            if isinstance(key, tuple) and key[0] == collection:
                keys.append(str(key[1]))
        return keys


def _stored(entry: ManagedEntry) -> tuple[dict[str, Any], datetime | None, datetime | None]:
    return dict(entry.value), entry.created_at, entry.expires_at


def _managed(stored: tuple[Mapping[str, Any], datetime | None, datetime | None]) -> ManagedEntry:
    value, created_at, expires_at = stored
    return ManagedEntry(value=value, created_at=created_at, expires_at=expires_at)


def _ahead(ttl: float | None) -> float | None:
    """What is left to live; what has ended by now ends at once."""
    return None if ttl is None else max(ttl, 0.001)


def _tags(collection: str) -> tuple[str, ...]:
    return (collection,)


@contextmanager
def _their_errors() -> Iterator[None]:
    """Whoever uses a store knows its errors, not ours; what the grid itself reports goes through."""
    try:
        yield
    except KeyRefused as error:
        raise InvalidKeyError(str(error)) from error
    except ValueTooLarge as error:
        collection, key = error.key if isinstance(error.key, tuple) else (None, None)
        raise ValueTooLargeError(error.size, error.limit, collection, key) from error
    except ValueRefused as error:
        raise SerializationError(str(error)) from error
