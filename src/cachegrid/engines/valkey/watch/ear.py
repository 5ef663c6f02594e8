"""An ear: one thread with one connection to one owner, that hears what changes there."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from libvalkey import ProtocolError, Reader

from cachegrid.engines.valkey.commands import BELL_PREFIX, EPOCH_PREFIX, HEALTH, ROUTES, pack
from cachegrid.engines.valkey.dialling import dial, wait_at_most
from cachegrid.engines.valkey.facts import read_health
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target, read_greeting
from cachegrid.engines.valkey.trouble import Effect, LinkError, advise
from cachegrid.engines.valkey.watch.tidings import PUSHED, Tidings
from cachegrid.errors import CacheError
from cachegrid.near.copies import Guard

__all__ = ["Ear", "Hearer"]

_BELLS: Final = (BELL_PREFIX, EPOCH_PREFIX)
_NOTHING: Final = object()  # the reader's word for "the reply is not complete yet"
_CHUNK: Final = 65_536
_PING: Final = pack(b"PING")  # where there is no cluster
_UNKNOWN: Final = -1
_SHORTEST_PAUSE: Final = 0.02  # seconds before a connection is tried again
_LONGEST_PAUSE: Final = 0.5
# Members agree on an epoch before they agree on what comes of it: for so many seconds after it changed they are asked
# at each pulse who owns what, and as often as that in any case.
_SETTLING: Final = 5.0


class Hearer(Protocol):
    """Who is told what an ear hears. Called in the ear's thread."""

    def changed(self, address: bytes) -> None:
        """An entry changed."""

    def lost(self, ear: Ear) -> None:
        """Every entry of this owner changed, or may change from now on without a word."""

    def rung(self, keys: list[bytes]) -> None:
        """Bells were rung."""

    def happened(self, pattern: bytes, channel: bytes, word: bytes, endpoint: Endpoint) -> None:
        """Something happened to a key, as who subscribed to a pattern is told."""

    def tells(self, ear: Ear) -> None:
        """An owner tells of other patterns than before, or will not."""

    def refused(self, endpoint: Endpoint, error: CacheError) -> None:
        """An owner will not tell what changes, and trying again may not help."""

    def deaf(self) -> None:
        """An ear heard nothing at all on a connection, or got none."""

    def cut_off(self, endpoint: Endpoint) -> None:
        """An owner is cut off from the other members."""

    def routes(self, reply: object, epoch: int, asked: Endpoint) -> None:
        """The members agreed on other routes, with this epoch."""


class Ear:
    """
    Listens to one owner until it is closed; connects again when the connection breaks.

    `guard` is None while it does not listen, and another one after each break.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        target: Target,
        hearer: Hearer,
        prefixes: Callable[[], frozenset[bytes]],
        interval: Callable[[], float],
        patterns: Callable[[], frozenset[bytes]] = frozenset,
    ) -> None:
        self.endpoint = endpoint
        self.guard: Guard | None = None
        self.prefixes: frozenset[bytes] = frozenset()  # that it listens to
        self.target, self.hearer = target, hearer
        self.wanted, self.patterns, self.interval = prefixes, patterns, interval
        self.tidings: Tidings | None = None  # of the connection that there is
        self.epoch = _UNKNOWN  # of the routes, as the owner told last
        self.closing = threading.Event()
        self._sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name=f"cachegrid ear {endpoint}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread has not ended yet."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Let it end by itself."""
        self.closing.set()
        self.deafen()
        sock = self._sock
        if sock is not None:
            with contextlib.suppress(OSError):
                # Not TLS's own, which is for the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """End it; its thread has ended on return."""
        self.end()
        self._thread.join()

    def forget(self) -> None:
        """In a forked child: the thread is the parent's; let go of the sockets."""
        self.deafen()
        if self._sock is not None:
            self._sock.close()

    def suspect(self) -> None:
        """Let it ask anew who owns what: somebody was sent to another owner."""
        self.epoch = _UNKNOWN

    # The thread.

    def _run(self) -> None:
        pause = _SHORTEST_PAUSE
        while not self.closing.is_set():
            was_heard = False
            try:
                with dial(self.endpoint, self.target, self.target.patience) as self._sock:
                    _Session(self, self._sock).run()
            except (OSError, ProtocolError, LinkError):
                pass  # nobody asked for anything; who does hears from the data path what is wrong
            except CacheError as error:
                self.hearer.refused(self.endpoint, error)
            except Exception:
                # A mistake of ours, or in a reply: it must not leave an owner without anybody who listens.
                import logging

                logging.getLogger("cachegrid").exception("what %s tells cannot be understood", self.endpoint)
            finally:
                was_heard = self.lose()
                self.prefixes, self.tidings = frozenset(), None
            if not was_heard:
                self.hearer.deaf()
            pause = _SHORTEST_PAUSE if was_heard else min(pause * 2, _LONGEST_PAUSE)
            self.closing.wait(pause)

    def hear(self, sent: float) -> None:
        """Whatever changed before `sent` has been told."""
        if self.guard is None:
            guard = Guard()
            guard.heard = sent
            self.guard = guard
        else:
            self.guard.heard = sent

    def deafen(self) -> bool:
        """Something may be missed from here on; whether it was heard until now."""
        guard, self.guard = self.guard, None
        if guard is not None:
            guard.give_up()
        return guard is not None

    def lose(self) -> bool:
        """The same, in its own thread: copies that are not handed out any more take no room either."""
        was_heard = self.deafen()
        if was_heard and not self.closing.is_set():
            self.hearer.lost(self)
        return was_heard

    def tell(self, addresses: object) -> None:
        """What was pushed: the addresses that changed, or None for all of this owner's."""
        if not isinstance(addresses, list):
            self.hearer.lost(self)
            return
        bells = [address for address in addresses if address.startswith(_BELLS)]
        if bells:
            self.hearer.rung(bells)
        for address in addresses:
            if not address.startswith(_BELLS):
                self.hearer.changed(address)


