"""The one sentinel for "there is no value", and the one for "not said"."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["MISS", "UNSAID", "Miss", "Unsaid"]


class Miss(enum.Enum):
    """No live entry: an answer, where None would be a value."""

    MISS = "miss"

    def __repr__(self) -> str:
        return "MISS"


class Unsaid(enum.Enum):
    """An argument that was not given, where None has a meaning of its own."""

    UNSAID = "unsaid"

    def __repr__(self) -> str:
        return "UNSAID"


MISS: Final = Miss.MISS
UNSAID: Final = Unsaid.UNSAID
