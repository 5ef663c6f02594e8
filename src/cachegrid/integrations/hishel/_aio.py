"""Storage for hishel, on a named cache."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from time import time
from typing import Final, cast
from uuid import UUID, uuid4

from hishel import Entry, Headers, Request, Response

from cachegrid import AsyncCache, CacheError
from cachegrid.integrations.hishel.kept import (
    AsyncBaseStorage,
    Draft,
    Times,
    index_key,
    listed,
    packed,
    response_key,
    times_of,
    unpacked,
    with_headers,
)
from cachegrid.integrations.places import of_colour
from cachegrid.units import Duration, Size, bytes_of, seconds_of

__all__ = ["AsyncGridStorage"]

_logger: Final = logging.getLogger(__name__)


class AsyncGridStorage(AsyncBaseStorage):
    """
    Keeps responses in a named cache of a grid, for all processes that use it.

    A response has its host as a tag: `cache.invalidate(tags="api.example.org")` drops all from there. `default_ttl` and
    `default_tti`, seconds or text such as "5m", say how long one is kept, and how long without being read; what HTTP
    says of its age holds besides, where hishel follows that. What takes more than `max_stream_size`, bytes or text such
    as "1MB", is passed on and not kept. Of a request only those headers are kept that its response varies by: others
    may be credentials.

    An outage costs no request: it is logged, and the other server is asked. The cache stays open when the client is
    closed.
    """

    def __init__(
        self,
        cache: AsyncCache,
        *,
        default_ttl: Duration | None = 3600,
        default_tti: Duration | None = None,
        max_stream_size: Size | None = 10 << 20,
    ) -> None:
        super().__init__(
            default_ttl=None if default_ttl is None else seconds_of("default_ttl", default_ttl),
            default_tti=None if default_tti is None else seconds_of("default_tti", default_tti),
            max_stream_size=None if max_stream_size is None else bytes_of("max_stream_size", max_stream_size),
        )
        self._cache = of_colour(cache, AsyncCache)

    async def create_entry(
        self, request: Request, response: Response, key: str, *, ttl: float | None = None, tti: float | None = None
    ) -> Entry:
        """A response whose body, once it was read to its end, is kept; others see it from then on."""
        draft = Draft(uuid4(), key, request, response, Times(*self._limits(ttl, tti, time())))
        return Entry(id=draft.id, request=request, response=replace(response, stream=self._keeping(draft)))

    async def get_entries(self, key: str) -> list[Entry]:
        """The responses that are kept under a key, the newest first; none if the grid does not answer."""
        try:
            index = await self._cache.get(index_key(key), {})
            found = await self._cache.get_many([response_key(raw) for raw in reversed(index)])
        except CacheError:
            _logger.exception("the grid was not asked for what it keeps of a response")
            return []
        # One that is listed, and not found, was dropped or evicted.
        left = [raw for raw in reversed(index) if response_key(raw) in found]
        return [_entry(UUID(bytes=raw), *unpacked(found[response_key(raw)])) for raw in left]

    async def update_headers(self, id: UUID, headers: Headers) -> None:  # noqa: A002 - hishel's signature
        """
        Store other headers of a response, if it is still there; it ends when it would have.

        One that varies by something else now is dropped: what it was asked with is not known any more.
        """
        where = response_key(id.bytes)
        try:
            entry = await self._cache.entry(where)
            anew = None if entry is None else with_headers(entry.value, headers, time())
            if entry is not None and anew is not None:
                # Where somebody else was faster, the response was confirmed, or is gone, just now.
                await self._cache.compare_and_set(where, entry.version, anew[0], tags=entry.tags, **anew[1])
            elif entry is not None:
                await self._cache.delete(where)
        except CacheError:
            _logger.exception("a response in the grid has kept its old headers")

    async def remove_entry(self, id: UUID) -> None:  # noqa: A002 - hishel's signature
        """Drop a response, for everybody."""
        try:
            await self._cache.delete(response_key(id.bytes))
        except CacheError:
            _logger.exception("a response was not dropped, and may still be served")

    async def _keeping(self, draft: Draft) -> AsyncIterator[bytes]:
        """The body of a response as it comes; what is whole at its end is kept."""
        parts: list[bytes] = []
        room = self.max_stream_size
        async for part in _parts(draft.response):
            if room is None or room >= 0:
                parts.append(part)
            if room is not None:
                room -= len(part)
            yield part
        if room is None or room >= 0:
            await self._keep(draft, b"".join(parts))

    async def _keep(self, draft: Draft, body: bytes) -> None:
        try:
            where = response_key(draft.id.bytes)
            await self._cache.set(where, packed(draft, body), tags=draft.tags, **draft.times.left(time()))
            await self._list(draft)
        except CacheError:
            _logger.exception("a response was not kept")

    async def _list(self, draft: Draft) -> None:
        """Name a response in the index of its key, also where others do so with theirs at the same time."""
        where = index_key(draft.key)
        is_listed = False
        while not is_listed:
            now = time()
            entry = await self._cache.entry(where)
            index = listed({} if entry is None else entry.value, draft, now)
            if entry is None:
                is_listed = await self._cache.add(where, index, **times_of(index, now))
            else:
                is_listed = await self._cache.compare_and_set(where, entry.version, index, **times_of(index, now))


def _entry(id: UUID, request: Request, response: Response, body: bytes) -> Entry:  # noqa: A002 - hishel's field
    return Entry(id=id, request=request, response=replace(response, stream=_whole(body)))


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _parts(response: Response) -> AsyncIterator[bytes]:
    return _whole(b"") if response.stream is None else cast("AsyncIterator[bytes]", response.stream)
