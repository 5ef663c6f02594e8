# hand-written in both colours
"""The call that leads a flight, and whether it has left without a word."""

from __future__ import annotations

import sys
from types import FrameType

__all__ = ["SyncLeader"]


class SyncLeader:
    """
    The call in whose body this is made.

    What a signal's handler raises, such as KeyboardInterrupt, may come anywhere, and cut short what would have told those who
    wait. Whether a call has ended is known to Python all the same.
    """

    __slots__ = ("_call",)

    def __init__(self) -> None:
        self._call: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to it

    def leave(self) -> None:
        """The call ends in good order."""
        self._call = None

    @property
    def is_gone(self) -> bool:
        """Whether the call has ended, in whatever way; not, while another greenlet of its thread runs."""
        call = self._call
        if call is None:
            return True
        try:
            call.clear()  # of a call that has ended; what an error that is still looked at shows of it, goes
        except RuntimeError:
            return False
        self._call = None
        return True
