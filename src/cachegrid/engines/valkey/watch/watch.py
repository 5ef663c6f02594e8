"""Who is listened to, for whom: an ear at every owner, and what they hear given to whoever keeps copies of it."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Final, NamedTuple

from cachegrid._core.address import parent_of
from cachegrid._core.events import Listener, Topic
from cachegrid.engines.valkey.slots import SLOTS, Endpoint, Routes, read_routes, slot_of
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.watch.ear import Ear
from cachegrid.engines.valkey.watch.tidings import happening_of, patterns_of
from cachegrid.errors import CacheError, EngineTimeout
from cachegrid.near.copies import Guard
from cachegrid.near.nearby import Sink

__all__ = ["Watch"]

_PULSES: Final = 4  # in the time for which a copy may be handed out unproved
_STALENESS: Final = 1.0  # seconds, where nobody asks for less
_NOBODY: Final[list[Ear | None]] = [None] * SLOTS  # replaced, never changed


class _Follower(NamedTuple):
    sink: weakref.ref[Sink]
    staleness: float


class _Heard(NamedTuple):
    topic: Topic
    listener: weakref.ref[Listener]


class Watch:
    """
    Listens at every owner, for as long as somebody follows a prefix, or wants to know of a topic what happens.

    It learns by itself who the owners are: whoever only reads copies would never ask.

    Its threads hold it, and it holds nobody: a grid that is let go without being closed ends them.
    """

    def __init__(
        self,
        target: Target,
        bell: Callable[..., None],
        doubt: Callable[[Endpoint], None],
        routes: Callable[[], Routes],
    ) -> None:
        self._target = target
        self._bell, self._doubt = weakref.WeakMethod(bell), weakref.WeakMethod(doubt)
        self._known_routes = weakref.WeakMethod(routes)
        self._lock = threading.RLock()
        self._followers: dict[bytes, _Follower] = {}
        self._prefixes: frozenset[bytes] = frozenset()
        self._heard: dict[bytes, _Heard] = {}  # by pattern
        self._patterns: frozenset[bytes] = frozenset()
        self._telling = threading.Condition()  # notified when an owner tells of more, or will not
        self._waiting = 0  # who wait for that, and raise what they are told
        self._ears: dict[Endpoint, Ear] = {}
        self._ending: list[Ear] = []
        self._by_slot = _NOBODY
        self._epoch = -1
        self._closed = False
        self._refusals: frozenset[str] = frozenset()  # that somebody was told of

    def follow(self, prefix: bytes, sink: Sink, staleness: float) -> None:
        """Tell `sink` of changes to what begins with `prefix`."""
        with self._lock:
            if self._closed:
                return
            self._followers = {**self._followers, prefix: _Follower(weakref.ref(sink), staleness)}
            self._prefixes = frozenset(self._followers)
            if not self._ears:
                self._begin()

    def unfollow(self, prefix: bytes) -> None:
        """Tell no longer; with the last one the ears end."""
        with self._lock:
            self._followers = {one: follower for one, follower in self._followers.items() if one != prefix}
            self._prefixes = frozenset(self._followers)
            if not self._followers and not self._heard:
                self._end_all()

    def listen(self, topic: Topic, listener: Listener, seconds: float) -> None:
        """
        Tell `listener` of a topic, in the ears' threads; on return all owners do.

        Raises what an owner says that will not, and EngineTimeout for one that says nothing.
        """
        patterns = frozenset(patterns_of(topic, self._target.database))
        heard = _Heard(topic, weakref.ref(listener))
        with self._lock:
            if self._closed:
                return
            self._heard = {**self._heard, **dict.fromkeys(patterns, heard)}
            self._patterns = frozenset(self._heard)
            for ear in self._ears.values():
                if ear.tidings is not None:
                    ear.tidings.refusal = None  # of another time
            if not self._ears:
                self._begin()
            self._waiting += 1
        try:
            self._await_all(patterns, seconds)
        except BaseException:
            self.unlisten(topic)
            raise
        finally:
            with self._lock:
                self._waiting -= 1

    def unlisten(self, topic: Topic) -> None:
        """Tell no longer."""
        with self._lock:
            self._heard = {pattern: heard for pattern, heard in self._heard.items() if heard.topic != topic}
            self._patterns = frozenset(self._heard)
            if not self._followers and not self._heard:
                self._end_all()

    def guard(self, slot: int, owner: Endpoint, prefix: bytes) -> Guard | None:
        """Who tells of changes in a slot that `owner` is asked for; None while nobody does."""
        ear = self._by_slot[slot]
        if ear is None or ear.endpoint != owner or prefix not in ear.prefixes:
            return None
        return ear.guard

    def suspect(self) -> None:
        """Somebody learned of other routes: make sure that what is known here is right."""
        for ear in list(self._ears.values()):
            ear.suspect()

    def end(self) -> bool:
        """End all ears, for good; whether there is something to wait for."""
        with self._lock:
            self._closed = True
            self._end_all()
            return bool(self._ending)

    def wait(self) -> None:
        """Wait until the threads of all ears have ended."""
        with self._lock:
            ending, self._ending = self._ending, []
        for ear in ending:
            ear.close()

    def forget(self) -> None:
        """In a forked child: the ears are the parent's, and nobody follows yet."""
        self._lock = threading.RLock()
        for ear in [*self._ears.values(), *self._ending]:
            ear.forget()
        self._telling, self._waiting = threading.Condition(), 0
        self._followers, self._prefixes, self._heard, self._patterns = {}, frozenset(), {}, frozenset()
        self._ears, self._ending, self._by_slot, self._epoch = {}, [], _NOBODY, -1

    # What ears tell; in their threads.

    def changed(self, address: bytes) -> None:
        """An entry changed."""
        follower = self._followers.get(parent_of(address))
        sink = follower and follower.sink()
        if sink is not None:
            sink.changed(address)

    def lost(self, ear: Ear) -> None:
        """Every entry of an owner changed, or may change from now on without a word."""
        by_slot = self._by_slot
        self._tell_all(lambda address: by_slot[slot_of(address)] is ear)

    def rung(self, keys: list[bytes]) -> None:
        """Bells were rung."""
        if bell := self._bell():
            bell(keys)

    def happened(self, pattern: bytes, channel: bytes, word: bytes, endpoint: Endpoint) -> None:
        """Something happened to a key."""
        heard = self._heard.get(pattern)
        listener = heard and heard.listener()
        if heard is not None and listener is not None:
            happening = happening_of(heard.topic, channel, word, endpoint)
            if happening is not None:
                listener.happened(heard.topic, happening)

    def tells(self, ear: Ear) -> None:
        """An owner tells of other patterns than before, or will not."""
        refusal = None if ear.tidings is None else ear.tidings.refusal
        if refusal is not None and not self._waiting:
            self._warn(ear.endpoint, refusal, "events of what %s owns are not told: %s")
        with self._telling:
            self._telling.notify_all()

    def refused(self, endpoint: Endpoint, error: CacheError) -> None:
        """An owner will not tell what changes."""
        for sink in self._sinks():
            sink.refused()
        self._warn(endpoint, error, "nothing is kept near of what %s owns, since it does not tell what changes: %s")

    def _warn(self, endpoint: Endpoint, error: CacheError, message: str) -> None:
        reason = str(error).replace(str(endpoint), "")
        with self._lock:
            is_new = reason not in self._refusals
            self._refusals |= {reason}
        if is_new:  # it is asked again and again
            import logging

            logging.getLogger("cachegrid").warning(message, endpoint, error)

    def deaf(self) -> None:
        """An ear found nobody to listen to. When all are deaf, who asks knows better where to begin."""
        with self._lock:
            if (self._followers or self._heard) and not any(ear.guard for ear in self._ears.values()):
                self._begin()

    def cut_off(self, endpoint: Endpoint) -> None:
        """An owner is cut off from the other members."""
        if doubt := self._doubt():
            doubt(endpoint)

    def routes(self, reply: object, epoch: int, asked: Endpoint) -> None:
        """The members agreed on other routes."""
        with contextlib.suppress(ValueError), self._lock:
            routes = read_routes(reply, asked)
            # One who is behind is not believed; unless nobody was ahead lately, as when all members began anew.
            is_news = epoch >= self._epoch or not any(ear.guard for ear in self._ears.values())
            if routes.owners and is_news and not self._closed:
                self._epoch = epoch
                self._adopt(routes)

    # Inside.

    def _await_all(self, patterns: frozenset[bytes], seconds: float) -> None:
        """Wait until every owner tells of some patterns."""
        refusals: list[CacheError] = []

        def is_settled() -> bool:
            ears = list(self._ears.values())
            tidings = [ear.tidings for ear in ears]
            refusals.extend([one.refusal for one in tidings if one is not None and one.refusal is not None])
            all_tell = bool(ears) and all(_tells(ear, patterns) for ear in ears)
            return bool(refusals) or all_tell or self._closed

        with self._telling:
            is_in_time = self._telling.wait_for(is_settled, seconds)
        if refusals:
            raise refusals[0]
        if not is_in_time:
            silent = [str(ear.endpoint) for ear in list(self._ears.values()) if not _tells(ear, patterns)]
            who = ", ".join(silent) or "the owners"
            raise EngineTimeout(f"{who} did not say within {seconds:g} s that events will be told", where=who)

    def _begin(self) -> None:
        known = self._known_routes()
        if known is not None and not self._closed:
            self._epoch = -1
            self._adopt(known())

    def _adopt(self, routes: Routes) -> None:
        before, by_slot = self._by_slot, list[Ear | None]([None] * SLOTS)
        for endpoint, ranges in routes.owners.items():
            ear = self._ears.get(endpoint) or self._new_ear(endpoint)
            for first, last in ranges:
                by_slot[first : last + 1] = [ear] * (last - first + 1)
        self._by_slot = by_slot
        for endpoint in [endpoint for endpoint in self._ears if endpoint not in routes.owners]:
            self._end(self._ears.pop(endpoint))
        moved = {slot for slot in range(SLOTS) if before[slot] is not by_slot[slot]}
        if moved:
            self._tell_all(lambda address: slot_of(address) in moved)

    def _tell_all(self, is_lost: Callable[[bytes], bool]) -> None:
        for sink in self._sinks():
            sink.changed_if(is_lost)

    def _sinks(self) -> list[Sink]:
        return [sink for follower in self._followers.values() if (sink := follower.sink()) is not None]

    def _new_ear(self, endpoint: Endpoint) -> Ear:
        ear = Ear(endpoint, self._target, self, lambda: self._prefixes, self._interval, lambda: self._patterns)
        self._ears[endpoint] = ear
        return ear

    def _interval(self) -> float:
        # An ear looks that often for who else follows, too.
        return min([_STALENESS, *(one.staleness for one in self._followers.values())]) / _PULSES

    def _end(self, ear: Ear) -> None:
        ear.end()
        self._ending = [one for one in self._ending if one.is_alive] + [ear]

    def _end_all(self) -> None:
        for ear in self._ears.values():
            self._end(ear)
        self._ears, self._by_slot, self._epoch = {}, _NOBODY, -1


def _tells(ear: Ear, patterns: frozenset[bytes]) -> bool:
    tidings = ear.tidings
    return tidings is not None and patterns <= tidings.told
