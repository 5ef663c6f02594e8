# Generated from src/cachegrid/_aio/grid.py by tools/colour.py. Edit that file, then run `make colour`.
"""A grid of cached data, as an application sees it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cachegrid._core.address import Key, check_name
from cachegrid._core.stats import GridStats
from cachegrid._core.units import Duration, milliseconds, patience_of, seconds_of
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.cell import SyncCell
from cachegrid._sio.face import SyncGridFace
from cachegrid._sio.hub import SyncHub, SyncOpened
from cachegrid._sio.lock import SyncGridLock
from cachegrid.config import CachePolicy, Settings, policy_said
from cachegrid.engines._sio.protocol import SyncPaths
from cachegrid.engines.facts import MemberFacts, PathFacts
from cachegrid.errors import ConfigError

if TYPE_CHECKING:
    from typing import Unpack

    from cachegrid._core.sharing import SharedStats
    from cachegrid._sio.sharing import SyncSharing
    from cachegrid.config import PolicySaid

__all__ = ["SyncGrid"]


class SyncGrid(SyncGridFace):
    """
    A grid: named caches, partitioned over its members.

    What `connect()` gives is connected; what `connect()` gives connects at its first use, and so may be made at import
    time. Close it with `close`, or use it as a context manager. In a forked child it goes on with its own connections.

    One sync grid serves all threads. One async grid serves all tasks of an event loop, and of another loop when that
    one has ended; where the loops of two threads run at the same time, calls raise EngineError: make a grid for each.
    """

    def __init__(self, opener: Callable[[], SyncOpened], settings: Settings) -> None:
        self._hub = SyncHub(opener, settings)
        self._caches: dict[str, SyncCache] = {}
        self._locks = SyncCell(self._hub, "!", CachePolicy())  # a name that no cache can have
        self._sharing: SyncSharing | None = None
        if settings.share_stats is not None:
            from cachegrid._sio.sharing import SyncSharing

            self._sharing = SyncSharing(self._hub, seconds_of("share_stats", settings.share_stats), self.stats)

    def cache(self, name: str = "default", **policy: Unpack[PolicySaid]) -> SyncCache:
        """
        The cache of a name, with its policy: what the settings say of it, changed by `policy` (see `CachePolicy`).

        `near=True` keeps near copies as declared, a table changes what it names of that, and `near=False` keeps none.
        The same name gives the same object, for which one policy holds: asked for again with another one, it is a
        ConfigError. Another grid object, of one more call to connect, may have another policy.
        """
        known = self._caches.get(name)
        if known is None:
            declared = self._hub.settings.caches.get(check_name("cache name", name), CachePolicy())
            made = self._make(name, policy_said(name, declared, policy))
            known = self._caches.setdefault(name, made)  # of several threads at once one makes it
        if policy and not policy_said(name, known.policy, policy).means_the_same_as(known.policy):
            want = (
                f"what this grid object opened the cache with first, {known!r}; leave the policy out here, or open the "
                "cache on another grid object, by connecting once more"
            )
            raise ConfigError(f"the policy of cache {name!r}", policy, want)
        return known

    def _make(self, name: str, policy: CachePolicy) -> SyncCache:
        if policy.near is None:
            return SyncCache(self._hub, name, policy)
        from cachegrid._sio.near import SyncNearCache

        return SyncNearCache(self._hub, name, policy)

    def lock(self, name: Key, *, lease: Duration = "10s", wait: Duration = "30s") -> SyncGridLock:
        """
        A lock in the grid, to be used with `with`, or `acquire` and `release`.

        It ends `lease` after its holder died; `wait` is how long `acquire` waits for another holder; 0: not at all.
        """
        return self._locks.make_lock(name, milliseconds("lease", lease), patience_of("wait", wait))

    def members(self) -> list[MemberFacts]:
        """What each member tells of itself, owners first; one that does not answer has `up=False`."""
        return (self._hub.open()).members()

    def caches(self) -> list[str]:
        """
        The names of the caches that the settings declare, or that this program has opened with `cache`; in order.

        What else other programs keep in the grid is not known here.
        """
        return sorted({*self._hub.settings.caches, *self._caches})

    def stats(self) -> GridStats:
        """What this process counted on each cache that it opened here, by name; `total` of it is the sum."""
        return GridStats({name: cache.stats() for name, cache in list(self._caches.items())})

    def shared_stats(self) -> SharedStats:
        """
        What all processes counted that share it (the setting `share_stats`), on each cache, by name; also `total`.

        `processes` is how many they were, `alive` how many of them run, and `since` when the first of them began. Those
        that run tell what they count each time that `share_stats` has passed, and when their grid is closed; this one,
        if it shares, tells it now.
        """
        from cachegrid._sio.sharing import SyncLedger

        if self._sharing is not None:
            return self._sharing.read()
        return SyncLedger(self._hub).read()

    def paths(self) -> list[PathFacts]:
        """
        How this process gets on with each owner: whether its circuit is open, and how many requests are under way.

        Empty until it is connected, and for grids that live in this process.
        """
        engine = None if self._hub.opened is None else self._hub.opened.engine
        return engine.paths() if isinstance(engine, SyncPaths) else []

    @property
    def name(self) -> str:
        """The grid's name; empty until it is connected."""
        return self._hub.opened.name if self._hub.opened else ""

    @property
    def url(self) -> str:
        """Where the grid is, without a password; empty until it is connected."""
        return self._hub.opened.url if self._hub.opened else ""

    def connect(self) -> Self:
        """Connect now, and not at the first use."""
        self._hub.open()
        return self

    def settle(self) -> None:
        """
        Wait until background work is done, such as freeing the memory of cleared entries, or loading anew.

        What has happened here by then has been told to those who listen (`on`).
        """
        self._hub.tasks.settle()
        self._hub.reloads.settle()
        self._hub.bounds.settle()
        self._hub.events.settle()

    def close(self) -> None:
        """
        Close all connections and end all background work. May be called twice.

        The memory of what was cleared is freed first, and events that wait are told, as far as each of these is done
        within the grid's `timeout`. What was counted is shared before, if it is (`share_stats`).
        """
        self._hub.close()

    def __repr__(self) -> str:
        where = f"{self.name!r}, {self.url!r}" if self._hub.opened else "not connected"
        return f"{type(self).__name__}({where})"

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
