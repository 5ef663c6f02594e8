"""A time that nobody lives to see the end of."""

from __future__ import annotations

from typing import Final

__all__ = ["AGES"]

AGES: Final = 1 << 40  # ms; as an idle time, none
