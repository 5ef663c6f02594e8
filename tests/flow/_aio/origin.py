"""Where the values that are loaded come from."""

from __future__ import annotations

from typing import Any

from tests.flow._aio.flow import AsyncFlow

__all__ = ["LACKING", "STORES", "AsyncOrigin", "AsyncStock"]

# Abilities that an engine may lack, and how what was loaded is stored then.
LACKING: list[list[str]] = [[], ["landings"], ["conditions", "landings"]]
STORES = ["land", "store_if_absent", "store"]


class AsyncOrigin:
    """Where values come from: counts how often it was asked, and can be held."""

    def __init__(self, flow: AsyncFlow) -> None:
        self.calls = 0
        self.gate = flow.gate()

    async def load(self) -> list[int]:
        """The value of the n-th call: [n]."""
        self.calls += 1
        number = self.calls
        await self.gate.stand()
        return [number]

    async def load_at_once(self) -> list[int]:
        """The same, past the gate."""
        self.calls += 1
        return [self.calls]


class AsyncStock:
    """An origin of many values, that notes what it was asked for, and can be held."""

    def __init__(self, flow: AsyncFlow) -> None:
        self.asked: list[list[Any]] = []
        self.gate = flow.gate()
        self.lacks: set[Any] = set()

    async def load(self, keys: list[Any]) -> dict[Any, Any]:
        """What it has of these keys, when the gate is open."""
        self.asked.append(list(keys))
        await self.gate.stand()
        return {key: [key] for key in keys if key not in self.lacks}

    async def fail(self, keys: list[Any]) -> dict[Any, Any]:
        """Nothing."""
        self.asked.append(list(keys))
        raise OSError("the origin is away")
