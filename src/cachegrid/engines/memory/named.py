"""Memory grids that have a name: `memory://NAME` is the same one everywhere in this process."""

from __future__ import annotations

from typing import Final

from cachegrid.engines.memory.store import Store
from cachegrid.errors import ConfigError

__all__ = ["store_for"]

# Names come from settings, so there are few; a grid lives on when nobody is connected, as others do.
_named: Final[dict[str, Store]] = {}


def store_for(name: str, max_bytes: int = 0) -> Store:
    """
    The memory grid called `name` in this process; "" is a new one each time.

    `max_bytes` bounds a new grid, 0 not at all. Raises `ConfigError` for a grid that exists with another bound.

    >>> store_for("prices") is store_for("prices")
    True
    >>> store_for("") is store_for("")
    False
    """
    if not name:
        return Store(max_bytes=max_bytes)
    # `setdefault` is atomic; a lock could be held by another thread when this process forks.
    store = _named.get(name) or _named.setdefault(name, Store(max_bytes=max_bytes))
    if max_bytes not in {0, store.max_bytes}:
        raise ConfigError(f"max_bytes of memory://{name}", max_bytes, f"{store.max_bytes}, as the grid has it already")
    return store
