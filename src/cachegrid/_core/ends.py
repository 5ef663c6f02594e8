"""When an entry ends: its time to live, its idle time, its grace, and what follows from them. Times are whole ms."""

from __future__ import annotations

from typing import NamedTuple

from cachegrid._core.ages import AGES
from cachegrid._core.frame import Frame
from cachegrid._core.rules import Rules, jittered
from cachegrid._core.units import Duration, milliseconds

__all__ = ["Ends", "ends_in", "ends_of", "is_over"]


class Ends(NamedTuple):
    """When an entry ends, in ms: its time to live, its idle time, its grace after that, and what the engine is told."""

    ttl: int | None
    idle: int | None
    grace: int | None
    engine: int | None

    @property
    def last(self) -> int | None:
        """For how long there may be something of it; None: without end."""
        return None if self.ttl is None else self.ttl + (self.grace or 0)


def ends_in(ttl: int | None, idle: int | None, grace: int | None = None) -> Ends:
    """When an entry ends that is written now; times are ms. What has no end, or an idle time, has no grace."""
    if ttl is None or idle is not None:
        grace = None
    both = [ms for ms in (ttl and ttl + (grace or 0), idle) if ms is not None and ms != AGES]
    return Ends(ttl, idle, grace, min(both) if both else None)


def ends_of(ttl: Duration | None, idle: Duration | None, rules: Rules, draw: float) -> Ends:
    """The same of times as people write them; `draw` spreads the ends, see `cachegrid._core.rules`."""
    ttl_ms = None if ttl is None else milliseconds("ttl", ttl)
    if ttl_ms is not None and rules.jitter:
        ttl_ms = jittered(ttl_ms, rules.jitter, draw)
    return ends_in(ttl_ms, None if idle is None else milliseconds("idle", idle), rules.grace)


def is_over(frame: Frame, now: int) -> bool:
    """Whether an entry is past its end at a time, and there is something of it for its grace only."""
    if frame.grace is None or frame.ttl is None:
        return False
    return frame.created + frame.ttl <= now
