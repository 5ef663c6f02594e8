"""An engine's writes, told to whoever keeps copies: when a write is over its caller's copies are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cachegrid._aio.ability import AsyncAbleEngine

__all__ = ["AsyncTelling"]


class AsyncTelling:
    """
    Writes to `engine` and calls `tell` with each address, whatever came of it: what failed may have been applied.

    Before the caller goes on: the news that the owner sends may take longer.
    """

    def __init__(self, engine: AsyncAbleEngine, tell: Callable[[bytes], None]) -> None:
        self._engine, self._tell = engine, tell

    async def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        try:
            await self._engine.store(address, frame, ttl)
        finally:
            self._tell(address)

    async def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        try:
            await self._engine.store_many(items)
        finally:
            for address, _, _ in items:
                self._tell(address)

    async def drop(self, address: bytes) -> bool:
        try:
            return await self._engine.drop(address)
        finally:
            self._tell(address)

    async def drop_many(self, addresses: Sequence[bytes]) -> int:
        try:
            return await self._engine.drop_many(addresses)
        finally:
            for address in addresses:
                self._tell(address)

    async def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        try:
            return await self._engine.store_if_absent(address, frame, ttl)
        finally:
            self._tell(address)

    async def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        try:
            return await self._engine.store_if_present(address, frame, ttl)
        finally:
            self._tell(address)

    async def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        try:
            return await self._engine.store_if_version(address, version, frame, ttl)
        finally:
            self._tell(address)

    async def drop_if_version(self, address: bytes, version: bytes) -> bool:
        try:
            return await self._engine.drop_if_version(address, version)
        finally:
            self._tell(address)

    async def drop_if_strange(self, address: bytes) -> bool:
        try:
            return await self._engine.drop_if_strange(address)
        finally:
            self._tell(address)

    async def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        try:
            return await self._engine.add(address, by, start, ttl)
        finally:
            self._tell(address)

    async def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        try:
            return await self._engine.touch(address, ttl, now)
        finally:
            self._tell(address)

    async def land(self, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
        try:
            return await self._engine.land(address, token, frame, ttl)
        finally:
            self._tell(address)
