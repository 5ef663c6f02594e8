# hand-written in both colours
"""A member as seen from here: a pool of connections, each carrying one request at a time."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import Final

from libvalkey import ProtocolError, ReplyError

from cachegrid._core.circuit import Budget, Circuit
from cachegrid.engines.facts import PathFacts
from cachegrid.engines.valkey._sio.wire import Overdue, SyncWire
from cachegrid.engines.valkey.bell import Bell
from cachegrid.engines.valkey.commands import HEALTH
from cachegrid.engines.valkey.dialling import dial
from cachegrid.engines.valkey.facts import read_health
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Hello, Target, foreign, read_greeting
from cachegrid.engines.valkey.trouble import (
    PROOF_KEPT,
    CutOff,
    LinkError,
    Refusal,
    Shut,
    Silence,
    Slow,
    closed_here,
    overloaded,
    reason_of,
)

__all__ = ["SyncExchange", "SyncLink"]

_SILENT: Final = "no answer in time"
_NEVER: Final = float("inf")
_GLANCE: Final = 0.05  # seconds after which a connection that came back unseen is noticed


class SyncLink:
    """A member as seen from here. Threads share it."""

    def __init__(self, endpoint: Endpoint, target: Target, bell: Bell, *, readonly: bool = False) -> None:
        self.endpoint = endpoint
        self.hello: Hello | None = None
        self.circuit, self.down = Circuit(), Circuit()  # of a member that says nothing, and one that is cut off
        self.budget = Budget()
        self.calls = 0  # requests that were sent; threads may lose count of some
        self._target, self._bell, self._readonly = target, bell, readonly
        self._silence, self._refusal = Silence(target.patience), Refusal()
        self._idle: list[SyncWire] = []
        self._owing: list[SyncExchange] = []  # whose answers nobody waits for; the first that comes tells of the member
        self._closed = False
        self._proved_until = _NEVER if readonly else 0.0  # seconds, monotonic; after that see `_prove`
        self._begin()

    def _begin(self) -> None:
        # All that are open, in use or not. What an interrupted call has lost is not counted.
        self._wires: weakref.WeakSet[SyncWire | _Place] = weakref.WeakSet()
        self._wanting = 0  # calls that wait for one
        self._is_watched = self._closed  # whether it matters that a connection comes back
        self._room = threading.Condition()

    def call(self, request: bytes) -> object:
        """
        Send one request and wait for its reply; an error reply is returned, not raised. Raises LinkError.

        That is Slow where the member says nothing for a moment.
        """
        if time.monotonic() > self._proved_until:
            return self._prove(request, 1)[0]
        try:
            wire = self._idle.pop()
        except IndexError:
            wire = None  # not opened here: an error on the way would seem to come of this one
        if wire is None:
            ends = self._end()
            return self._send(
                self._open(self._target.patience, is_eager=True), request, 1, is_eager=True, ends=ends
            ).finish()[0]
        self.calls += 1
        sent = False
        try:
            wire.send(request)
            sent = True
            reply = wire.read(self._target.timeout)
        except BaseException as error:
            self._late(wire, error, sent=sent)
            raise
        if self._is_watched:
            self._put_back(wire)
        else:
            self._idle.append(wire)
        return reply

    def call_once(self, request: bytes) -> object:
        """The same for a request that must not be repeated: first see that the connection is alive."""
        self.ask_circuit()
        patience, ends = self._target.patience, self._end()
        [reply] = self._exchange(self._living(patience), request, 1, patience, ends)
        self._note([reply])
        return reply

    def call_within(self, seconds: float, request: bytes, count: int = 1) -> list[object]:
        """
        Send requests that have `count` replies on a connection that is alive, and wait for all at most `seconds`.

        For when there is no hurry, but little time left. Error replies are returned. Raises LinkError.
        """
        patience, ends = self._target.patience, time.monotonic() + seconds
        wire = self._living(min(seconds, patience), room=seconds)
        if seconds < patience:
            wire.wait_at_most(seconds)
        return self._exchange(wire, request, count, min(seconds, patience), ends)

    def begin(
        self, request: bytes, count: int, *, once: bool = False, is_eager: bool = False, ends: float | None = None
    ) -> SyncExchange:
        """
        Send requests that have `count` replies; `finish` waits for them, so that several members work at once.

        It waits as long as a call may take, and no longer than until `ends`, in the monotonic clock's seconds.
        Where one must not be repeated, `once`: first see that the connection is alive. With `is_eager` it raises Slow,
        where the member says nothing for a moment.
        """
        ends = self._end() if ends is None else ends
        if time.monotonic() > self._proved_until:
            self._prove(b"", 0, is_eager=is_eager)
        if once:
            return self._send(self._living(self._target.patience), request, count, ends=ends)
        wire = self._taken() or self._open(self._target.patience, is_eager=is_eager)
        return self._send(wire, request, count, is_eager=is_eager, ends=ends)

    @property
    def is_quiet(self) -> bool:
        """Whether it was asked something, and has not answered so far."""
        return bool(self._owing) or self._silence.is_on

    def facts(self) -> PathFacts:
        """How this process gets on with the member."""
        host, port = self.endpoint
        return PathFacts(
            host=host,
            port=port,
            circuit="open" if self.down.is_open else self.circuit.state(time.monotonic()),
            opened=self.circuit.opened + self.down.opened,
            requests=self.calls,
            denied_retries=self.budget.denied,
            waiting=max(0, len(self._wires) - len(self._idle)),
            is_quiet=self.is_quiet,
        )

    def doubt(self) -> None:
        """Somebody heard that the member is not well: let the next request ask it."""
        self._proved_until = min(self._proved_until, 0.0)

    def trust(self) -> None:
        """Let the next requests not ask: the routes have just been learned."""
        if self._proved_until < _NEVER and not self.circuit.is_open and not self.is_quiet:
            self._proved_until = time.monotonic() + PROOF_KEPT

    def connect(self, seconds: float) -> Hello:
        """Make sure, within so many seconds, that the member answers; what it says of itself."""
        if self.hello is None or not self._idle:
            self._put_back(self._open(min(seconds, self._target.patience)))
        hello = self.hello
        assert hello is not None  # noqa: S101 - set by _open
        return hello

    def close(self) -> None:
        """Close every connection, for good; those in use are closed when they come back."""
        self._closed = self._is_watched = True
        self._drain()

    def forget(self) -> None:
        """In a forked child: let go of the parent's connections without a word to the member."""
        self._drain()
        self._begin()

    def owe(self, exchange: SyncExchange) -> None:
        """Somebody has gone elsewhere: reads do so too until this is answered, and then all come back."""
        self._owing.append(exchange)
        self.doubt()

    def _prove(self, request: bytes, count: int, *, is_eager: bool = True) -> list[object]:
        """
        Ask the member, in the same trip as something else, whether it is with the others. Raises CutOff if it is not.

        It would answer reads, though others may have put another one in its place by now, who takes the writes.
        """
        self.ask_circuit()
        if self._owing and not self._has_answered() and is_eager:
            raise Slow(self.endpoint)
        if not self.is_quiet:  # else those who can are to ask somebody else, whoever waits for the answer
            self._proved_until = time.monotonic() + PROOF_KEPT  # others need not ask as well
        ends = self._end()
        try:
            wire = self._taken() or self._open(self._target.patience, is_eager=is_eager)
            is_clustered = self.hello is not None and self.hello.clustered
            if not is_clustered:
                self._proved_until = _NEVER
            question = HEALTH * is_clustered + request
            asked = count + is_clustered
            exchange = self._send(wire, question, asked, is_eager=is_eager, is_proof=is_clustered, ends=ends)
            replies = exchange.finish()
        except Slow as error:
            self._proved_until = 0.0
            if error.rest is not None and not count:
                error.rest.leave()
                raise Slow(self.endpoint) from error
            raise
        except BaseException:
            self._proved_until = 0.0
            raise
        self.down.passed(time.monotonic())
        self._note(replies)
        return replies

    def _end(self) -> float:
        """By when a call that begins now has to be over, in the monotonic clock's seconds."""
        return time.monotonic() + self._target.timeout

    def ask_circuit(self) -> None:
        """Raises Shut where the member has not answered for so long that it is not asked now."""
        circuit = self.circuit
        if circuit.is_open and not circuit.may_try(now := time.monotonic()):
            raise Shut(self.endpoint, circuit.left(now))

    def _note(self, replies: list[object]) -> None:
        if replies and not isinstance(replies[-1], ReplyError):
            self.circuit.passed(time.monotonic())
            self.down.passed(time.monotonic())

    def _has_answered(self) -> bool:
        """Whether the member has said something since it was left; if it never does, it is silent from then on."""
        has_answered = False
        for _ in range(len(self._owing)):
            try:
                exchange = self._owing.pop(0)
            except IndexError:  # another thread looks, too
                break
            if exchange.has_word():
                has_answered = True
                exchange.end_late()
            elif exchange.is_overdue():
                exchange.abandon()
                self._silence.note(time.monotonic())
            else:
                self._owing.append(exchange)
        if has_answered:
            self._silence.end()
        return has_answered or not self._owing

    def _living(self, seconds: float, *, room: float | None = None) -> SyncWire:
        """A connection that is alive as far as is known here."""
        while wire := self._taken():
            if wire.is_alive():
                return wire
            self._lose(wire)
        return self._open(seconds, room=room)

    def _taken(self) -> SyncWire | None:
        """An idle connection, if there is one."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _send(
        self,
        wire: SyncWire,
        request: bytes,
        count: int,
        *,
        is_eager: bool = False,
        is_proof: bool = False,
        ends: float | None = None,
    ) -> SyncExchange:
        self.calls += count
        try:
            wire.send(request)
        except BaseException as error:
            self._break(wire, error, sent=True)
            raise
        return SyncExchange(self, wire, count, is_eager=is_eager, is_proof=is_proof, ends=ends)

    def _exchange(self, wire: SyncWire, request: bytes, count: int, seconds: float, ends: float) -> list[object]:
        """Send and read on a connection on which one waits so many seconds for more, and put it back as it was."""
        self.calls += count
        sent, began = False, time.monotonic()
        try:
            wire.send(request)
            sent = True
            replies = wire.read_many(count, [], ends)
            if seconds < self._target.patience:
                wire.wait_at_most(self._target.patience)
        except BaseException as error:
            self._break(wire, error, sent=sent, waited=seconds, spent=time.monotonic() - began)
            raise
        self._put_back(wire)
        return replies

    def _open(self, seconds: float, *, room: float | None = None, is_eager: bool = False) -> SyncWire:
        """
        A new connection; where there are as many as there may be, one that comes back.

        For that it is waited as long as a call may take, or `room` seconds. Raises Overloaded; and, for who is eager,
        Slow where the member says nothing for a moment.
        """
        if refused := self._refusal.reason(time.monotonic()):
            raise LinkError(self.endpoint, refused, sent=False)
        place = _Place()
        wire = self._wait_for_place(place, self._target.timeout if room is None else room)
        if wire is not None:
            return wire
        try:
            return self._dial(seconds, is_eager=is_eager)
        finally:
            self._wires.discard(place)
            self._tell()

    def _wait_for_place(self, place: _Place, seconds: float) -> SyncWire | None:
        """Take the place of a connection that will be made; or a connection, if that comes first."""
        ends = time.monotonic() + seconds
        with self._room:
            try:
                while len(self._wires) >= self._target.connections:
                    left = ends - time.monotonic()
                    if left <= 0:
                        raise overloaded(self.endpoint, f"{self._target.connections} connections", seconds)
                    self._wanting += 1
                    self._is_watched = True
                    try:
                        if wire := self._taken():  # since it was looked for, or since it matters
                            return wire
                        self._room.wait(min(left, _GLANCE))
                    finally:
                        self._wanting -= 1
                    if wire := self._taken():
                        return wire
                self._wires.add(place)
            finally:
                self._is_watched = self._closed or self._wanting > 0
        return None

    def _dial(self, seconds: float, *, is_eager: bool = False) -> SyncWire:
        if self._closed:
            raise closed_here(self.endpoint)
        if not self._silence.may_try(time.monotonic()):
            if is_eager:
                raise Slow(self.endpoint)
            raise LinkError(self.endpoint, f"{_SILENT}, a moment ago", sent=False)
        # Whether a member that was silent answers again, one call finds out now and then, in no more than a moment.
        is_eager = is_eager and (self._silence.is_on or self.hello is not None)
        try:
            sock = dial(self.endpoint, self._target, self._target.moment if is_eager else seconds)
        except OSError as error:
            if is_eager and _is_silent(error):
                self._silence.note(time.monotonic())
                raise Slow(self.endpoint, waited=self._target.moment) from error
            if not _is_silent(error):
                self._refusal.note(reason_of(error), time.monotonic())
            raise self._trouble(error, sent=False, waited=seconds) from error
        try:
            wire = SyncWire(sock, self._bell, seconds, self._target.moment)
            self._greet(wire, seconds, is_eager=is_eager)
            wire.wait_at_most(self._target.patience)
        except ProtocolError as error:
            sock.close()
            raise foreign(self.endpoint) from error
        except OSError as error:
            sock.close()
            raise self._trouble(error, sent=False, waited=seconds) from error
        except Slow:  # it is left open: what it answers tells of the member
            self._wires.add(wire)
            raise
        except BaseException:
            sock.close()
            raise
        self._wires.add(wire)
        self._silence.end()
        # Bells that rang before this connection listened were not heard on it.
        self._bell()
        return wire

    def _greet(self, wire: SyncWire, seconds: float, *, is_eager: bool) -> None:
        greeting, count = self._target.greeting(readonly=self._readonly)
        replies: list[object] = []
        try:
            wire.send(greeting)
            wire.read_many(count, replies, time.monotonic() + seconds, is_eager=is_eager)
        except OSError as error:
            if is_eager and _is_silent(error):
                SyncExchange(self, wire, count, is_greeting=True).leave()
                raise Slow(self.endpoint, waited=self._target.moment) from error
            # A member that has no room for us says so, and closes the connection.
            replies.append(self._trouble(error, sent=False, waited=seconds))
        self.hello = read_greeting(replies, self.endpoint)

    def _put_back(self, wire: SyncWire) -> None:
        if self._closed:
            self._lose(wire)
        else:
            self._idle.append(wire)
            self._tell()

    def _tell(self) -> None:
        """Let one who waits for a connection look."""
        if self._wanting:
            with self._room:
                self._room.notify()

    def _lose(self, wire: SyncWire) -> None:
        wire.sock.close()
        self._wires.discard(wire)
        self._tell()

    def _late(self, wire: SyncWire, error: BaseException, *, sent: bool) -> None:
        """After something went wrong with one request: raises Slow where it is only late, and LinkError."""
        if sent and _is_silent(error) and not isinstance(error, Overdue):
            moment = self._target.moment
            rest = SyncExchange(self, wire, 1, ends=self._end() - moment)
            raise Slow(self.endpoint, rest, waited=moment) from error
        self._break(wire, error, sent=sent)

    def _break(
        self, wire: SyncWire, error: BaseException, *, sent: bool, waited: float | None = None, spent: float = 0
    ) -> None:
        """Close a connection on which something went wrong. Raises LinkError if that was the connection's fault."""
        self._lose(wire)
        if isinstance(error, (OSError, ProtocolError)):
            waited = waited or self._target.patience
            if isinstance(error, Overdue):
                raise LinkError(self.endpoint, _SILENT, sent=sent, waited=waited, spent=self._target.timeout) from error
            raise self._trouble(error, sent=sent, waited=waited, spent=spent) from error

    def _trouble(self, error: OSError | ProtocolError, *, sent: bool, waited: float, spent: float = 0) -> LinkError:
        is_silent = _is_silent(error)
        if not is_silent:
            self._silence.end()
        elif waited >= self._target.patience:  # else there was no time left, which says nothing about the member
            self._silence.note(time.monotonic())
        if not is_silent or self._silence.is_on:
            # When one connection breaks the others of that member are not to be trusted either.
            self._drain()
        return LinkError(
            self.endpoint,
            _SILENT if is_silent else reason_of(error),
            sent=sent,
            waited=waited * is_silent,
            spent=spent,
        )

    def _drain(self) -> None:
        while wire := self._taken():
            self._lose(wire)
        while self._owing:
            with contextlib.suppress(IndexError):  # another thread does it, too
                self._owing.pop().abandon()


