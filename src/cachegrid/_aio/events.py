"""
Telling what happens: events wait in a bounded queue, and one task or thread of the grid object tells them in order.

What this process does its caches say by themselves. What happens in the whole grid the owners tell, for as long as
somebody listens; whoever passes that on reads it as an event, since for that an epoch may have to be asked for.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeAlias

from cachegrid._aio.ability import refusal
from cachegrid._core.events import Event, EventKind, Happening, Topic, Voice, checked_kind, event_of
from cachegrid._core.stats import Counters
from cachegrid.engines._aio.protocol import AsyncEngine, AsyncTells
from cachegrid.errors import ConfigError
from cachegrid.waits._aio import COLOUR, AsyncEvent, AsyncLock, AsyncTasks, AsyncWake, AsyncWork, Mutex

__all__ = ["MOST_WAITING", "AsyncEvents", "AsyncSource", "AsyncSubscription"]

MOST_WAITING: Final = 10_000  # events of one grid object
_A_WHILE: Final = 5.0  # seconds after which who waits looks whether anybody is at work

Fn: TypeAlias = Callable[[Event], Any]  # what it returns is awaited where that can be
_AWAITS: Final = str(COLOUR) == "async"
_tells: ContextVar[bool] = ContextVar("cachegrid_tells", default=False)  # whether this is who tells the events


class AsyncSource(NamedTuple):
    """The cache whose events are listened to."""

    name: str  # of the cache that owns the entries, and counts
    cache: str  # the same; or with "/" and the name of a function, whose results they are
    parent: bytes  # what all addresses of it begin with
    counters: Counters
    epoch: Callable[[], Awaitable[int]]  # of the whole cache


class AsyncSubscription:
    """What `on` of a cache gives: it is told until `off`, or the end of a `with` block."""

    def __init__(self, events: AsyncEvents, source: AsyncSource, kind: EventKind, fn: Fn, *, everywhere: bool) -> None:
        self.kind, self.everywhere = kind, everywhere
        self.source, self.fn = source, fn
        # What owners are asked to tell for it.
        self.topic = Topic(source.parent, kind == "invalidated") if everywhere else None
        self._events = events

    def off(self) -> None:
        """Be told no longer; also of nothing that waits to be told. May be called twice."""
        self._events.leave(self)

    def wants(self, event: Event, topic: Topic | None) -> bool:
        """Whether an event is one for it, said here or by owners under a topic."""
        cache = self.source.cache
        is_of_it = event.cache == cache or event.cache.startswith(cache + "/")
        return event.kind == self.kind and self.topic == topic and is_of_it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.off()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind!r}, cache={self.source.cache!r}, everywhere={self.everywhere})"


class _Told(NamedTuple):
    """What waits to be told: an event, or what an owner said of a topic; or somebody waits for all before it."""

    counters: Counters
    what: Event | Happening | AsyncEvent
    topic: Topic | None = None


class AsyncEvents:
    """The events of one grid object, and who listens to them. Serves all threads."""

    def __init__(self) -> None:
        self._voices: dict[str, Voice] = {}  # by cache
        self._subscriptions: tuple[AsyncSubscription, ...] = ()  # replaced, never changed
        self._topics: frozenset[Topic] = frozenset()  # that the engine tells of
        self._engine: AsyncTells | None = None
        self._queue: deque[_Told] = deque()
        self._tasks = AsyncTasks()
        self._work: AsyncWork | None = None
        self._wake: AsyncWake | None = None
        self._closing = False
        self._changing = Mutex()
        self._asking = AsyncLock()

    def voice(self, cache: str) -> Voice:
        """What is listened to of a cache; always the same object."""
        return self._voices.setdefault(cache, Voice())

    # Who listens.

    async def join(self, subscription: AsyncSubscription, engine: AsyncEngine | None) -> None:
        """Tell it from now on. Raises what the engine says of a topic that it does not tell of."""
        checked_kind(subscription.kind, everywhere=subscription.everywhere)
        _check_colour(subscription)
        with self._changing:
            self._subscriptions = (*self._subscriptions, subscription)
            self._note()
        try:
            await self._ask(subscription.topic, engine)
        except BaseException:
            self.leave(subscription)
            raise
        self._begin()

    def leave(self, subscription: AsyncSubscription) -> None:
        """Tell it no longer, and let owners tell nothing that nobody listens to."""
        with self._changing:
            self._subscriptions = tuple([one for one in self._subscriptions if one is not subscription])
            self._note()
            unheard = self._topics - {one.topic for one in self._subscriptions}
            self._topics -= unheard
            for topic in unheard:
                if self._engine is not None:
                    self._engine.unlisten(topic)
            if not self._subscriptions and self._wake is not None:
                self._wake.ring()  # so that it ends

    async def _ask(self, topic: Topic | None, engine: AsyncEngine | None) -> None:
        if topic is None:
            return
        if not isinstance(engine, AsyncTells):
            raise refusal(engine, "owners that tell what happens", "everywhere=True")
        async with self._asking:
            with self._changing:  # or somebody leaves, and the engine is just being told so
                is_new = topic not in self._topics
            if is_new:
                self._engine = engine
                await engine.listen(topic, self)
                self._topics |= {topic}

    def _note(self) -> None:
        for name, voice in list(self._voices.items()):  # another thread may open a cache
            here = [one for one in self._subscriptions if one.source.name == name and not one.everywhere]
            voice.kinds = frozenset([one.kind for one in here])

    # What happens.

    def tell(self, counters: Counters, event: Event) -> None:
        """Something has happened here."""
        self._put(_Told(counters, event))
        self._begin()

    def happened(self, topic: Topic, happening: Happening) -> None:
        """An owner has told something."""
        heard = [one for one in self._subscriptions if one.topic == topic and one.kind == happening.kind]
        if heard:
            self._put(_Told(heard[0].source.counters, happening, topic))
            if self._wake is not None:
                self._wake.ring()

    def _put(self, told: _Told) -> None:
        # Threads that come at once may put some more than there is room for. Who waits longest stays.
        if self._closing or len(self._queue) >= MOST_WAITING:
            told.counters.events_dropped += 1
        else:
            self._queue.append(told)

    # Telling.

    def _begin(self) -> None:
        """See to it that somebody tells: in a forked child, or another event loop, nobody does yet."""
        work = self._work
        if work is None or not work.is_alive:
            with self._changing:
                if self._work is work and not self._closing:
                    self._wake = AsyncWake()
                    self._work = self._tasks.spawn(self._deliver, self._wake)
        if self._wake is not None:
            self._wake.ring()

    async def _deliver(self, wake: AsyncWake) -> None:
        _tells.set(True)
        while True:
            await wake.wait()
            while self._queue:
                await self._pass_on(self._queue.popleft())
            with self._changing:
                mine = self._work
                if self._closing or not self._subscriptions:
                    self._work = None  # before the look: who puts something there after it finds that nobody tells
                    if not self._queue:
                        return
                    self._work = mine
                    wake.ring()

    async def _pass_on(self, told: _Told) -> None:
        what = told.what
        if isinstance(what, AsyncEvent):
            what.set()
            return
        event = what if isinstance(what, Event) else await self._read(what, told.topic)
        for subscription in self._subscriptions if event is not None else ():
            if event is not None and subscription.wants(event, told.topic):
                await self._call(subscription, event)

    async def _read(self, happening: Happening, topic: Topic | None) -> Event | None:
        """The event in what an owner said; None where nobody listens any more, or nobody looks there any more."""
        source = next((one.source for one in self._subscriptions if one.topic == topic), None)
        if source is None or topic is None:
            return None
        return event_of(topic, happening, 0 if topic.of_epochs else await source.epoch())

    async def _call(self, subscription: AsyncSubscription, event: Event) -> None:
        try:
            await _outcome(subscription.fn(event))
        except Exception:
            subscription.source.counters.event_failures += 1
            logging.getLogger("cachegrid").exception("who listens to %r of cache %r failed", event.kind, event.cache)

    # Around.

    async def settle(self) -> None:
        """Wait until all is told that has happened by now."""
        if _tells.get() or (not self._queue and self._work is None):
            return
        mark = AsyncEvent()
        self._queue.append(_Told(Counters(), mark))
        self._begin()
        while self._work is not None and not await mark.wait(_A_WHILE):
            pass

    async def aclose(self, seconds: float) -> None:
        """Tell what waits to be told, for so long at most; nothing is told after that."""
        if self._queue:
            self._begin()
        self._closing = True
        if self._wake is not None:
            self._wake.ring()
        await self._tasks.part(0 if _tells.get() else seconds)
        self._subscriptions, self._topics = (), frozenset()
        while self._queue:
            with contextlib.suppress(IndexError):
                self._queue.popleft().counters.events_dropped += 1
        self._note()

    def forget(self) -> None:
        """In a forked child: what waits is the parent's to tell. Owners tell it nothing until it asks anew."""
        self._tasks.forget()
        self._changing, self._asking = Mutex(), AsyncLock()
        self._queue, self._work, self._wake, self._topics = deque(), None, None, frozenset()
        self._subscriptions = tuple([one for one in self._subscriptions if not one.everywhere])
        self._note()


def _check_colour(subscription: AsyncSubscription) -> None:
    """Refuse what this colour of cache cannot call. Raises ConfigError."""
    fn = subscription.fn
    if not callable(fn):
        raise ConfigError("what is told of events", fn, "a function that takes an event")
    if not _AWAITS and (inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)):
        raise _other_colour(fn)


async def _outcome(made: Any) -> Any:
    """What a listener gives, once it is there."""
    if not inspect.isawaitable(made):
        return made
    if not _AWAITS:
        if inspect.iscoroutine(made):
            made.close()  # else it is told, much later, that nobody awaited it
        raise _other_colour(made)
    return await made


def _other_colour(fn: object) -> ConfigError:
    want = "a sync function; for this one take the cache from cachegrid.aconnect()"
    return ConfigError("what is told of events", fn, want)
