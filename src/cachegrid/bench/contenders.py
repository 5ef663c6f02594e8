"""Who is measured: cachegrid, the bare socket, and every other client, each in the best way it documents."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from cachegrid import __version__
from cachegrid.bench import bare, ours, peers
from cachegrid.bench.load import Load
from cachegrid.cluster import GridState

__all__ = ["BARE", "CACHEGRID", "CONTENDERS", "GLIDE", "VALKEY_PY", "Contender"]

BARE, CACHEGRID, GLIDE, VALKEY_PY = "bare socket", "cachegrid", "valkey-glide", "valkey-py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A client, and how to open it on the grid of the run."""

    name: str
    colour: str  # "sync" or "async"
    way: str  # how it asks for 100 keys; a cache in the process: how it keeps a record
    open: Callable[[GridState, Load], AbstractAsyncContextManager[Any]]  # gives its Calls, or its Hits
    package: str  # that it comes in

    @property
    def is_async(self) -> bool:
        """Whether its calls are awaited."""
        return self.colour == "async"

    @property
    def version(self) -> str:
        """The installed version; empty when it is not installed."""
        if self.package == "cachegrid":
            return __version__
        if self.package == "python":
            return platform.python_version()
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""


def _contender(name: str, colour: str, package: str, way: str, opener: peers.Opener) -> Contender:
    return Contender(name=name, colour=colour, package=package, way=way, open=opener)


# For those with several ways to ask for 100 keys it is the one that was fastest when all of them were tried.
CONTENDERS: Final = (
    _contender(BARE, "sync", "libvalkey", "one write per owner", bare.open_bare),
    _contender(CACHEGRID, "sync", "cachegrid", "get_many", ours.open_sync),
    _contender(f"{CACHEGRID}, by ports", "sync", "cachegrid", "get_many", ours.open_sync_by_ports),
    _contender(f"{CACHEGRID}, str", "sync", "cachegrid", "get_many", ours.open_sync_text),
    _contender(VALKEY_PY, "sync", "valkey", "mget_nonatomic", peers.open_valkey_py),
    _contender(f"{VALKEY_PY}, no libvalkey", "sync", "valkey", "mget_nonatomic", peers.open_valkey_py_alone),
    _contender("redis-py", "sync", "redis", "mget_nonatomic", peers.open_redis_py),
    _contender(GLIDE, "sync", "valkey-glide-sync", "mget", peers.open_glide),
    _contender(CACHEGRID, "async", "cachegrid", "get_many", ours.open_async),
    _contender(GLIDE, "async", "valkey-glide", "mget", peers.aopen_glide),
    _contender("coredis", "async", "coredis", "pipeline", peers.aopen_coredis),
    _contender(VALKEY_PY, "async", "valkey", "mget_nonatomic", peers.aopen_valkey_py),
    _contender("redis-py", "async", "redis", "mget_nonatomic", peers.aopen_redis_py),
)
