# Generated from src/cachegrid/engines/valkey/_aio/lasting.py by tools/colour.py. Edit that file, then run `make colour`.
"""
Writes that last: each is followed by the question how far it has come, in the same trip, on the same connection.

That question (WAIT, WAITAOF) holds up its connection, and speaks only of what was written on it. So these writes have
connections of their own, each for one call at a time; nobody else waits behind them, and what does not ask for this
goes past it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast

from libvalkey import ReplyError

from cachegrid._core.durability import Durability
from cachegrid.engines.valkey import commands
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey._sio.link import SyncExchange, SyncLink
from cachegrid.engines.valkey._sio.pages import Batch
from cachegrid.engines.valkey._sio.routing import SyncRouting
from cachegrid.engines.valkey._sio.turn import SyncTurn
from cachegrid.engines.valkey.commands import Script
from cachegrid.engines.valkey.pledge import (
    ASK_FOLLOWERS,
    Kept,
    Pledge,
    has_written,
    is_copying,
    mark,
    merged,
    not_durable,
    read_answering,
    read_connected,
    read_living,
)
from cachegrid.engines.valkey.replies import int_in
from cachegrid.engines.valkey.slots import Endpoint, slot_of, tag_in
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import Effect, LinkError
from cachegrid.errors import EngineTimeout, NotDurable

__all__ = ["SyncLasting"]

_SEATS: Final = 32  # calls at a time to one owner; each has a connection
_ALONE: Final = 0.2  # seconds for which an owner is taken for one that nobody follows
_FIRST_MS: Final = 50  # a replica that is well has answered long before that
_BATCHES: Final = Endpoint("every owner", 0)
_READS: Final = (
    *("fetch", "fetch_many", "fetch_parts", "fetch_idle", "fetch_idle_many", "inspect", "epoch", "tag_epochs", "heads"),
    *("glance", "walk", "members", "_doubt_tags"),
    *("follow", "unfollow", "listen", "unlisten", "suspect", "guard", "_announce", "_bell"),
)


class _Call:
    """
    A call that is under way: by when it has to be over, in the monotonic clock's seconds, and what fell short in it.

    That is noted and not raised: the rest of a batch is to be done, too.
    """

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.shorts: list[NotDurable] = []


_under_way: ContextVar[_Call | None] = ContextVar("cachegrid_under_way", default=None)


class _Exchange:
    """Writes that are on their way, and the question that follows them."""

    def __init__(self, home: _Link, link: SyncLink, exchange: SyncExchange, count: int, ends: float) -> None:
        self._home, self._link, self._exchange, self._count, self._ends = home, link, exchange, count, ends
        self._began = time.monotonic()

    def finish(self) -> list[object]:
        """The replies to the writes, once they have come as far as they shall; what falls short is noted."""
        try:
            replies = self._exchange.finish(keep=True)
            answers, kept = replies[: self._count], replies[self._count :]
            if any(not isinstance(answer, ReplyError) for answer in answers):
                self._see_to(kept, is_sure=has_written(answers))
            self._home.circuit.passed(time.monotonic())
            self._home.down.passed(time.monotonic())
        finally:
            self._exchange.end()
            self._home.put_back(self._link)
        return answers

    def abandon(self) -> None:
        """Nobody will wait for the replies."""
        self._exchange.abandon()
        self._home.put_back(self._link)

    def _see_to(self, replies: list[object], *, is_sure: bool) -> None:
        home = self._home
        pledge, asked = home.pledge, home.endpoint
        marks, replies = replies[: -pledge.replies], replies[-pledge.replies :]
        if not is_sure and not marks and (between := home.mark()):
            replies = self._again(between + pledge.request(home.first_ms), 2 + pledge.replies)
            marks, replies = replies[: -pledge.replies], replies[-pledge.replies :]
        if any(isinstance(reply, ReplyError) for reply in marks):
            raise LinkError(asked, f"cannot tell how far a write has come ({marks[0]})", sent=True)
        kept = pledge.read(replies, asked)
        if not pledge.is_met(kept):
            self._insist(kept)

    def _insist(self, kept: Kept) -> None:
        """Ask again and again, as long as there is hope, and note it if there is none."""
        home, pledge, connected, lost = self._home, self._home.pledge, None, None
        limit = 0.0 if _has_fallen_short() else self._ends  # a page of a batch has waited in vain already
        while not pledge.is_met(kept):
            told, members = self._again(ASK_FOLLOWERS, 2)
            connected = read_connected(told)
            if connected is None and not isinstance(told, ReplyError):
                raise LinkError(home.endpoint, "is no owner any more", sent=True)
            living = read_living(members, connected)
            is_alone = living is not None and max(living, read_answering(told)) < pledge.need.replicas
            ends, now = limit, time.monotonic()
            if is_alone and not is_copying(told):
                # Nobody is left who could follow it. One that has just come back answers, and is taken for dead.
                ends, home.alone_until = 0.0, now + _ALONE
            elif is_alone or (connected is not None and connected < pledge.need.replicas):
                # One that is lost for a moment comes back within a second.
                lost = lost or now
                ends = min(limit, lost + home.patience)
            else:
                lost = None
            left = ends - now
            if left <= 0:
                home.note(not_durable(pledge, kept, connected, home.endpoint, time.monotonic() - self._began))
                return
            ms = max(1, round(1000 * min(left, home.patience / 2)))
            kept = pledge.read(self._again(pledge.request(ms), pledge.replies), home.endpoint)

    def _again(self, request: bytes, count: int) -> list[object]:
        self._exchange = self._exchange.again(request, count)
        return self._exchange.finish(keep=True)


class _Link:
    """An owner as those see it whose writes shall last. Looks like the link to a member, for what writers need."""

    def __init__(self, endpoint: Endpoint, target: Target, routing: SyncRouting, pledge: Pledge) -> None:
        self.endpoint, self.pledge = endpoint, pledge
        self._target, self._routing = target, routing
        self._idle: list[SyncLink] = []
        self._links: list[SyncLink] = []
        self._is_able = False  # to say what it is asked
        self.alone_until = 0.0  # monotonic seconds: it was found that nobody follows it
        member = routing.link(endpoint)
        self.doubt, self.ask_circuit = member.doubt, member.ask_circuit
        self.circuit, self.down, self.budget = member.circuit, member.down, member.budget

    @property
    def calls(self) -> int:
        """How many requests the member was sent, apart from these."""
        return self._routing.link(self.endpoint).calls

    def call(self, request: bytes) -> object:
        """One write."""
        self.ask_circuit()
        return ((self._begin(request, 1, self._left())).finish())[0]

    call_once = call

    def call_within(self, seconds: float, request: bytes, count: int = 1) -> list[object]:
        """Writes that met trouble before, and may have been applied then."""
        return (self._begin(request, count, seconds, between=self.mark())).finish()

    def begin(self, request: bytes, count: int, *, ends: float | None = None) -> _Exchange:
        """Many writes."""
        self.ask_circuit()
        return self._begin(request, count, self._left() if ends is None else max(0.0, ends - time.monotonic()))

    def _begin(self, request: bytes, count: int, seconds: float, *, between: bytes = b"") -> _Exchange:
        ends, pledge = time.monotonic() + seconds, self.pledge
        try:
            link = self._idle.pop()
        except IndexError:
            link = self._new()
        try:
            if seconds < self.patience:
                link.connect(seconds)
            self._make_sure(link)
            link.trust()  # who is cut off takes no writes, and says so
            replies = count + 2 * bool(between) + pledge.replies
            exchange = link.begin(request + between + pledge.request(self.first_ms), replies, once=True)
        except BaseException:
            self.put_back(link)
            raise
        return _Exchange(self, link, exchange, count, ends)

    def _make_sure(self, link: SyncLink) -> None:
        """Let the first question come before anything is written: an owner that refuses it shall change nothing."""
        if not self._is_able:
            replies = link.call_within(self.patience, self.pledge.request(1), self.pledge.replies)
            self.pledge.read(replies, self.endpoint)
            self._is_able = True

    def _left(self) -> float:
        """Seconds that are left of the call that is under way."""
        call = _under_way.get()
        return self._target.timeout if call is None else max(0.0, call.ends - time.monotonic())

    def _new(self) -> SyncLink:
        link = SyncLink(self.endpoint, self._target, self._routing.bell)
        self._links.append(link)
        return link

    @property
    def patience(self) -> float:
        """Seconds for one answer."""
        return self._target.patience

    @property
    def first_ms(self) -> int:
        """
        How long the owner may take to say how far it is, at first; a disk needs longer.

        Where nobody followed it a moment ago, that is asked at once: hundreds may have waited for this owner, and
        would fall short one after the other, each after its time.
        """
        if time.monotonic() < self.alone_until:
            return 1
        half = round(500 * self._target.patience)
        return half if self.pledge.need.disk else min(_FIRST_MS, half)

    def mark(self) -> bytes:
        """A write that changes something for certain; none for a member that has no slots yet."""
        if not self._routing.is_clustered:
            return mark(b"0")
        ranges = self._routing.routes.owners.get(self.endpoint)
        return mark(tag_in(ranges)) if ranges else b""

    def note(self, short: NotDurable) -> None:
        """Let the call that is under way raise this, when it has done what it can."""
        call = _under_way.get()
        if call is None:
            raise short
        call.shorts.append(short)

    def put_back(self, link: SyncLink) -> None:
        """Let others have a connection."""
        self._idle.append(link)

    def close(self) -> None:
        """Close all connections."""
        for link in list(self._links):
            link.close()

    def forget(self) -> None:
        """In a forked child."""
        for link in self._links:
            link.forget()
        self._idle, self._links = [], []


class _Routing:
    """The routes as they are, with links for what shall last."""

    def __init__(self, routing: SyncRouting, target: Target, pledge: Pledge) -> None:
        self._routing, self._target, self._pledge = routing, target, pledge
        self.links: dict[Endpoint, _Link] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._routing, name)

    def link(self, endpoint: Endpoint) -> _Link:
        """The link to a member."""
        try:
            return self.links[endpoint]
        except KeyError:
            made = _Link(endpoint, self._target, self._routing, self._pledge)
            return self.links.setdefault(endpoint, made)


class _Owners:
    """Who owns what, as everybody knows it, with links for what shall last."""

    def __init__(self, owners: list[SyncLink], routing: SyncRouting, lasting: _Routing) -> None:
        self._owners, self._routing, self._lasting = owners, routing, lasting

    def __getitem__(self, slot: int) -> _Link:
        return self._lasting.link(self._owners[slot].endpoint)

    def __setitem__(self, slot: int, link: _Link) -> None:
        self._owners[slot] = self._routing.link(link.endpoint)


class SyncLasting(SyncValkeyEngine):
    """An engine whose writes last: its own routes and bells are those of the engine that it belongs to."""

    def __init__(self, engine: SyncValkeyEngine, durability: Durability) -> None:
        # Not made like an engine: what it knows is the other one's.
        self._engine, self._target, self._lasting = engine, engine._target, {}  # noqa: SLF001 - one thing in two
        routing = engine._routing  # noqa: SLF001
        lasting = _Routing(routing, self._target, Pledge(durability))
        self._links = lasting.links
        self._routing = cast("SyncRouting", lasting)
        self._owners = cast("list[SyncLink]", _Owners(routing.owners, routing, lasting))
        self._turns: dict[Endpoint, SyncTurn] = {}
        self.doubts = engine.doubts
        for name in _READS:
            setattr(self, name, getattr(engine, name))

    @property
    def doubt(self) -> int:
        return self._engine.doubt

    @doubt.setter
    def doubt(self, value: int) -> None:
        self._engine.doubt = value

    @property
    def rings(self) -> int:
        return self._engine.rings

    @rings.setter
    def rings(self, value: int) -> None:
        self._engine.rings = value

    @property
    def trouble(self) -> int:
        return self._engine.trouble

    @trouble.setter
    def trouble(self, value: int) -> None:
        self._engine.trouble = value

    def lasting(self, durability: Durability) -> SyncValkeyEngine:
        return self._engine.lasting(durability)

    def sure_reads(self) -> SyncValkeyEngine:
        return self._engine.sure_reads()

    def open(self) -> None:
        """Nothing has to be done: the other one is open."""

    def close(self) -> None:
        """Close the connections for writing; the others belong to the other one."""
        for link in list(self._links.values()):
            link.close()

    def forget(self) -> None:
        """In a forked child: begin with connections of its own."""
        for link in self._links.values():
            link.forget()
        self._turns = {}

    def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        with self._pledged(self._owners[slot_of(address)].endpoint):
            return self._count(super()._run, address, by, start, ttl)

    # All that is written goes one of these ways.

    def _call(self, address: bytes, request: bytes, effect: Effect) -> object:
        with self._pledged(self._owners[slot_of(address)].endpoint):
            return super()._call(address, request, effect)

    def _call_both(self, address: bytes, first: bytes, second: bytes) -> object:
        with self._pledged(self._owners[slot_of(address)].endpoint):
            return super()._call_both(address, first, second)

    def _run(
        self,
        script: Script,
        effect: Effect,
        keys: tuple[bytes, ...],
        *args: bytes,
        plain: bytes | None = None,
        deadline: float | None = None,
    ) -> object:
        with self._pledged(self._owners[slot_of(keys[0])].endpoint):
            return super()._run(script, effect, keys, *args, plain=plain, deadline=deadline)

    def _call_many(self, batch: Batch) -> list[object]:
        with self._pledged(_BATCHES):
            return super()._call_many(batch)

    def _deadline(self, trouble: object = None) -> float:
        call = _under_way.get()
        return super()._deadline(trouble) if call is None else call.ends

    def raise_epoch(self, name: bytes) -> int:
        with self._noting():  # all are told, whether it has come far enough or not
            return super().raise_epoch(name)

    def raise_tags(self, names: Sequence[bytes]) -> None:
        with self._noting():
            super().raise_tags(names)

    def _raise_tags_at_owners(self, names: Sequence[bytes]) -> None:
        for name in names:
            self._raise_tag(name)

    def _raise_at_owner(self, key: bytes) -> int:
        with self._turn(self._owners[slot_of(key)].endpoint):
            return int_in(super()._run(commands.RAISE_EPOCH, Effect.REPEATABLE, (key,)))

    @contextmanager
    def _pledged(self, place: Endpoint) -> Iterator[None]:
        with self._noting(), self._turn(place):
            yield

    @contextmanager
    def _turn(self, place: Endpoint) -> Iterator[None]:
        """Bounded waiting: while replicas do not answer, callers would take a connection each."""
        turn = self._turns.get(place) or self._turns.setdefault(place, SyncTurn(_SEATS))
        timeout = self._target.timeout
        with turn.taken(self._deadline() - time.monotonic()) as is_ours:
            if not is_ours:
                raise EngineTimeout(
                    f"{_SEATS} other calls wait for replicas or the disk of {place.host}:{place.port}, and none of "
                    f"them got done within {timeout:g} s; nothing was written. Look at `cachegrid status`",
                    where=str(place),
                )
            yield

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Raise NotDurable at the end, if something fell short."""
        call = _Call(self._target.timeout)
        before = _under_way.set(call)
        try:
            yield
        finally:
            _under_way.reset(before)
        if call.shorts:
            raise merged(call.shorts)


def _has_fallen_short() -> bool:
    call = _under_way.get()
    return call is not None and bool(call.shorts)
