"""The methods that are awaited: they use an async grid of the running loop, and no threads."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from cachegrid.errors import NotANumber
from cachegrid.integrations.django.ground import GONE, REFUSALS, Ground, beyond, moved

__all__ = ["Awaited"]


class Awaited(Ground):
    """Each means what the method without its `a` means."""

    async def aadd(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()
    ) -> bool:
        """As `add`."""
        key, ttl = self._said(key, timeout, version)
        with REFUSALS:
            if ttl == 0:
                return not await self.anative.has(key)
            return await self.anative.add(key, value, ttl=ttl, tags=tags)

    async def aget(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """As `get`."""
        return await self.anative.get(self._key(key, version), default)

    async def aset(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()
    ) -> None:
        """As `set`."""
        key, ttl = self._said(key, timeout, version)
        with REFUSALS:
            if ttl == 0:
                await self.anative.delete(key)
            else:
                await self.anative.set(key, value, ttl=ttl, tags=tags)

    async def atouch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        """As `touch`."""
        key, ttl = self._said(key, timeout, version)
        return await (self.anative.delete(key) if ttl == 0 else self.anative.touch(key, ttl))

    async def adelete(self, key: Any, version: Any = None) -> bool:
        """As `delete`."""
        return await self.anative.delete(self._key(key, version))

    async def ahas_key(self, key: Any, version: Any = None) -> bool:
        """As `has_key`."""
        return await self.anative.has(self._key(key, version))

    async def aget_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()
    ) -> Any:
        """As `get_or_set`; `default` may also be an async function."""
        key, ttl = self._said(key, timeout, version)

        async def load() -> Any:
            made = default() if callable(default) else default
            return await made if inspect.isawaitable(made) else made

        if ttl == 0:
            value = await self.anative.get(key, GONE)
            return await load() if value is GONE else value
        with REFUSALS:
            return await self.anative.get_or_load(key, load, ttl=ttl, tags=tags)

    async def aincr(self, key: Any, delta: int = 1, version: Any = None) -> int:
        """As `incr`."""
        key = self._key(key, version)
        try:
            return await self.anative.incr(key, delta, start=beyond(delta))
        except NotANumber as error:
            if await self.anative.entry(key) is not None:
                raise
            raise ValueError(f"Key {key!r} not found") from error

    async def aincr_version(self, key: Any, delta: int = 1, version: Any = None) -> Any:
        """As `incr_version`."""
        version = self.version if version is None else version
        old = self._key(key, version)
        entry = await self.anative.entry(old)
        await self.anative.set(self._key(key, version + delta), **moved(old, entry))
        await self.anative.delete(old)
        return version + delta

    async def aget_many(self, keys: Iterable[Any], version: Any = None) -> dict[Any, Any]:
        """As `get_many`."""
        asked = self._asked(keys, version)
        return {asked[key]: value for key, value in (await self.anative.get_many(asked)).items()}

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Any = None, tags: Any = ()
    ) -> list[Any]:
        """As `set_many`."""
        values, ttl = self._named(data, version), self.get_backend_timeout(timeout)
        with REFUSALS:
            if ttl == 0:
                await self.anative.delete_many(values)
            else:
                await self.anative.set_many(values, ttl=ttl, tags=tags)
        return []

    async def adelete_many(self, keys: Iterable[Any], version: Any = None) -> None:
        """As `delete_many`."""
        await self.anative.delete_many(self._asked(keys, version))

    async def aclear(self) -> None:
        """As `clear`."""
        await self.anative.clear()

    async def ainvalidate(self, tags: str | Iterable[str]) -> None:
        """As `invalidate`."""
        await self.anative.invalidate(tags)
