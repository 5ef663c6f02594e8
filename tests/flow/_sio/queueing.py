# Generated from tests/flow/_aio/queueing.py by tools/colour.py. Edit that file, then run `make colour`.
"""Who waits for a flight."""

from __future__ import annotations

from typing import Any

from cachegrid._sio.grid import SyncGrid

__all__ = ["SyncQueue", "queue_of"]


class SyncQueue:
    """What a flight's callers wait for; knows how many have come to wait."""

    def __init__(self, landed: Any) -> None:
        self.landed, self.is_lost, self.set = landed, landed.is_lost, landed.set
        self.come: list[float] = []

    def wait(self, seconds: float) -> bool:
        """Wait for it."""
        self.come.append(seconds)
        return bool(self.landed.wait(seconds))


def queue_of(grid: SyncGrid) -> SyncQueue:
    """Those who wait for the one flight of a grid, from now on."""
    [flight] = grid._hub.flights._flights.values()
    queue = SyncQueue(flight.landed)
    flight.landed = queue  # type: ignore[assignment] # it does what a flight asks
    return queue
