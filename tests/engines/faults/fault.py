"""What a fault is: the promise's test, and an engine that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cachegrid.engines.memory import AsyncMemoryEngine

__all__ = ["FAULTS", "MINUTE", "Engine", "Fault", "fault"]

MINUTE = 60_000


class Engine(AsyncMemoryEngine):
    """A memory engine whose methods can be replaced, and that remembers things besides."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.seen: dict[bytes, Any] = {}


class Fault(NamedTuple):
    """The promise's test, what the engine does instead, and how."""

    test: str
    story: str
    method: str
    replacement: Any

    def engine(self) -> type[Engine]:
        """The engine that does it."""
        return type("Broken", (Engine,), {self.method: self.replacement})


FAULTS: list[Fault] = []


def fault(method: str, story: str, *tests: str) -> Callable[[Any], None]:
    """`method` is replaced, and each of `tests` has to fail."""
    return lambda replacement: FAULTS.extend(Fault(f"test_{test}", story, method, replacement) for test in tests)