class _Place:
    """Counts as a connection until it is made."""


def _is_silent(error: BaseException) -> bool:
    return isinstance(error, (BlockingIOError, TimeoutError))


class SyncExchange:
    """Requests that are on their way."""

    __slots__ = (
        *("_began", "_count", "_ends", "_is_eager", "_is_greeting", "_is_proof", "_left_at", "_link", "_replies"),
        "_wire",
    )

    def __init__(
        self,
        link: SyncLink,
        wire: SyncWire,
        count: int,
        *,
        is_eager: bool = False,
        is_proof: bool = False,
        is_greeting: bool = False,
        ends: float | None = None,
    ) -> None:
        self._link, self._wire, self._count = link, wire, count
        self._is_eager, self._is_proof, self._is_greeting = is_eager, is_proof, is_greeting
        self._replies: list[object] = []
        self._left_at = 0.0
        self._began = time.monotonic()
        self._ends = self._began + link._target.timeout if ends is None else ends  # noqa: SLF001 - halves of one thing

    def finish(self, *, keep: bool = False) -> list[object]:
        """
        The replies, in order; error replies stand among them. Raises LinkError.

        With `keep` the connection stays at hand for `again`, until `end`. An eager one raises Slow where nothing has
        come for a moment, once, and may be called again.
        """
        link = self._link
        is_eager, self._is_eager = self._is_eager, False
        try:
            replies = self._wire.read_many(self._count, self._replies, self._ends, is_eager=is_eager)
        except BaseException as error:
            spent = time.monotonic() - self._began
            if is_eager and _is_silent(error) and not isinstance(error, Overdue):
                raise Slow(link.endpoint, self, waited=spent) from error
            link._break(self._wire, error, sent=True, spent=spent)  # noqa: SLF001
            raise
        if not keep:
            link._put_back(self._wire)  # noqa: SLF001
        if not self._is_proof:
            return replies
        if not read_health(replies[0]).is_well:
            raise CutOff(link.endpoint)
        return replies[1:]

    def again(self, request: bytes, count: int) -> SyncExchange:
        """Send more on the very same connection, and no other. Raises LinkError."""
        return self._link._send(self._wire, request, count)  # noqa: SLF001

    def end(self) -> None:
        """Let others have the connection, after an exchange that was to `keep` it. An error has closed it already."""
        if self._wire.sock.fileno() >= 0:
            self._link._put_back(self._wire)  # noqa: SLF001

    def leave(self) -> None:
        """Nobody needs the replies any more; when they come the member is known to be well."""
        self._left_at = time.monotonic()
        self._link.owe(self)

    def end_late(self) -> None:
        """Something has come after it was left: let others have the connection, or close it."""
        if self._is_greeting:  # nobody has looked whether it is welcome
            self.abandon()
            return
        self._is_eager = True
        try:
            self.finish()
        except Slow:  # more is to come
            self.abandon()
        except LinkError:
            pass  # broken: a new connection tells more

    def has_word(self) -> bool:
        """Whether something has come, if only the end of the connection."""
        return self._wire.has_word()

    def is_overdue(self) -> bool:
        """Whether an answer should have come, after it was left."""
        return time.monotonic() - self._left_at >= self._link._target.patience  # noqa: SLF001

    def abandon(self) -> None:
        """Nobody will wait for the replies."""
        self._link._lose(self._wire)  # noqa: SLF001
