# Generated from src/cachegrid/engines/valkey/_aio/asking.py by tools/colour.py. Edit that file, then run `make colour`.
"""Asking the owner of an address: at once on the thin path, and with patience when the owner is away."""

from __future__ import annotations

import itertools
import random
import time
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from libvalkey import ReplyError

from cachegrid._core.circuit import Circuit
from cachegrid._core.events import Listener, Topic
from cachegrid._core.tags import BUCKETS
from cachegrid.engines.facts import PathFacts
from cachegrid.engines.valkey._sio.link import SyncExchange, SyncLink
from cachegrid.engines.valkey._sio.routing import SyncRouting
from cachegrid.engines.valkey.bell import buckets_in
from cachegrid.engines.valkey.commands import Script, pack
from cachegrid.engines.valkey.receipts import Doubt
from cachegrid.engines.valkey.slots import Endpoint, Routes, slot_of
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import (
    Advice,
    CutOff,
    Effect,
    LinkError,
    Shut,
    Slow,
    Step,
    advise,
    is_down,
    is_parted,
    is_strike,
    pause_before,
    shut_out,
    still_down,
    torn,
)
from cachegrid.engines.valkey.watch import Watch
from cachegrid.errors import CacheError, EngineTimeout
from cachegrid.near.copies import Guard
from cachegrid.near.nearby import Sink
from cachegrid.waits._sio import aside, sleep

__all__ = ["STRANGE", "SyncAsking", "answer", "answer_once"]

STRANGE: Final = b""  # stands for what no entry can be: readers take it for a damaged one, and writers get over it
_LEARN_AGAIN: Final = 0.02  # seconds after which the routes are asked for again while no owner is found
_LOOK_AROUND: Final = 0.2  # seconds between two looks for a new owner while replicas answer
_HOPS: Final = 3  # from member to member without a pause
_PARTED: Final = 0.3  # seconds for keys to come together again; those of a slot that moves may take longer than a call
_MUTE: Final = 5.0  # seconds for which a replica that did not answer in time gets less of it
_SHORTEST: Final = 0.005  # seconds for an answer, however near the deadline

_doubts = itertools.count(1)  # one source for all engines: `next` is atomic, and no value comes twice


class _Ask(NamedTuple):
    """What is asked for, and what it does; `source` is for owners that lack a script, `plain` for a replica."""

    request: bytes
    effect: Effect
    source: bytes | None
    plain: bytes | None


