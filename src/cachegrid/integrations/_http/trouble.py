"""What goes wrong with a grid, told to the log: once in a while, since in an outage every request would."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Trouble"]

_PAUSE: Final = 1.0  # seconds between what is told


class Trouble:
    """Requests that were answered without the grid."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told = -math.inf
        self._count = 0

    def note(self, error: Exception) -> None:
        """Count one, and tell the log unless that was told a moment ago."""
        self._count += 1
        now = self._clock()
        if now - self._told >= _PAUSE:
            message = "responses without their grid: %d; the last one because of %s: %s"
            logging.getLogger("cachegrid").warning(message, self._count, type(error).__name__, error)
            self._told, self._count = now, 0