class _Session:
    """What an ear does on one connection."""

    def __init__(self, ear: Ear, sock: socket.socket) -> None:
        self._ear, self._sock = ear, sock
        self._reader = Reader(notEnoughData=_NOTHING)
        self._answers: deque[Callable[[object], None]] = deque()  # what to do with the replies, in order
        self._asked: frozenset[bytes] = frozenset()  # prefixes
        self._pulse = _PING
        self._restless_until = self._routes_asked = 0.0  # seconds, monotonic
        self._unanswered = 0.0  # when the oldest pulse without an answer was sent; 0: none
        tells = partial(ear.hearer.tells, ear)
        self._tidings = Tidings(ear.endpoint, ear.patterns, self._send, self._answers, tells)

    def run(self) -> None:
        """Listen until the connection breaks, or the ear is closed. Raises what broke it."""
        self._greet()
        self._ear.tidings = self._tidings
        due = 0.0
        while not self._ear.closing.is_set():
            self._ask_for_prefixes()
            self._tidings.ask()
            now = time.monotonic()
            if now >= due:
                self._send_pulse(now)
                interval = self._ear.interval()
                due = now + interval
                wait_at_most(self._sock, interval)
            # Nothing but this waits: in a process that computes, a thread has to wait for the interpreter after each
            # call that may block. So what else there is to do is seen when something came, or nothing for an interval.
            self._receive()

    def _greet(self) -> None:
        target, endpoint = self._ear.target, self._ear.endpoint
        wait_at_most(self._sock, target.patience)
        greeting, count = target.greeting(readonly=False)
        self._sock.sendall(greeting)
        replies: list[object] = []
        while len(replies) < count:
            self._feed()
            replies += self._replies()
        hello = read_greeting(replies, endpoint)
        self._pulse = HEALTH if hello.clustered else _PING

    def _ask_for_prefixes(self) -> None:
        wanted = self._ear.wanted()
        new = sorted(wanted - self._asked)
        if not new:
            return
        self._asked |= wanted
        words = [word for prefix in new for word in (b"PREFIX", prefix)]
        asked = self._asked

        def confirmed(reply: object) -> None:
            self._must_be_given(reply)
            self._ear.prefixes = asked

        self._send(pack(b"CLIENT", b"TRACKING", b"ON", b"BCAST", *words), confirmed)

    def _send_pulse(self, now: float) -> None:
        if self._unanswered and now - self._unanswered > self._ear.target.patience:
            raise TimeoutError("no answer in time")
        self._unanswered = self._unanswered or now
        self._send(self._pulse, lambda reply: self._pulse_answered(reply, now))

    def _pulse_answered(self, reply: object, sent: float) -> None:
        self._unanswered = 0.0
        self._must_be_given(reply)
        if self._pulse is _PING:
            self._ear.hear(sent)
            return
        is_well, epoch = read_health(reply)
        if not is_well:
            self._ear.lose()  # the others may have another owner by now
            self._ear.hearer.cut_off(self._ear.endpoint)
            return
        if epoch != self._ear.epoch:
            self._ear.epoch = epoch
            self._restless_until = sent + _SETTLING
        if sent < self._restless_until or sent > self._routes_asked + _SETTLING:
            self._routes_asked = sent
            self._send(ROUTES, lambda routes: self._routes_told(routes, epoch, sent))
        else:
            self._ear.hear(sent)

    def _routes_told(self, reply: object, epoch: int, sent: float) -> None:
        self._must_be_given(reply)
        if self._ear.closing.is_set():
            return  # what a member says that is no owner any more
        self._ear.hearer.routes(reply, epoch, self._ear.endpoint)
        self._ear.hear(sent)

    def _must_be_given(self, reply: object) -> None:
        """Raises LinkError for an error that passes, and another CacheError for one that may not."""
        if isinstance(reply, Exception):
            error = advise(reply, Effect.READ, self._ear.endpoint).error
            raise error or LinkError(self._ear.endpoint, str(reply), sent=True)

    def _send(self, request: bytes, then: Callable[[object], None]) -> None:
        self._answers.append(then)
        self._sock.sendall(request)

    def _receive(self) -> None:
        try:
            self._feed()
        except (BlockingIOError, TimeoutError):  # by the kernel's time-out, or by TLS's
            return
        for reply in self._replies():
            self._answers.popleft()(reply)

    def _feed(self) -> None:
        received = self._sock.recv(_CHUNK)
        if not received:
            raise ConnectionResetError("the member closed the connection")
        self._reader.feed(received)
        while getattr(self._sock, "pending", int)():  # TLS has more than the system knows of
            self._reader.feed(self._sock.recv(_CHUNK))

    def _replies(self) -> list[object]:
        """The replies that have come whole. What was pushed before each of them is told by then."""
        replies = []
        while (reply := self._reader.gets()) is not _NOTHING:
            if reply.__class__ is list and len(reply) == 2 and reply[0] == b"invalidate":
                self._ear.tell(reply[1])
            elif reply.__class__ is list and reply and reply[0] in PUSHED:
                if (said := self._tidings.read(reply)) is not None:
                    self._ear.hearer.happened(*said, self._ear.endpoint)
            else:
                replies.append(reply)
        return replies
