"""Who is measured: cachegrid with near copies, a plain dict, and the caches that live in one process."""

from __future__ import annotations

from typing import Final

from cachegrid.bench.contenders import CACHEGRID, Contender
from cachegrid.bench.near import ours, peers

__all__ = ["DICT", "NEAR_CONTENDERS"]

DICT: Final = "a dict"
_BY_HAND: Final = "pickle by hand"


def _contender(name: str, colour: str, package: str, way: str, opener: peers.Opener) -> Contender:
    return Contender(name=name, colour=colour, package=package, way=way, open=opener)


NEAR_CONTENDERS: Final = (
    _contender(DICT, "sync", "python", "", peers.open_dict),
    _contender(CACHEGRID, "sync", "cachegrid", "plain", ours.open_sync),
    _contender("functools.lru_cache", "sync", "python", _BY_HAND, peers.open_lru_cache),
    _contender("cachebox", "sync", "cachebox", _BY_HAND, peers.open_cachebox),
    _contender("cachetools", "sync", "cachetools", _BY_HAND, peers.open_cachetools),
    _contender("dogpile.cache", "sync", "dogpile.cache", "memory_pickle", peers.open_dogpile),
    _contender("Django locmem", "sync", "django", "pickle", peers.open_locmem),
    _contender(CACHEGRID, "async", "cachegrid", "plain", ours.open_async),
    _contender("aiocache", "async", "aiocache", "PickleSerializer", peers.aopen_aiocache),
    _contender("cashews", "async", "cashews", "pickle_type=default", peers.aopen_cashews),
)
