"""
hishel on a grid: responses of other servers that all processes share, for httpx and requests.

    client = CacheClient(storage=SyncGridStorage(grid.cache("responses")), rfc=True)
"""

from __future__ import annotations

try:
    from hishel import BaseStorage  # noqa: F401 - only to say what is missing, or too old
except ImportError as error:
    message = "cachegrid.integrations.hishel needs hishel 2 or newer: pip install 'cachegrid[hishel]'"
    raise ModuleNotFoundError(message) from error

from cachegrid.integrations.hishel._aio import AsyncGridStorage
from cachegrid.integrations.hishel._sio import SyncGridStorage

__all__ = ["AsyncGridStorage", "SyncGridStorage"]
