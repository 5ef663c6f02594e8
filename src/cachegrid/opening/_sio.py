# Generated from src/cachegrid/opening/_aio.py by tools/colour.py. Edit that file, then run `make colour`.
"""Opening a grid, in one colour."""

from __future__ import annotations

from functools import partial

from cachegrid._sio.grid import SyncGrid
from cachegrid._sio.hub import SyncOpened
from cachegrid.config import Settings
from cachegrid.engines._sio.protocol import SyncEngine
from cachegrid.errors import Unreachable
from cachegrid.opening import Place, denied, locate
from cachegrid.waits._sio import COLOUR, aside

__all__ = ["make_grid"]


def make_grid(settings: Settings) -> SyncGrid:
    """A grid that connects at its first use."""
    return SyncGrid(partial(_open, settings), settings)


def _open(settings: Settings) -> SyncOpened:
    place = aside(locate, settings)  # may start a server
    return SyncOpened(_engine(place), place.name, place.url, place.secret)


def _engine(place: Place) -> SyncEngine:
    # Each engine is loaded when it is asked for.
    if place.store is not None:
        from cachegrid.engines.memory._sio import SyncMemoryEngine

        return SyncMemoryEngine(place.store)
    if place.target is not None:
        from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine

        engine = SyncValkeyEngine(place.target)
        try:
            engine.open()
        except BaseException as error:
            engine.close()
            if isinstance(error, Unreachable) and (told := denied(error)) is not None:
                raise told from error
            raise
        return engine
    assert place.plug_in is not None  # noqa: S101 - the last of the three
    return place.plug_in(colour=COLOUR)  # type: ignore[no-any-return] # a plug-in says what it is
