"""Locks that a fork finds free: a child sees the stores as they were between two calls, never in the middle of one."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final

__all__ = ["ForkSafe"]


class ForkSafe:
    """
    An object whose `lock` is taken by any fork for as long as the fork takes.

    The lock is re-entrant, because a signal handler or a finalizer that uses the object may run while its
    own thread holds it.
    """

    def __init__(self) -> None:
        self.lock: Final = threading.RLock()
        with _forking:
            _alive.add(self)


# Two threads that fork at once would take the objects' locks in different orders; this one is taken first.
_forking = threading.RLock()
_alive: weakref.WeakSet[ForkSafe] = weakref.WeakSet()
_stopped: list[ForkSafe] = []


def _stop_all() -> None:
    _forking.acquire()
    for one in list(_alive):
        one.lock.acquire()
        _stopped.append(one)


def _go_on() -> None:
    while _stopped:
        _stopped.pop().lock.release()
    _forking.release()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_stop_all, after_in_parent=_go_on, after_in_child=_go_on)
