"""
An idle time that nobody lives to see the end of: none.

In a cache with idle time, entries without one name this, since an owner takes the cache's for those that name none. In
others, it is asked for where an entry may just have taken the place of one with an idle time.
"""

from __future__ import annotations

from typing import Final

__all__ = ["AGES"]

AGES: Final = 1 << 40  # ms
