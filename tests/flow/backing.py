"""What the grids of a test stand on: a store in memory, or a real grid; and a namespace of the test's own."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field

from cachegrid.engines.memory.store import Store
from cachegrid.engines.valkey.target import Target
from cachegrid.testing import FakeClock

__all__ = ["Backing"]

_numbers = itertools.count(1)


@dataclass(kw_only=True)
class Backing:
    """Either a `target`, or a `store` whose time is that of `clock`."""

    target: Target | None = None
    url: str = "memory://"
    clock: FakeClock | None = None
    store: Store = field(default_factory=Store)
    namespace: str = field(default_factory=lambda: f"t{os.getpid()}.{next(_numbers)}")

    @property
    def is_memory(self) -> bool:
        """Whether it lives in this process only."""
        return self.target is None
