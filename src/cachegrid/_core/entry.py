"""An entry as users see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cachegrid._core.address import Key

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A value with what is known about it; times are in UTC."""

    key: Key
    value: Any  # None where it was left where it is
    version: bytes  # opaque: for compare_and_set; differs after every write
    created: datetime | None  # None for an integer, which carries no header
    expires: datetime | None  # None: without end
    idle: timedelta | None  # how long it lives without being read
    tags: tuple[str, ...] = ()  # by which it can be dropped along with others
    size: int  # bytes in the grid, without the address
