"""What waits for the grid: pages are found, kept, made once for all, and purged."""

from cachegrid.integrations._http._aio.purging import purge
from cachegrid.integrations._http._aio.shelf import AsyncOrigin, AsyncShelf

__all__ = ["AsyncOrigin", "AsyncShelf", "purge"]
