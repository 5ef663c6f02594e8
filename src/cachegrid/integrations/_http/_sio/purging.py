# Generated from src/cachegrid/integrations/_http/_aio/purging.py by tools/colour.py. Edit that file, then run `make colour`.
"""Pages that have to go, for everybody."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from cachegrid import SyncCache
from cachegrid.errors import ConfigError
from cachegrid.integrations._http.pages import uri_digest
from cachegrid.integrations._http.records import AT_LEAST, PURGED
from cachegrid.integrations._http.uris import uri_in

__all__ = ["purge"]


def purge(cache: SyncCache, tags: str | Iterable[str] | None = None, *, urls: str | Iterable[str] | None = None) -> int:
    """
    Drop all pages that have any of these tags, and those of these URLs, for everybody; what is being made is not kept.

    A URL is whole, with its scheme, host and query. What is given back is how many of `urls` were known; how many pages
    had a tag nobody counts. Raises ConfigError for what is no such URL, and where neither is said.
    """
    if not isinstance(cache, SyncCache):
        raise ConfigError("the cache of responses", cache, "one of cachegrid.connect(), as that of its middleware")
    if tags is None and urls is None:
        raise ConfigError("tags", None, "said, or else urls; cache.clear() drops all pages")
    keys = [("uri", uri_digest(uri_in(url))) for url in _several(urls)]
    known = cache.delete_many(keys) if keys else 0
    if tags := _several(tags):
        cache.set(PURGED, secrets.token_bytes(8), ttl=AT_LEAST)  # first: see `_put` of the shelf
        cache.invalidate(tags)
    return known


def _several(said: str | Iterable[str] | None) -> list[str]:
    return [said] if isinstance(said, str) else list(said or ())
