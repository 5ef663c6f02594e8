"""What other processes do in tests of back ends."""

from __future__ import annotations

import os
import time

import httpx
from dogpile.cache import make_region
from hishel.httpx import CacheTransport

import cachegrid
from cachegrid.integrations.hishel import SyncGridStorage

__all__ = ["create", "fetch"]


def create(url: str, cache: str, key: str, seconds: float) -> tuple[int, int | None]:
    """Ask a region for a value that takes so long to create: who created it, and who this is if it had to."""
    region = make_region().configure("cachegrid", arguments={"url": url, "cache": cache})
    created: list[int] = []

    def creator() -> int:
        created.append(os.getpid())
        time.sleep(seconds)
        return os.getpid()

    value = region.get_or_create(key, creator)
    return value, created[0] if created else None


def fetch(url: str, cache: str, address: str) -> tuple[str, bool]:
    """Get a page, as a process of its own; its text, and whether it came out of the cache."""
    with cachegrid.connect(url) as grid:
        transport = CacheTransport(httpx.HTTPTransport(), SyncGridStorage(grid.cache(cache)), rfc=True)
        with httpx.Client(transport=transport) as client:
            response = client.get(address)
            return response.text, response.extensions["caching"]["from_cache"]
