# Generated from src/cachegrid/_aio/cache.py by tools/colour.py. Edit that file, then run `make colour`.
"""A named cache: from keys to addresses, from values to frames, and to the engine that owns the entry."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, cast, overload

from cachegrid._core.address import Key, Space, unique
from cachegrid._core.events import Event, EventKind
from cachegrid._core.judges import check_judge
from cachegrid._core.miss import MISS, UNSAID, Unsaid
from cachegrid._core.sources import version_in_source
from cachegrid._core.stats import CacheStats
from cachegrid._core.tags import Tags, tags_in
from cachegrid._core.units import Duration, Span, milliseconds, patience_of
from cachegrid._sio.batchloads import SyncBatchLoads
from cachegrid._sio.cell import FAR
from cachegrid._sio.events import SyncSubscription
from cachegrid._sio.face import SyncFace
from cachegrid._sio.functions import (
    SyncCachedClassMethod,
    SyncCachedFunction,
    SyncCachedProperty,
    SyncDecorator,
    SyncTakesAnything,
)
from cachegrid._sio.kinds import binder_of, check_colour, check_origin, check_settings, inner_of, label_of
from cachegrid._sio.lock import SyncGridLock
from cachegrid._sio.refreshes import SyncRefreshes
from cachegrid.config import CachePolicy, policy_said
from cachegrid.errors import ConfigError, KeyRefused, ValueRefused

if TYPE_CHECKING:
    from typing import Unpack

    from cachegrid.config import LoadRules

__all__ = ["SyncCache"]

K = TypeVar("K", bound=Key)  # to a type checker, a mapping of str is none of Key
P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
T = TypeVar("T")

_KINDS: Final[dict[type | None, type[SyncCachedFunction[..., Any]]]] = {
    classmethod: SyncCachedClassMethod,
    property: SyncCachedProperty,
}


class SyncCache(SyncRefreshes, SyncBatchLoads, SyncFace):
    """
    A named cache of a grid: the same entries for every process that opens it by this name.

    Values are kept by value: what comes out is a fresh copy. None is a value. `ttl` and `idle` are seconds, a timedelta
    or text such as "5m"; left out, the cache's policy holds, and None means without end. Every method may raise
    EngineTimeout when the deadline of the grid passes, KeyRefused and ValueRefused for what cannot be kept.
    """

    # Reading.

    def get(self, key: Key, default: Any = None) -> Any:
        """The value of an entry, or `default` where there is none."""
        value = self._near(key)
        if value is FAR:
            value = self._read_grid(key)
        return default if value is MISS else value

    @overload
    def get_many(self, keys: Iterable[K]) -> dict[K, Any]: ...
    @overload
    def get_many(  # type: ignore[overload-cannot-match] # it does: keys of several kinds in one list
        self, keys: Iterable[Key]
    ) -> dict[Key, Any]: ...
    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """The values of those entries that are there, in the order asked for; one trip to each member."""
        return self._read_many(unique(keys))

    def peek(self, key: Key, default: Any = None) -> Any:
        """
        The value of an entry, or `default`, for who only looks on: a read that leaves no trace.

        It is counted nowhere, begins no idle time anew, keeps no near copy and loads nothing anew.
        """

        def act(space: Space) -> Any:
            address = space.address(key)
            raw = self._engine.fetch(address)
            self._saw(address, raw)
            return MISS if raw is None else self._seen(address, raw)

        value = self._steadily(act, counts=False)
        return default if value is MISS else value

    def has(self, key: Key) -> bool:
        """Whether there is an entry; reading it counts as a read."""
        return self._read(key) is not MISS

    def _keys(self, match: str | None) -> Iterator[Key]:
        """What `keys` says; that one, and `items`, are where the colours differ."""
        seen: set[Key] = set()
        for space, page in self._pages():
            for address in page:
                key = space.key(address)
                if key is None or key in seen:
                    continue
                if match is None or (isinstance(key, str) and fnmatch.fnmatchcase(key, match)):
                    seen.add(key)
                    yield key

    def _pages(self) -> Iterator[tuple[Space, list[bytes]]]:
        """The addresses of all entries, page by page, and their space; anew where the cache was cleared meanwhile."""
        walked = b""
        while (space := self._settle()).prefix != walked:
            walked = space.prefix
            for page in self._engine.walk(walked):
                # Owners tell of a clear before they answer: a page from before it is known for one here.
                if (self._settle()).prefix == walked:
                    yield space, page

    def _items(self) -> Iterator[tuple[Key, Any]]:
        for key in self._keys(None):
            value = self._read(key)
            if value is not MISS:
                yield key, value

    def __iter__(self) -> Iterator[Key]:
        return self._keys(None)

    # Writing.

    def set(self, key: Key, value: Any, *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()) -> None:
        """
        Store a value, whatever was there. Raises ValueTooLarge and GridFull; the old entry is as it was then.

        `tags` are names by which `invalidate` drops it along with others. Where the policy says `on_full="skip"`,
        a full member keeps neither: the old entry is dropped, and `skips` in `stats()` counts it.
        """
        ends = self._ends(ttl, idle)

        def store(stamps: bytes) -> bool:
            def act(space: Space) -> bool:
                address = space.address(key)
                return self._put(address, self._freeze(address, key, value, ends, stamps), ends.engine)

            return self._steadily(act, [key])

        stored = self._tagging(tags_in(tags), ends, store) if tags else store(b"")
        self._counters.stores += stored  # apart: what others count while this waits would be lost
        if stored and self._voice.kinds:
            self._tell("set", key, tags_in(tags))

    @overload
    def set_many(
        self, values: Mapping[Key, Any], *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()
    ) -> None: ...
    @overload
    def set_many(
        self, values: Mapping[K, Any], *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()
    ) -> None: ...
    @overload
    def set_many(
        self, values: Iterable[tuple[Key, Any]], *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()
    ) -> None: ...
    def set_many(self, values: Any, *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()) -> None:
        """
        Store many values, of a mapping or of pairs, with one trip to each member; not one atomic step.

        Encodes all before it stores any. What a full member does not take is as `set` says.
        """
        ends = self._ends(ttl, idle)
        values = _paired(values)

        def store(stamps: bytes) -> int:
            def act(space: Space) -> int:
                addressed = [(space.address(key), key, value) for key, value in values.items()]
                return self._put_many(
                    [
                        (where, self._freeze(where, key, value, ends, stamps), ends.engine)
                        for where, key, value in addressed
                    ]
                )

            return self._steadily(act, list(values))

        stored = self._tagging(tags_in(tags), ends, store) if tags else store(b"")
        self._counters.stores += stored  # apart: what others count while this waits would be lost
        if stored and self._voice.kinds:
            for key in values:
                self._tell("set", key, tags_in(tags))

    def touch(self, key: Key, ttl: Span = UNSAID) -> bool:
        """Give an entry a new time to live from now; whether there is one. Its idle time goes on."""
        ms = self._ends(ttl, None).ttl
        self._drop_dead(key, lives=ms)

        def act(space: Space) -> bool:
            return self._writer.touch(space.address(key), ms, time.time_ns() // 1_000_000)

        return self._steadily(act)

    def delete(self, key: Key) -> bool:
        """Drop an entry; whether there was one. A load of it that is under way, in any process, is not kept either."""

        def act(space: Space) -> bool:
            address = space.address(key)
            self._hub.flights.spoil(address)
            return self._writer.drop(address)

        dropped = self._steadily(act)
        self._counters.drops += dropped
        if dropped and self._voice.kinds:
            self._tell("deleted", key)
        return dropped

    def expire(self, key: Key) -> bool:
        """
        Let an entry be past its end now, for everybody; whether there was one that was not.

        Where it has `grace`, loads serve it for so long from now on, while one of them loads it anew; to all other
        reads it is gone. Without grace it is deleted. A load of it that is under way is not kept, as with `delete`.
        """
        ended = None if "conditions" in self._hub.lacking else self._end_now(key)
        if ended is None:
            return self.delete(key)
        self._counters.drops += ended
        if ended and self._voice.kinds:
            self._tell("deleted", key)
        return ended

    def delete_many(self, keys: Iterable[Key]) -> int:
        """Drop entries, one trip to each member; how many there were."""
        keys = unique(keys)

        def act(space: Space) -> int:
            addresses = space.addresses(keys)
            for address in addresses:
                self._hub.flights.spoil(address)
            return self._writer.drop_many(addresses)

        dropped = self._steadily(act)
        self._counters.drops += dropped
        if dropped and self._voice.kinds:
            for key in keys:
                self._tell("deleted", key)
        return dropped

    def clear(self) -> None:
        """
        Drop all entries, for everybody, at a cost that does not depend on how many there are.

        On return no read that begins later, in any process, sees an entry from before; only near copies in other
        processes may be handed out until the news is there. Memory is freed in the background. Once begun it is done
        to the end, also when its caller is cancelled.
        """
        self._settle()
        # Broken off in the middle, it would have raised the epoch and told nobody.
        self._hub.tasks.see_through(self._clear)

    def invalidate(
        self, tags: Tags | None = None, *, prefix: str | None = None, where: Callable[[Key], bool] | None = None
    ) -> None:
        """
        Drop the entries that have any of these tags, for everybody, at a cost that does not depend on how many have.

        It holds for the results of functions that this cache keeps, too. On return no read that begins later, in any
        process, sees one of them; only near copies in other processes may be handed out until the news is there. What
        is being loaded meanwhile is not kept. Memory is freed in the background. Once begun it is done to the end.
        An empty collection of tags drops nothing.

        For operators: `prefix` drops the entries whose str keys begin so, `where` those whose keys it says True of.
        That walks through the cache in the background, page by page; `settle` of the grid waits for it. If it cannot
        go on, the log says so.
        """
        if tags is None and prefix is None and where is None:
            raise ConfigError("what to invalidate", None, 'tags=..., prefix="..." or where=...; `clear` drops all')
        if prefix is not None and not isinstance(prefix, str):
            raise ConfigError("prefix", prefix, "a str, with which keys begin that are dropped")
        if where is not None:
            check_judge("where", where, "a function that says of a key whether its entry is dropped")
        named = () if tags is None else tags_in(tags)
        if not named and prefix is None and where is None:
            return
        self._settle()
        if named:
            self._hub.tasks.see_through(self._raise_tags, [self._parent + tag for tag in named])
        if self._voice.kinds:
            self._tell("invalidated", tags=named)
        if prefix is not None or where is not None:
            self._hub.tasks.spawn(self._drop_walked, prefix, where)

    # Functions. What takes anything as its first argument comes first: it would pass for a class method, too.

    @overload
    def cached(self, function: property, /) -> SyncCachedProperty[Any]: ...
    @overload
    def cached(  # type: ignore[overload-overlap] # as said
        self, function: SyncTakesAnything[P, Q, T], /
    ) -> SyncCachedFunction[P, T]: ...
    @overload
    def cached(self, function: Callable[Concatenate[type[S], P], T], /) -> SyncCachedClassMethod[S, P, T]: ...
    @overload
    def cached(self, function: classmethod[S, P, T], /) -> SyncCachedClassMethod[S, P, T]: ...
    @overload
    def cached(self, function: Callable[P, T], /) -> SyncCachedFunction[P, T]: ...
    @overload
    def cached(
        self,
        function: None = None,
        /,
        *,
        ttl: Span = UNSAID,
        idle: Span = UNSAID,
        tags: Tags | Callable[..., Tags] = (),
        when: Callable[[Any], bool] | None = None,
        version: int | str = 1,
        ignore: Iterable[str] = (),
        key: Callable[..., Key] | None = None,
        name: str | None = None,
        **rules: Unpack[LoadRules],
    ) -> SyncDecorator: ...
    def cached(
        self,
        function: Any = None,
        /,
        *,
        ttl: Span = UNSAID,
        idle: Span = UNSAID,
        tags: Tags | Callable[..., Tags] = (),
        when: Callable[[Any], bool] | None = None,
        version: int | str = 1,
        ignore: Iterable[str] = (),
        key: Callable[..., Key] | None = None,
        name: str | None = None,
        **rules: Unpack[LoadRules],
    ) -> Any:
        """
        Keep the results of a function in this cache; the decorated one loads once for all callers in the grid.

        A key is made from the function's module and qualified name (or `name`), its `version`, and the arguments bound
        to its parameters with defaults applied, but for those in `ignore`; or by `key(*args, **kwargs)`. Raise
        `version` when the meaning of results changes; with "source" it is another one when the function's own source
        is. Works on functions, methods, class methods, static methods and properties; put it above `@classmethod`, for
        what is under that has no `invalidate` of the class on Python 3.13. Put `@cachegrid.collected` between it and a
        generator.

        `tags` are those of the results, or a function of the arguments that gives them: `invalidate` of this cache
        drops all that have one. `when` says of a result whether it is kept. `ttl`, `idle` and the rules `grace`,
        `early`, `jitter`, `negative_ttl` and `failure_ttl` are those of this cache's policy, said anew for it.

        Functions of one name share their results, also those that one function makes, again and again. That is meant
        where they do the same, as in an application that is made anew for each test. It is a ConfigError where this
        process can tell that they do not: they stand at other places of what was read in one go, or were made for
        another `self`; or a number, a text, a function or another value that cannot change, which they have from the
        one that made them, is another one. Give each its `name`, or make the value a parameter. A method that was
        taken from an object is kept with the object in its keys.
        """

        def decorate(function: Any) -> SyncCachedFunction[..., Any]:
            function, binds = inner_of(function)
            check_colour(function, self)
            made_of = version_in_source(function) if version == "source" else version
            label = f"{name or label_of(function)}-{made_of}"
            make_key = binder_of(function, ignore).key if key is None else _spread(key)
            origins, place = self._hub.origins, "/".join([*self._names, label])
            check_origin(function, origins, place, is_keyed=key is not None)
            changes = {what: it for what, it in (("ttl", ttl), ("idle", idle)) if not isinstance(it, Unsaid)} | rules
            kind = _KINDS.get(binds, SyncCachedFunction)
            return kind(function, self._inner(label, changes), make_key, binds, tags=tags, when=when)

        check_settings(key, when, ignore, version)
        return decorate if function is None else decorate(function)

    # Around.

    def with_durability(self, durability: str | None = None, *, replicas: int | None = None) -> SyncCache:
        """
        The same cache with another durability of what is written to it: the same entries, near copies and counters.

        `durability` is "memory", "replicated" or "disk", `replicas` how many of them shall have applied each write
        before it returns; both together are both. The same call gives the same object. A write that does not come so
        far within the grid's `timeout` raises NotDurable: it was applied by its owner. Unsupported where owners
        keep nothing on disk.
        """
        said = {"durability": durability, "replicas": replicas}
        if durability is None and replicas is None:
            want = '"memory", "replicated" or "disk", or said as replicas=2'
            raise ConfigError(f"the durability of cache {self.name!r}", None, want)
        policy = policy_said(self.name, self.policy, {name: it for name, it in said.items() if it is not None})
        waits_for = policy.waits_for
        if waits_for == self.policy.waits_for:
            return self
        known: SyncCache | None = self._twins.get(waits_for)
        if known is None:
            known = cast("SyncCache", self._twins.setdefault(waits_for, self._twin(policy)))
        return known

    def lock(self, key: Key, *, lease: Duration = "10s", wait: Duration = "30s") -> SyncGridLock:
        """A lock in the grid, named by a key; it has nothing to do with an entry of that key."""
        return self.make_lock(key, milliseconds("lease", lease), patience_of("wait", wait))

    def stats(self) -> CacheStats:
        """What this process counted on this cache, and on the functions it keeps results of."""
        return self._counters.snapshot(self._near_now())

    def on(self, kind: EventKind, fn: Callable[[Event], object], *, everywhere: bool = False) -> SyncSubscription:
        """
        Call `fn` with an `Event` whenever something of a kind happens to this cache, or to what functions keep in it.

        "set", "deleted", "invalidated", "loaded" and "outage" tell what this process does. With `everywhere=True`
        the owners of the entries tell of "set", "deleted", "expired", "evicted" and "invalidated", whoever did it.
        Raises AccessDenied where an owner may not be asked to, and ConfigError for a kind that nobody can tell.

        Events wait in a queue of the grid object, and are told in order, by one task or thread. What does not fit is
        dropped, and counted: `events_dropped`. What `fn` raises is logged and counted: `event_failures`. The answer
        has `off`, and is a context manager, for `with`, that calls it.
        """
        subscription = SyncSubscription(self._hub.events, self._source(), kind, fn, everywhere=everywhere)
        self._settle()
        self._hub.events.join(subscription, self._hub.opened and self._hub.opened.engine)
        return subscription

    def _near_now(self) -> dict[str, int]:
        return {}

    def _twin(self, policy: CachePolicy) -> SyncCache:
        """The same cache, with another policy for writing."""
        return SyncCache(self._hub, self.name, policy, inside=self._inside, counters=self._counters)

    def _inner(self, name: str, changes: dict[str, Any]) -> SyncCache:
        """A cache inside this one: with epochs of its own, and cleared along with this one."""
        return SyncCache(
            self._hub, self.name, self.policy.changed(**changes).of_loads(), inside=name, counters=self._counters
        )


def _paired(values: Any) -> dict[Key, Any]:
    """Each key with its value, of a mapping or of pairs. Raises ValueRefused for anything else."""
    if hasattr(values, "items"):
        return dict(values.items())
    if isinstance(values, Iterable) and not isinstance(values, (str, bytes)):
        pairs = list(values)
        if all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
            try:
                return dict(pairs)
            except TypeError as error:
                message = f"one of the keys cannot be one ({error}); a key is str, bytes, int or a tuple of them"
                raise KeyRefused(message) from error
    message = f"set_many takes a mapping, or pairs of a key and a value, and got {values!r:.60}"
    raise ValueRefused(message, kind=type(values))


def _spread(key: Callable[..., Key]) -> Callable[[tuple[Any, ...], dict[str, Any]], Key]:
    return lambda args, kwargs: key(*args, **kwargs)
