"""What tests of kept functions pass to them."""

from __future__ import annotations

import enum

__all__ = ["Account", "Colour"]


class Colour(enum.Enum):
    """Is in a key by its class and name."""

    RED = 1
    GREEN = 2


class Account:
    """Says itself what it is in a key."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __cache_key__(self) -> int:
        """What tells it from others."""
        return self.number
