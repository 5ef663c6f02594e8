"""What every cache in a process is asked for: the same keys, the same values, all of them there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cachegrid.bench.load import Load

__all__ = ["CURRENCY", "RECORD", "Hits", "Near", "priced", "text_of"]

CURRENCY: Final = "EUR"
# 20 fields: text, numbers, and what is missing.
RECORD: Final[dict[str, Any]] = {
    f"field_{number:02d}": (f"text of field {number}", number * 1000, number / 4, None, number % 2 == 0)[number % 5]
    for number in range(20)
}


class Near(StrEnum):
    """What is timed; all of it finds what it looks for in this process."""

    CONSTANT = "near_constant"  # a value that nobody can change: text
    RECORD = "near_record"  # one that callers could change, and so get a fresh one each
    FUNCTION = "near_function"  # a decorated function with two positional arguments
    GRACE = "near_grace"  # CONSTANT with this rule alone; so are the next three
    EARLY = "near_early"
    TAGS = "near_tags"
    EVENTS = "near_events"
    RULES = "near_rules"  # CONSTANT with all four, and spread ends
    THREADS = "near_threads"  # CONSTANT by 8 threads at once; sync contenders only

    def operations(self, load: Load) -> int | None:
        """How many a slice has; None where it has as many as take a given time."""
        return None if self is Near.THREADS else load.hits

    def rounds(self, load: Load) -> int:
        """How many slices each contender has; those of threads are long."""
        return min(load.rounds, load.thread_rounds) if self is Near.THREADS else load.rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """A cache that has everything. Of an async one the functions give awaitables; None: it has no such thing."""

    constant: Callable[[str], Any]
    record: Callable[[str], Any] | None = None
    function: Callable[[str, str], Any] | None = None
    ruled: Mapping[Near, Callable[[str], Any]] = field(default_factory=dict)  # `constant` with rules that are on
    threads: Callable[[str], Any] | None = None  # `constant` as threads may share it

    def of(self, near: Near) -> Callable[..., Any] | None:
        """What is called to time this."""
        plain = {
            Near.CONSTANT: self.constant,
            Near.RECORD: self.record,
            Near.FUNCTION: self.function,
            Near.THREADS: self.threads,
        }
        return plain[near] if near in plain else self.ruled.get(near)


def text_of(load: Load) -> str:
    """The value that nobody can change."""
    return load.value.decode()


def priced(sku: str, currency: str) -> str:
    """What the decorated function computes."""
    return f"{sku} costs 9.90 {currency}"