class SyncAsking:
    """Knows who owns what, and brings each request to its owner."""

    def __init__(self, target: Target) -> None:
        self.doubt = self.rings = self.trouble = 0
        self.doubts = [0] * BUCKETS  # of tags, by bucket
        self._target = target
        self._watch = Watch(target, self._bell, self._doubt, self._routes)
        weakref.finalize(self, self._watch.end).atexit = False  # for who is let go without being closed
        self._routing = SyncRouting(target, self._bell, self._watch.suspect)
        self._owners = self._routing.owners  # by slot; one list for ever, changed in place
        self._mute: dict[Endpoint, float] = {}  # replicas that did not answer, and until when each gets less time

    def open(self) -> None:
        """Find the members. Raises Unreachable, AccessDenied or Unsupported."""
        self._routing.open()

    def close(self) -> None:
        if self._watch.end():
            aside(self._watch.wait)
        self._routing.close()

    def forget(self) -> None:
        """In a forked child: begin with connections of its own."""
        self._watch.forget()
        self._routing.forget()
        self._bell()

    def paths(self) -> list[PathFacts]:
        """How this process gets on with each owner."""
        return [link.facts() for link, _ in self._routing.owned()]

    # Telling what changes.

    def follow(self, prefix: bytes, sink: Sink, staleness: float) -> None:
        self._watch.follow(prefix, sink, staleness)

    def unfollow(self, prefix: bytes) -> None:
        self._watch.unfollow(prefix)

    def listen(self, topic: Topic, listener: Listener) -> None:
        aside(self._watch.listen, topic, listener, self._target.timeout)

    def unlisten(self, topic: Topic) -> None:
        self._watch.unlisten(topic)

    def guard(self, address: bytes, prefix: bytes) -> Guard | None:
        slot = slot_of(address)
        return self._watch.guard(slot, self._owners[slot].endpoint, prefix)

    def _routes(self) -> Routes:
        return self._routing.routes

    def _doubt(self, endpoint: Endpoint) -> None:
        self._routing.link(endpoint).doubt()

    def suspect(self, tags: Iterable[int] = ()) -> None:
        """Let `doubt` change, or those of some tags."""
        if tags:
            self._doubt_tags(tags)
        else:
            self._bell()

    def _bell(self, keys: object = None) -> None:
        buckets = buckets_in(keys)
        if buckets is None:
            self.doubt = next(_doubts)
            self.doubts[:] = [self.doubt] * BUCKETS  # in place, and in one step
            self.rings = self.doubt
        else:
            self._doubt_tags(buckets)

    def _doubt_tags(self, buckets: Iterable[int]) -> None:
        for bucket in buckets:
            self.doubts[bucket] = next(_doubts)
        self.rings = next(_doubts)  # last: whoever sees it sees the others

    def _call(self, address: bytes, request: bytes, effect: Effect) -> object:
        """One request to the owner of an address. This is the hot path: what can go wrong is looked at elsewhere."""
        link = self._owners[slot_of(address)]
        try:
            reply = link.call_once(request) if effect is Effect.ONCE else link.call(request)
        except LinkError as error:
            return self._insist(address, request, effect, link, error)
        if reply.__class__ is ReplyError:
            return self._insist(address, request, effect, link, reply)
        return reply

    def _call_both(self, address: bytes, first: bytes, second: bytes) -> object:
        """Two requests that may be repeated, in this order, to the owner of an address: the second one's reply."""
        link = self._owners[slot_of(address)]
        replies: tuple[object, ...]
        try:
            replies = tuple((link.begin(first + second, 2)).finish())
        except LinkError as error:
            replies = (error, error)
        if not any(isinstance(reply, Exception) for reply in replies):
            return replies[1]
        return self._insist_on_both(address, (first, second), link, replies)

    def _insist_on_both(
        self, address: bytes, requests: tuple[bytes, bytes], link: SyncLink, replies: tuple[object, ...]
    ) -> object:
        deadline = self._deadline(*[reply for reply in replies if isinstance(reply, Exception)][:1])
        answers = list(replies)
        for index, trouble in enumerate(replies):
            if isinstance(trouble, Exception):
                answers[index] = self._insist(
                    address, requests[index], Effect.REPEATABLE, link, trouble, deadline=deadline
                )
        return answers[1]

    def _run(
        self,
        script: Script,
        effect: Effect,
        keys: tuple[bytes, ...],
        *args: bytes,
        plain: bytes | None = None,
        deadline: float | None = None,
    ) -> object:
        """Run a script at the owner of its keys; `plain` is what a replica can be asked instead."""
        link = self._owners[slot_of(keys[0])]
        request = script.call(keys, *args)
        trouble: object
        try:
            reply = link.call_once(request) if effect is Effect.ONCE else link.call(request)
            if reply.__class__ is not ReplyError:
                return reply
            trouble = reply
        except LinkError as error:
            trouble = error
        source = script.send(keys, *args)
        # A replica knows only the scripts that it was sent itself.
        plain = source if effect is Effect.READ else plain
        return self._insist(keys[0], request, effect, link, trouble, source=source, plain=plain, deadline=deadline)

    def _insist(
        self,
        address: bytes,
        request: bytes,
        effect: Effect,
        link: SyncLink,
        trouble: object,
        *,
        source: bytes | None = None,
        plain: bytes | None = None,
        deadline: float | None = None,
    ) -> object:
        """Go on with a request that met trouble, until it is answered, hopeless, or past its deadline."""
        self.trouble = next(_doubts)
        if deadline is None:
            deadline = self._deadline(trouble)
        if effect is Effect.READ and plain is None:
            plain = request
        slot, doubt = slot_of(address), Doubt() if effect is Effect.RECEIPT else None
        if isinstance(trouble, (Slow, Shut)):
            if doubt is not None:
                doubt.note(trouble, deadline)
            trouble = self._outwait(slot, request, plain, link, trouble, deadline)
        elif plain is not None:
            trouble = _ask_again(link, request, deadline, trouble)
        try:
            return self._go_on(slot, _Ask(request, effect, source, plain), link, trouble, deadline, doubt)
        except CacheError as error:
            if doubt is None or (told := doubt.told(error)) is error:
                raise
            raise told from error

    def _outwait(
        self, slot: int, request: bytes, plain: bytes | None, link: SyncLink, trouble: Slow | Shut, deadline: float
    ) -> object:
        """What a replica answers, where that will do; else what the owner does after all, or the trouble with it."""
        rest = trouble.rest if isinstance(trouble, Slow) else None
        if plain is not None:
            try:
                reply = self._from_replica(slot, plain, deadline)
            except BaseException:
                if rest is not None:
                    rest.abandon()
                raise
            if not isinstance(reply, Exception):
                if rest is not None:
                    rest.leave()
                return reply
        owner = self._owners[slot]
        if owner is not link:  # others have learned meanwhile that it was replaced
            if rest is not None:
                rest.abandon()
            return answer(owner, request, deadline)
        if isinstance(trouble, Shut):
            return trouble
        if rest is None:
            return answer(link, request, deadline)
        try:
            return (rest.finish())[-1]
        except LinkError as error:
            return error

    def _go_on(
        self, slot: int, ask: _Ask, link: SyncLink, trouble: object, deadline: float, doubt: Doubt | None
    ) -> object:
        request, effect, source, plain = ask
        began = deadline - self._target.timeout
        if link.circuit.is_open:  # this is the one call that tries whether the member is back
            deadline = min(deadline, time.monotonic() + self._target.patience)
        parted = float("inf")
        for attempt in itertools.count():
            if not isinstance(trouble, Exception):
                _passed(link, attempt, effect)
                return trouble
            if doubt is not None:
                doubt.note(trouble, deadline)
            parted = _parted_until(trouble, parted, link)
            advice = self._advise(trouble, effect, link, slot)
            if advice.step is Step.STRANGE:
                return STRANGE
            if time.monotonic() >= deadline:
                _circuit(link, trouble).failed(began, time.monotonic())
                raise _too_late(self._target.timeout, link, trouble) from trouble
            if plain is not None and advice.step in (Step.WAIT, Step.LEARN):
                reply = self._from_replica(slot, plain, deadline)
                if not isinstance(reply, Exception):
                    return reply
            _see_if_still_down(link, trouble)
            if advice.step is Step.TEACH and source is not None:
                request = source
            last, link = link, self._next_link(advice, link, slot, attempt, deadline)
            if advice.step in (Step.WAIT, Step.LEARN) and last is link and not _may_retry(link):
                continue  # others ask it already, and more would make it worse: after the next pause
            reply = answer(link, request, deadline, asking=advice.step is Step.ASK)
            if not _is_cut_short(reply, deadline):  # else what was there before tells more
                trouble = reply
        raise AssertionError  # pragma: no cover - the loop ends by return or raise

    def _advise(self, trouble: Exception, effect: Effect, link: SyncLink, slot: int) -> Advice:
        """What to do next, once the member's circuit has been told. Raises what cannot be helped."""
        if isinstance(trouble, Shut) and self._owners[slot] is link:
            raise shut_out(trouble) from trouble
        if is_strike(trouble):
            waited = trouble.waited if isinstance(trouble, LinkError) else 0
            _circuit(link, trouble).struck(time.monotonic() - waited)
            link.doubt()
        advice = advise(trouble, effect, link.endpoint)
        if advice.error is not None:
            raise advice.error from trouble
        return advice

    def _next_link(self, advice: Advice, link: SyncLink, slot: int, attempt: int, deadline: float) -> SyncLink:
        """Where to go next with a request that met trouble, after the pause that it takes."""
        # Members that do not agree yet may send us to each other for a while.
        if advice.step in (Step.WAIT, Step.LEARN) or attempt > _HOPS:
            self._routing.pause(_pause(attempt, deadline))
        if advice.step is Step.CHECK:
            self._routing.learn(min(deadline, time.monotonic() + self._target.patience), last=link.endpoint)
            return self._owners[slot]
        if advice.step is Step.LEARN:
            # Else others have learned meanwhile who owns it now; or a moment ago that nobody else does: hundreds may
            # wait for that to change.
            if (attempt or self._owners[slot] is link) and self._routing.is_worth_asking(_LEARN_AGAIN):
                self._routing.learn(deadline, last=link.endpoint)
            return self._owners[slot]
        if advice.endpoint is None:
            return link
        target = self._routing.link(advice.endpoint)
        if advice.step is Step.MOVE and self._owners[slot] is not target:
            self._routing.learn(deadline, first=advice.endpoint)
            self._owners[slot] = target
        if not self._routing.is_owner(advice.endpoint):
            self._bell()  # it was not rung: a connection to it may have missed bells
        return target

    def _has_others(self, owner: Endpoint, deadline: float) -> bool:
        """Whether somebody can be asked in an owner's stead; where nobody is known, the members are asked for whom."""
        routing = self._routing
        if routing.lacks_replicas(owner) and routing.is_worth_asking(_LEARN_AGAIN):
            routing.learn(min(deadline, time.monotonic() + self._target.patience / 2), last=owner)
        return routing.is_clustered and not routing.lacks_replicas(owner)

    def _from_replica(self, slot: int, request: bytes, deadline: float) -> object:
        """The answer of a replica to a read while the owner is away; an error reply if there is none."""
        owner, moment = self._owners[slot].endpoint, self._target.moment
        self._has_others(owner, deadline)
        for link, seconds in self._by_patience(self._routing.replicas_of(slot)):
            reply = answer(link, request, min(deadline, time.monotonic() + seconds))
            self._note_silence(link, reply)
            if isinstance(reply, Exception):
                continue
            if self._routing.is_due(_LOOK_AROUND):  # or who only reads would never hear of the next owner
                self._routing.learn(min(deadline, time.monotonic() + moment), last=owner)
            return reply
        return ReplyError("MASTERDOWN no replica answers")

    def _by_patience(self, replicas: list[SyncLink]) -> list[tuple[SyncLink, float]]:
        """How many seconds each gets to answer; who has been silent lately comes last and gets fewer."""
        now, target = time.monotonic(), self._target
        mute = [self._mute.get(link.endpoint, 0.0) > now for link in replicas]
        ordered = sorted(zip(mute, replicas, strict=True), key=lambda pair: pair[0])
        return [(link, target.moment if is_mute else target.patience / 2) for is_mute, link in ordered]

    def _note_silence(self, replica: SyncLink, reply: object) -> None:
        """Remember who did not answer though it got more than a moment; any answer, also an error, ends that."""
        if not isinstance(reply, LinkError):
            self._mute.pop(replica.endpoint, None)
        elif reply.waited > self._target.moment:
            self._mute[replica.endpoint] = time.monotonic() + _MUTE

    def _recover(self, link: SyncLink, trouble: Exception, attempt: int, deadline: float) -> None:
        """After trouble with an owner: wait a little and learn who owns what. Raises what cannot be helped."""
        if isinstance(trouble, Shut):
            raise shut_out(trouble) from trouble
        advice = advise(trouble, Effect.REPEATABLE, link.endpoint)
        if advice.error is not None:
            raise advice.error from trouble
        if time.monotonic() >= deadline:
            raise _too_late(self._target.timeout, link, trouble) from trouble
        sleep(_pause(attempt, deadline))
        self._routing.learn(deadline, first=advice.endpoint, last=link.endpoint)

    def _deadline(self, trouble: object = None) -> float:
        """When a call that has just met its first trouble has to be over."""
        spent = trouble.spent if isinstance(trouble, LinkError) else 0
        return time.monotonic() + self._target.timeout - spent

    def _all_at_once(self, work: list[tuple[SyncLink, bytes, int]]) -> list[list[object] | LinkError]:
        """The replies to requests at several members, who work at the same time; or what broke."""
        under_way: deque[SyncExchange | LinkError] = deque()
        answers: list[list[object] | LinkError] = []
        try:
            for link, request, count in work:
                try:
                    under_way.append(link.begin(request, count))
                except LinkError as error:
                    under_way.append(error)
            while under_way:
                exchange = under_way.popleft()
                try:
                    answers.append(exchange if isinstance(exchange, LinkError) else exchange.finish())
                except LinkError as error:
                    answers.append(error)
        finally:
            for exchange in under_way:
                if not isinstance(exchange, LinkError):
                    exchange.abandon()
        return answers


