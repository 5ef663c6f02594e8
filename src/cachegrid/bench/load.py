"""What every contender is asked to do: the same keys, the same values, the same number of operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = ["FULL", "QUICK", "Calls", "Load", "Scenario"]


class Scenario(StrEnum):
    """What is timed."""

    GET = "get"  # one after the other
    SET = "set"
    MANY = "get_many"  # 100 keys of mixed slots in one call
    CALLERS = "callers"  # 50 tasks that get at once; async contenders only

    @property
    def is_single(self) -> bool:
        """Whether one request follows another, so that client and owner never work at the same time."""
        return self in {Scenario.GET, Scenario.SET}


@dataclass(frozen=True, slots=True)
class Calls:
    """A client, ready to work. Of an async one the functions give awaitables."""

    get: Callable[[str], Any]
    set: Callable[[str, Any], Any]
    get_many: Callable[[list[str]], Any]
    value: bytes | str  # what is stored, and has to come back


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is done. A slice is what one contender does before it is the next one's turn."""

    rounds: int  # slices of each contender
    singles: int  # operations in a slice of one GET or one SET after the other
    batches: int  # calls in a slice of 100 keys, which then takes about as long as one of single GETs
    each: int  # operations of each caller in a slice of 50 callers
    codecs: bool  # whether the codec is compared with pickle, too: a quarter of a minute
    hits: int  # operations in a slice of near hits
    thread_ms: int  # about how long a slice of threads takes: many turns of the interpreter, of 5 ms each
    writes: int  # changes of which the news is timed
    warm: int = 10  # operations before each slice that are not timed: the others have just had the caches
    callers: int = 50
    threads: int = 8
    thread_rounds: int = 8  # slices of each contender with threads
    write_rate: int = 5000  # changes in a second
    size: int = 200  # bytes of a value

    @property
    def keys(self) -> list[str]:
        """100 keys; their slots are mixed, so every owner has some."""
        return [f"bench:{number:04d}" for number in range(100)]

    @property
    def value(self) -> bytes:
        """What is stored: bytes that no codec takes for anything else."""
        return bytes(32 + number % 95 for number in range(self.size))

    def operations(self, scenario: Scenario) -> int:
        """How many operations a slice has; each key of a batch is one."""
        if scenario is Scenario.MANY:
            return self.batches * len(self.keys)
        return self.callers * self.each if scenario is Scenario.CALLERS else self.singles


FULL: Final = Load(rounds=60, singles=200, batches=15, each=20, codecs=True, hits=1000, thread_ms=100, writes=20_000)
QUICK: Final = Load(rounds=3, singles=20, batches=1, each=2, codecs=False, hits=100, thread_ms=2, writes=500)
