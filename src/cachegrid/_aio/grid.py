"""A grid of cached data, as an application sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.cell import AsyncCell
from cachegrid._aio.face import AsyncGridFace
from cachegrid._aio.hub import AsyncHub, AsyncOpened
from cachegrid._aio.lock import AsyncGridLock
from cachegrid._core.address import Key, check_name
from cachegrid._core.stats import GridStats
from cachegrid._core.units import Duration, milliseconds, patience_of, seconds_of
from cachegrid.config import CachePolicy, Settings, policy_said
from cachegrid.engines._aio.protocol import AsyncPaths
from cachegrid.engines.facts import MemberFacts, PathFacts
from cachegrid.errors import ConfigError

if TYPE_CHECKING:
    from typing import Unpack

    from cachegrid._aio.sharing import AsyncSharing
    from cachegrid._core.sharing import SharedStats
    from cachegrid.config import PolicySaid

__all__ = ["AsyncGrid"]


class AsyncGrid(AsyncGridFace):
    """
    A grid: named caches, partitioned over its members.

    What `connect()` gives is connected; what `aconnect()` gives connects at its first use, and so may be made at import
    time. Close it with `aclose`, or use it as a context manager. In a forked child it goes on with its own connections.

    One sync grid serves all threads. One async grid serves all tasks of an event loop, and of another loop when that
    one has ended; where the loops of two threads run at the same time, calls raise EngineError: make a grid for each.
    """

    def __init__(self, opener: Callable[[], Awaitable[AsyncOpened]], settings: Settings) -> None:
        self._hub = AsyncHub(opener, settings)
        self._caches: dict[str, AsyncCache] = {}
        self._locks = AsyncCell(self._hub, "!", CachePolicy())  # a name that no cache can have
        self._sharing: AsyncSharing | None = None
        if settings.share_stats is not None:
            from cachegrid._aio.sharing import AsyncSharing

            self._sharing = AsyncSharing(self._hub, seconds_of("share_stats", settings.share_stats), self.stats)

    def cache(self, name: str = "default", **policy: Unpack[PolicySaid]) -> AsyncCache:
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

    def _make(self, name: str, policy: CachePolicy) -> AsyncCache:
        if policy.near is None:
            return AsyncCache(self._hub, name, policy)
        from cachegrid._aio.near import AsyncNearCache

        return AsyncNearCache(self._hub, name, policy)

    def lock(self, name: Key, *, lease: Duration = "10s", wait: Duration = "30s") -> AsyncGridLock:
        """
        A lock in the grid, to be used with `async with`, or `acquire` and `release`.

        It ends `lease` after its holder died; `wait` is how long `acquire` waits for another holder; 0: not at all.
        """
        return self._locks.make_lock(name, milliseconds("lease", lease), patience_of("wait", wait))

    async def members(self) -> list[MemberFacts]:
        """What each member tells of itself, owners first; one that does not answer has `up=False`."""
        return await (await self._hub.open()).members()

    def caches(self) -> list[str]:
        """
        The names of the caches that the settings declare, or that this program has opened with `cache`; in order.

        What else other programs keep in the grid is not known here.
        """
        return sorted({*self._hub.settings.caches, *self._caches})

    def stats(self) -> GridStats:
        """What this process counted on each cache that it opened here, by name; `total` of it is the sum."""
        return GridStats({name: cache.stats() for name, cache in list(self._caches.items())})

    async def shared_stats(self) -> SharedStats:
        """
        What all processes counted that share it (the setting `share_stats`), on each cache, by name; also `total`.

        `processes` is how many they were, `alive` how many of them run, and `since` when the first of them began. Those
        that run tell what they count each time that `share_stats` has passed, and when their grid is closed; this one,
        if it shares, tells it now.
        """
        from cachegrid._aio.sharing import AsyncLedger

        if self._sharing is not None:
            return await self._sharing.read()
        return await AsyncLedger(self._hub).read()

    def paths(self) -> list[PathFacts]:
        """
        How this process gets on with each owner: whether its circuit is open, and how many requests are under way.

        Empty until it is connected, and for grids that live in this process.
        """
        engine = None if self._hub.opened is None else self._hub.opened.engine
        return engine.paths() if isinstance(engine, AsyncPaths) else []

    @property
    def name(self) -> str:
        """The grid's name; empty until it is connected."""
        return self._hub.opened.name if self._hub.opened else ""

    @property
    def url(self) -> str:
        """Where the grid is, without a password; empty until it is connected."""
        return self._hub.opened.url if self._hub.opened else ""

    async def connect(self) -> Self:
        """Connect now, and not at the first use."""
        await self._hub.open()
        return self

    async def settle(self) -> None:
        """
        Wait until background work is done, such as freeing the memory of cleared entries, or loading anew.

        What has happened here by then has been told to those who listen (`on`).
        """
        await self._hub.tasks.settle()
        await self._hub.reloads.settle()
        await self._hub.bounds.settle()
        await self._hub.events.settle()

    async def aclose(self) -> None:
        """
        Close all connections and end all background work. May be called twice.

        The memory of what was cleared is freed first, and events that wait are told, as far as each of these is done
        within the grid's `timeout`. What was counted is shared before, if it is (`share_stats`).
        """
        await self._hub.aclose()

    def __repr__(self) -> str:
        where = f"{self.name!r}, {self.url!r}" if self._hub.opened else "not connected"
        return f"{type(self).__name__}({where})"

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
