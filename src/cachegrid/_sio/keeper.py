# Generated from src/cachegrid/_aio/keeper.py by tools/colour.py. Edit that file, then run `make colour`.
"""Leases that are held here, and renewed for as long as they are."""

from __future__ import annotations

from cachegrid.engines._sio.protocol import SyncLeases
from cachegrid.errors import EngineError
from cachegrid.waits._sio import SyncTasks

__all__ = ["SyncKeeper"]


class SyncKeeper:
    """Renews leases in the background. It works only while some are held."""

    def __init__(self, tasks: SyncTasks) -> None:
        self._tasks = tasks
        self._held: dict[bytes, tuple[SyncLeases, bytes, int]] = {}
        self._working = False

    def hold(self, engine: SyncLeases, name: bytes, token: bytes, lease: int) -> None:
        """Renew a lease of `lease` ms from now on."""
        self._held[name] = (engine, token, lease)
        if not self._working:
            self._working = True
            self._tasks.spawn(self._work)

    def let_go(self, name: bytes) -> None:
        """Renew it no longer."""
        self._held.pop(name, None)

    def forget(self) -> None:
        """In a forked child: the leases are the parent's."""
        self._held = {}
        self._working = False

    def _work(self) -> None:
        try:
            while held := dict(self._held):
                # Three tries in the time of the shortest lease.
                if not self._tasks.pause(min(lease for _, _, lease in held.values()) / 3000):
                    return
                for name, (engine, token, lease) in held.items():
                    if self._held.get(name) == (engine, token, lease):
                        self._renew(engine, name, token, lease)
        finally:
            self._working = False
        if self._held:  # taken while this was ending
            self.hold_all()

    def hold_all(self) -> None:
        """Begin to work again where leases are held and nobody renews them."""
        if self._held and not self._working:
            self._working = True
            self._tasks.spawn(self._work)

    def _renew(self, engine: SyncLeases, name: bytes, token: bytes, lease: int) -> None:
        try:
            kept = engine.renew(name, token, lease)
        except EngineError:
            return  # the next round tries again; the holder learns of a lost lease when it asks
        if not kept:
            self.let_go(name)
