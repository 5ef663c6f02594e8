"""Django on a grid: a back end for CACHES, and results of the ORM that are dropped when their tables are written."""

from __future__ import annotations

try:
    import django.core.cache  # noqa: F401 - only whether it is there
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "cachegrid.integrations.django needs Django: pip install 'cachegrid[django]'"
    ) from missing

from cachegrid.integrations.django.backend import CacheGridCache
from cachegrid.integrations.django.grids import aclose
from cachegrid.integrations.django.ground import NotStored
from cachegrid.integrations.django.queries import acached, cached
from cachegrid.integrations.django.watch import changed
from cachegrid.integrations.places import close

__all__ = ["CacheGridCache", "NotStored", "acached", "aclose", "cached", "changed", "close"]
