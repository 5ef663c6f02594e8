"""What stands for a value where there is none, since None is a value."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["NOTHING", "Nothing"]


class Nothing(enum.Enum):
    """The one thing of its kind: an enum member, so that `is NOTHING` narrows a type."""

    NOTHING = "nothing"

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = Nothing.NOTHING  # what a loader gives for a key without a value, and a writer gets for a deleted one
