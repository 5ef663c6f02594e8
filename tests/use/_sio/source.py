# Generated from tests/use/_aio/source.py by tools/colour.py. Edit that file, then run `make colour`.
"""Where values come from, and where changes go."""

from __future__ import annotations

from typing import Any

from cachegrid import NOTHING
from tests.flow.waits._sio import SyncGate

__all__ = ["SyncSource"]


class SyncSource:
    """A dict behind calls, which notes them, can be held while it writes, and fails when it is told to."""

    def __init__(self, gate: SyncGate) -> None:
        self.rows: dict[Any, Any] = {}
        self.loads: list[Any] = []
        self.writes: list[dict[Any, Any]] = []
        self.gate = gate
        self.failures = 0  # how many writes are going to fail
        self.refused: set[Any] = set()  # keys that no write may have

    def load(self, key: Any) -> Any:
        """The value of a key."""
        self.loads.append(key)
        return self.rows.get(key, NOTHING)

    def load_many(self, keys: list[Any]) -> dict[Any, Any]:
        """The values of keys."""
        self.loads.append(list(keys))
        return {key: self.rows[key] for key in keys if key in self.rows}

    def write(self, changes: dict[Any, Any]) -> None:
        """Change some rows, then wait at the gate."""
        self.writes.append(dict(changes))
        if self.failures:
            self.failures -= 1
            raise OSError("the source is away")
        if self.refused & set(changes):
            raise ValueError("the source takes no such row")
        for key, value in changes.items():
            if value is NOTHING:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.gate.stand()