def answer_once(link: SyncLink, request: bytes) -> object:
    """A member's reply to one request on the thin path, or the trouble with it as a value."""
    try:
        return link.call(request)
    except LinkError as error:
        return error


def answer(link: SyncLink, request: bytes, deadline: float, *, asking: bool = False) -> object:
    """A member's reply, or the trouble with it as a value; `asking` is for a slot that the member is being given."""
    seconds = max(deadline - time.monotonic(), _SHORTEST)
    try:
        if asking:
            return (link.call_within(seconds, pack(b"ASKING") + request, 2))[1]
        return (link.call_within(seconds, request))[0]
    except LinkError as error:
        return error


def _ask_again(link: SyncLink, request: bytes, deadline: float, trouble: object) -> object:
    """The owner's answer, where no more than a connection to it broke; else the trouble."""
    is_break = isinstance(trouble, LinkError) and not isinstance(trouble, CutOff) and not trouble.waited
    if is_break and not link.is_quiet:
        # It may be well. A replica, that could be asked instead, may be behind.
        reply = answer(link, request, deadline)
        if not _is_cut_short(reply, deadline):
            return reply
    return trouble


def _parted_until(trouble: Exception, parted: float, link: SyncLink) -> float:
    """By when keys that belong together have to be at one member again. Raises WritesRefused if they are not."""
    if not is_parted(trouble):
        return parted
    parted = min(parted, time.monotonic() + _PARTED)
    if time.monotonic() >= parted:
        raise torn(link.endpoint) from trouble
    return parted


