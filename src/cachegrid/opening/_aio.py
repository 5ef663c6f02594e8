"""Opening a grid, in one colour."""

from __future__ import annotations

from functools import partial

from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.hub import AsyncOpened
from cachegrid.config import Settings
from cachegrid.engines._aio.protocol import AsyncEngine
from cachegrid.errors import Unreachable
from cachegrid.opening import Place, denied, locate
from cachegrid.waits._aio import COLOUR, aside

__all__ = ["make_grid"]


def make_grid(settings: Settings) -> AsyncGrid:
    """A grid that connects at its first use."""
    return AsyncGrid(partial(_open, settings), settings)


async def _open(settings: Settings) -> AsyncOpened:
    place = await aside(locate, settings)  # may start a server
    return AsyncOpened(await _engine(place), place.name, place.url, place.secret)


async def _engine(place: Place) -> AsyncEngine:
    # Each engine is loaded when it is asked for.
    if place.store is not None:
        from cachegrid.engines.memory._aio import AsyncMemoryEngine

        return AsyncMemoryEngine(place.store)
    if place.target is not None:
        from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine

        engine = AsyncValkeyEngine(place.target)
        try:
            await engine.open()
        except BaseException as error:
            await engine.aclose()
            if isinstance(error, Unreachable) and (told := denied(error)) is not None:
                raise told from error
            raise
        return engine
    assert place.plug_in is not None  # noqa: S101 - the last of the three
    return await place.plug_in(colour=COLOUR)  # type: ignore[no-any-return] # a plug-in says what it is
