# Generated from tests/flow/_aio/flow.py by tools/colour.py. Edit that file, then run `make colour`.
"""Grids for a test, closed after it, and looked into: nothing may be left of what they did behind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid._sio.hub import SyncOpened
from cachegrid.config import Settings
from cachegrid.engines.memory import SyncMemoryEngine
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from tests.flow._sio.gated import SyncGatedEngine
from tests.flow.backing import Backing
from tests.flow.waits._sio import SyncGate, listed

__all__ = ["SyncFlow", "engine_of", "look_inside", "raw_of"]

SECRET = b"a secret of sixteen bytes and more"


class SyncFlow:
    """Opens grids that share one backing, as processes do that connect to one grid."""

    def __init__(self, backing: Backing, near: Mapping[str, Any] | None = None) -> None:
        self.backing, self.near = backing, near
        self.leaves_leases = False  # set by a test that leaves some behind
        self.grids: list[SyncGrid] = []

    def grid(self, *, secret: bytes | None = SECRET, **settings: Any) -> SyncGrid:
        """One more grid, connected; `settings` as in `Settings`."""
        grid = self.unopened(secret=secret, **settings)
        return grid.connect()

    def unopened(self, *, secret: bytes | None = SECRET, **settings: Any) -> SyncGrid:
        """One more grid, which connects at its first use."""

        def open_engine() -> SyncOpened:
            return SyncOpened(SyncGatedEngine(self.engine()), "test", self.backing.url, secret)

        make = SyncGrid if self.near is None else partial(_SyncNearGrid, self.near)
        grid = make(open_engine, Settings(**{"namespace": self.backing.namespace, **settings}))
        self.grids.append(grid)
        return grid

    def gate(self) -> SyncGate:
        """A gate for a loader to stand at."""
        return SyncGate()

    def engine(self) -> SyncMemoryEngine | SyncValkeyEngine:
        """One more engine on the backing; to be closed by who asked for it."""
        if self.backing.target is None:
            return SyncMemoryEngine(self.backing.store)
        engine = SyncValkeyEngine(self.backing.target)
        engine.open()
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for grid in self.grids:
                stack.callback(grid.close)
            if kind is None:
                for grid in self.grids:
                    look_inside(grid)
                self._no_leases()
        for grid in self.grids:
            assert 0 == len(grid._hub.tasks) + len(grid._hub.keeper._tasks), "background work goes on after close"

    def _no_leases(self) -> None:
        if self.leaves_leases:
            return
        if self.backing.is_memory:
            assert {} == self.backing.store._leases._held
            return
        engine = self.engine()
        try:
            prefix = b"cg!lease:{" + self.backing.namespace.encode()
            pages = listed(engine.walk(prefix))
            left = engine.fetch_many([address for page in pages for address in page])
            # What was given back is remembered for a while, with an end of 0.
            assert [] == [lease for lease in left if lease is not None and not lease.startswith(b"0 ")]
        finally:
            engine.close()


class _SyncNearGrid(SyncGrid):
    """A grid whose caches keep near copies, where they have no idle time."""

    def __init__(self, near: Mapping[str, Any], *args: Any) -> None:
        super().__init__(*args)
        self._near = near

    def cache(self, name: str = "default", **policy: Any) -> SyncCache:
        """The cache of a name."""
        if (policy or name not in self._caches) and not policy.get("idle"):
            policy = {"near": self._near, **policy}
        return super().cache(name, **policy)


def look_inside(grid: SyncGrid) -> None:
    """Nobody loads, and no lease is held."""
    assert {} == grid._hub.flights._flights, "a flight never landed"
    assert 0 == len(grid._hub.keeper), "a lease is renewed that nobody holds"


def engine_of(grid: SyncGrid) -> SyncGatedEngine:
    """The engine of a connected grid, to hold its calls."""
    opened = grid._hub.opened
    assert opened is not None
    assert isinstance(opened.engine, SyncGatedEngine)
    return opened.engine


def raw_of(grid: SyncGrid, address: bytes) -> bytes | None:
    """The bytes at an address, past every cache."""
    frame: bytes | None = engine_of(grid).engine.fetch(address)
    return frame
