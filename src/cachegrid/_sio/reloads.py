# Generated from src/cachegrid/_aio/reloads.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loading anew in the background, for values that are past their end, or near it: one at a time for each entry."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from cachegrid._core.address import Key
from cachegrid.errors import LoadTimeout
from cachegrid.waits._sio import SyncTasks

__all__ = ["SyncReloads"]

_AFTER_FAILURE: Final = 1.0  # seconds until a load that failed is tried again


class SyncReloads:
    """What this process loads anew."""

    def __init__(self) -> None:
        self._tasks = SyncTasks()
        self._under_way: set[bytes] = set()  # addresses

    def begin(self, address: bytes, load: Callable[[], object], cache: str, key: Key) -> None:
        """Load in the background, unless that is under way, or failed a moment ago; a failure names cache and key."""
        if address not in self._under_way:
            self._under_way.add(address)
            if self._tasks.spawn(self._load, address, load, cache, key) is None:  # closed
                self._under_way.discard(address)

    def settle(self) -> None:
        """Wait until all loads have ended."""
        self._tasks.settle()

    def close(self) -> None:
        """End all loads, or wait for them where they cannot be ended."""
        self._tasks.close()

    def forget(self) -> None:
        """In a forked child: the loads are the parent's."""
        self._tasks.forget()
        self._under_way = set()

    def _load(self, address: bytes, load: Callable[[], object], cache: str, key: Key) -> None:
        try:
            load()
        except LoadTimeout:
            pass  # another process is at it
        except Exception as error:  # noqa: BLE001 - the loader's own, and nobody waits for it
            self._failed(error, cache, key)
        finally:
            self._under_way.discard(address)

    def _failed(self, error: Exception, cache: str, key: Key) -> None:
        if not self._tasks.pause(0):
            return  # it was closed here, and that is why
        logging.getLogger("cachegrid").warning(
            "a load of %r of cache %r in the background failed: %s: %s", key, cache, type(error).__name__, error
        )
        self._tasks.pause(_AFTER_FAILURE)
