"""Who waits for a flight."""

from __future__ import annotations

from typing import Any

from cachegrid._aio.grid import AsyncGrid

__all__ = ["AsyncQueue", "queue_of"]


class AsyncQueue:
    """What a flight's callers wait for; knows how many have come to wait."""

    def __init__(self, landed: Any) -> None:
        self.landed, self.is_lost, self.set = landed, landed.is_lost, landed.set
        self.come: list[float] = []

    async def wait(self, seconds: float) -> bool:
        """Wait for it."""
        self.come.append(seconds)
        return bool(await self.landed.wait(seconds))


def queue_of(grid: AsyncGrid) -> AsyncQueue:
    """Those who wait for the one flight of a grid, from now on."""
    [flight] = grid._hub.flights._flights.values()
    queue = AsyncQueue(flight.landed)
    flight.landed = queue  # type: ignore[assignment] # it does what a flight asks
    return queue
