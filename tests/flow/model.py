"""What a cache should do, said with a dict and a number: the judge of random steps."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

__all__ = ["Kept", "Model", "NoNumberError"]

MOST = (1 << 63) - 1


class NoNumberError(Exception):
    """Where `incr` is refused."""


@dataclass
class Kept:
    """An entry; times are ms."""

    value: Any
    ends: int | None
    idle: int | None
    read: int  # when its idle time began
    write: int  # the how-manieth it was

    def lives(self, now: int) -> bool:
        """Whether it is there."""
        return (self.ends is None or now < self.ends) and (self.idle is None or now < self.read + self.idle)

    @property
    def version(self) -> Hashable:
        """Equal for entries that `compare_and_set` cannot tell apart."""
        return ("integer", self.value) if isinstance(self.value, int) and self.idle is None else self.write


class Model:
    """A cache with a policy; `now` is what time it is."""

    def __init__(self, ttl: int | None, idle: int | None) -> None:
        self.ttl, self.idle = ttl, idle
        self.now = self.writes = 0
        self._kept: dict[Any, Kept] = {}

    def find(self, key: Any) -> Kept | None:
        """What is there, without a read."""
        kept = self._kept.get(key)
        return kept if kept is not None and kept.lives(self.now) else None

    def read(self, key: Any) -> Kept | None:
        """What is there; its idle time begins anew."""
        kept = self.find(key)
        if kept is not None:
            kept.read = self.now
        return kept

    def keys(self) -> set[Any]:
        """The keys of what is there."""
        return {key for key in self._kept if self.find(key)}

    def write(self, key: Any, value: Any, ttl: int | None, idle: int | None) -> None:
        """Put an entry."""
        self.writes += 1
        ends = None if ttl is None else self.now + ttl
        self._kept[key] = Kept(value, ends, idle, self.now, self.writes)

    def drop(self, key: Any) -> bool:
        """Remove an entry."""
        there = self.find(key) is not None
        self._kept.pop(key, None)
        return there

    def clear(self) -> None:
        """Remove all."""
        self._kept.clear()

    def touch(self, key: Any, ttl: int | None) -> bool:
        """Give a new time to live."""
        kept = self.find(key)
        if kept is None:
            return False
        if kept.idle is not None and kept.ends is not None and kept.ends <= kept.read + kept.idle:
            kept.read = self.now  # the engine kept the earlier end only: when the last read was, nobody knows
        kept.ends = None if ttl is None else self.now + ttl
        return True

    def incr(self, key: Any, by: int, start: int, ttl: int | None) -> int:
        """Add to an integer."""
        kept = self.find(key)
        if kept is None:
            if not -MOST <= start + by <= MOST:
                raise NoNumberError
            self.write(key, start + by, ttl, self.idle)
            return start + by
        if type(kept.value) is not int or not -MOST <= kept.value + by <= MOST:
            raise NoNumberError
        ends = None if kept.ends is None else kept.ends - self.now
        self.write(key, kept.value + by, ends, kept.idle)
        return int(kept.value + by)
