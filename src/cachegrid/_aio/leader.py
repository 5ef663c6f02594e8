# hand-written in both colours
"""The call that leads a flight, and whether it has left without a word."""

from __future__ import annotations

__all__ = ["AsyncLeader"]


class AsyncLeader:
    """
    The call in whose body this is made.

    A task is cancelled where it waits, and tells those who wait for it. One whose loop has ended is seen by that.
    """

    __slots__ = ()
    is_gone = False

    def leave(self) -> None:
        """The call ends in good order."""
