# hand-written in both colours
"""What only one colour has: an async cache is no mapping, since its reads are awaited; an async grid can be awaited."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Self

__all__ = ["AsyncFace", "AsyncGridFace"]


class AsyncFace:
    """What only an async cache has."""

    is_async = True
    other_way = "cachegrid.connect()"  # to a cache of the other colour


class AsyncGridFace:
    """What only an async grid has: `grid = await cachegrid.aconnect()` connects at once."""

    if TYPE_CHECKING:

        async def connect(self) -> Self: ...

    def __await__(self) -> Generator[Any, None, Self]:
        return self.connect().__await__()
