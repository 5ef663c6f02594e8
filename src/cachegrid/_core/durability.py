"""What a write waits for before it returns: a plain value, the same in both colours."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["MEMORY", "Durability"]


class Durability(NamedTuple):
    """How many replicas shall have applied a write, and whether its owner shall have it on disk, when it returns."""

    replicas: int = 0
    disk: bool = False

    def __str__(self) -> str:
        """In words, as messages need it."""
        words = [] if self.replicas == 0 else [f"{self.replicas} replica{'s' * (self.replicas > 1)}"]
        return " and ".join([*words, *(["the disk of its owner"] * self.disk)]) or "the memory of its owner"


MEMORY: Final = Durability()  # applied by the owner
