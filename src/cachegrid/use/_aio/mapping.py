# hand-written in both colours
"""What only one colour has: an async cache with a source is no mapping, since its reads are awaited."""

from __future__ import annotations

__all__ = ["AsyncThroughFace"]


class AsyncThroughFace:
    """Nothing besides."""
