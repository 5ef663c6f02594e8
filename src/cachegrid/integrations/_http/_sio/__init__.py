# Generated from src/cachegrid/integrations/_http/_aio/__init__.py by tools/colour.py. Edit that file, then run `make colour`.
"""What waits for the grid: pages are found, kept, made once for all, and purged."""

from cachegrid.integrations._http._sio.purging import purge
from cachegrid.integrations._http._sio.shelf import SyncOrigin, SyncShelf

__all__ = ["SyncOrigin", "SyncShelf", "purge"]
