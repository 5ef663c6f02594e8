"""
A distributed cache for Python: a grid of cached data, partitioned over the members of a cluster.

    grid = cachegrid.connect()
    prices = grid.cache("prices", ttl="5m")
    prices["sku-1"] = 9.90
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cachegrid import errors

if TYPE_CHECKING:
    from typing import Unpack

    from cachegrid._aio.cache import AsyncCache
    from cachegrid._aio.grid import AsyncGrid
    from cachegrid._core.address import Key
    from cachegrid._core.collected import collected
    from cachegrid._core.entry import Entry
    from cachegrid._core.events import Event
    from cachegrid._core.scope import request_scope
    from cachegrid._core.stats import CacheStats
    from cachegrid._sio.cache import SyncCache
    from cachegrid._sio.grid import SyncGrid
    from cachegrid.codecs.registry import register
    from cachegrid.config import CachePolicy, NearPolicy, Settings, SettingsSaid
    from cachegrid.errors import CacheError
    from cachegrid.use.nothing import NOTHING
    from cachegrid.use.through import through

__all__ = [
    "NOTHING",
    "AsyncCache",
    "AsyncGrid",
    "CacheError",
    "CachePolicy",
    "CacheStats",
    "Entry",
    "Event",
    "Key",
    "NearPolicy",
    "Settings",
    "SyncCache",
    "SyncGrid",
    "aconnect",
    "collected",
    "connect",
    "errors",
    "register",
    "request_scope",
    "through",
]

__version__ = "0.1.0"

# Where each name is; loaded when it is asked for, so that `import cachegrid` costs next to nothing.
_HOMES = {
    "AsyncCache": "cachegrid._aio.cache",
    "AsyncGrid": "cachegrid._aio.grid",
    "CacheError": "cachegrid.errors",
    "CachePolicy": "cachegrid.config",
    "CacheStats": "cachegrid._core.stats",
    "Entry": "cachegrid._core.entry",
    "Event": "cachegrid._core.events",
    "Key": "cachegrid._core.address",
    "NOTHING": "cachegrid.use.nothing",
    "NearPolicy": "cachegrid.config",
    "Settings": "cachegrid.config",
    "SyncCache": "cachegrid._sio.cache",
    "SyncGrid": "cachegrid._sio.grid",
    "collected": "cachegrid._core.collected",
    "register": "cachegrid.codecs.registry",
    "request_scope": "cachegrid._core.scope",
    "through": "cachegrid.use.through",
}


def connect(
    url: str | None = None,
    *,
    name: str | None = None,
    config: Settings | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    **settings: Unpack[SettingsSaid],
) -> SyncGrid:
    """
    Connect to a grid: the one at `url`, the one called `name` on this host, or the one that the settings name.

    With none of these it is the grid that runs on this host, else a one-member grid that is started now and that
    every program of this user shares. Further settings are said by name, such as `timeout=2`; else they come from
    `config` (a file, a mapping or `Settings`), `CACHEGRID_*` variables and `cachegrid.toml`. Raises ConfigError,
    GridNotFound, Unreachable or AccessDenied.
    """
    from cachegrid.config import load_settings
    from cachegrid.opening._sio import make_grid

    return make_grid(load_settings(url, name, config, said=settings)).connect()


def aconnect(
    url: str | None = None,
    *,
    name: str | None = None,
    config: Settings | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    **settings: Unpack[SettingsSaid],
) -> AsyncGrid:
    """
    Connect from async code, with the arguments of `connect`.

    Use it as `async with aconnect() as grid`, or `grid = await aconnect()`.
    Without either, the grid connects at its first use, and so may be made at import time. It serves one event loop at
    a time: where several threads run loops at once, call this once in each, else their calls raise EngineError.
    """
    from cachegrid.config import load_settings
    from cachegrid.opening._aio import make_grid

    return make_grid(load_settings(url, name, config, said=settings))


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


if not TYPE_CHECKING:  # a checker would believe that every name is here

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'cachegrid' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