def _passed(link: SyncLink, attempt: int, effect: Effect) -> None:
    if attempt:
        link.budget.helped()
    link.circuit.passed(time.monotonic())
    if effect is not Effect.READ:
        link.down.passed(time.monotonic())


def _circuit(link: SyncLink, trouble: Exception) -> Circuit:
    """Which of a member's circuits trouble with it speaks of."""
    return link.down if is_down(trouble) else link.circuit


def _see_if_still_down(link: SyncLink, trouble: Exception) -> None:
    """
    Raise CircuitOpen where a member has been cut off for longer than calls wait.

    It is asked by each call all the same, and so the first that comes after that is answered.
    """
    if link.down.is_open and is_down(trouble) and not isinstance(trouble, CutOff):
        raise still_down(link.endpoint, trouble) from trouble


def _may_retry(link: SyncLink) -> bool:
    return link.budget.may_retry(time.monotonic(), link.calls)


def _is_cut_short(trouble: object, deadline: float) -> bool:
    """Whether it says only that there was no time left to connect."""
    is_unheard = isinstance(trouble, LinkError) and not trouble.sent and trouble.waited > 0
    return is_unheard and time.monotonic() >= deadline


def _pause(attempt: int, deadline: float) -> float:
    pause = pause_before(attempt, random.random())  # noqa: S311 - spreads retries, hides nothing
    return max(0.0, min(pause, deadline - time.monotonic()))


def _too_late(timeout: float, link: SyncLink, trouble: Exception) -> EngineTimeout:
    last = str(trouble) if isinstance(trouble, LinkError) else f"{link.endpoint} said: {trouble}"
    return EngineTimeout(
        f"no answer within {timeout:g} s (last, {last}); look at `cachegrid status`, "
        "or give calls more time with the setting timeout (CACHEGRID_TIMEOUT)",
        where=str(link.endpoint),
    )
