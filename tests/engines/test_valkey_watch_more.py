"""What ears make of what owners say, forced by owners that the tests play: when they say it, and what they know."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import pytest
from libvalkey import Reader

from cachegrid.engines.valkey.slots import Endpoint, Routes
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.watch import ear as ears
from cachegrid.engines.valkey.watch.ear import Ear
from cachegrid.engines.valkey.watch.watch import Watch

PATIENCE = 10.0
PREFIX = b"cg:prices:"
HELLO = b"%%3\r\n$6\r\nserver\r\n$6\r\nvalkey\r\n$7\r\nversion\r\n$5\r\n8.0.0\r\n$4\r\nmode\r\n$%d\r\n%b\r\n"


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def text(words: bytes) -> bytes:
    """As RESP has it."""
    return b"$%d\r\n%b\r\n" % (len(words), words)


def health(epoch: int, state: bytes = b"ok") -> bytes:
    """An answer to CLUSTER INFO."""
    return text(b"cluster_state:%b\r\ncluster_current_epoch:%d\r\n" % (state, epoch))


class Owner:
    """Listens on loopback and answers as it is told; what is shut is not answered, nor what was asked after it."""

    def __init__(self, mode: bytes = b"cluster") -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint(*self._listening.getsockname()[:2])
        slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" + text(b"127.0.0.1") + b":%d\r\n" % self.endpoint.port
        self.answers = {
            b"HELLO 3": HELLO % (len(mode), mode),
            b"CLIENT TRACKING": b"+OK\r\n",
            b"PING": b"+PONG\r\n",
            b"CLUSTER INFO": health(7),
            b"CLUSTER SLOTS": slots,
        }
        self.asked: list[tuple[bytes, float]] = []  # and when that was seen here
        self.connections: list[socket.socket] = []
        self._shut: dict[bytes, threading.Event] = {}
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for gate in self._shut.values():
            gate.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join()
        for one in self.connections:
            one.close()
        for thread in self._threads[1:]:
            thread.join()

    def shut(self, question: bytes) -> None:
        """Answer no more from the next such question on."""
        self._shut[question] = threading.Event()

    def open(self, question: bytes) -> None:
        """Go on."""
        self._shut.pop(question).set()

    def count(self, question: bytes) -> int:
        """How often it was asked so."""
        return sum(one == question for one, _ in self.asked)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        reader = Reader(notEnoughData=self)
        while True:
            try:
                received = connection.recv(65_536)
            except OSError:
                return
            if not received:
                return
            reader.feed(received)
            while (request := reader.gets()) is not self:
                self._answer(connection, b" ".join(request[:2]))

    def _answer(self, connection: socket.socket, question: bytes) -> None:
        self.asked.append((question, time.monotonic()))
        gate = self._shut.get(question)
        if gate is not None:
            gate.wait(PATIENCE)
        try:
            connection.sendall(self.answers[question])
        except OSError:
            return


class Listener:
    """Notes what ears say, and stands for the engine of a watch."""

    def __init__(self, routes: Routes | None = None) -> None:
        self.cut: list[Endpoint] = []
        self.told: list[tuple[object, int]] = []
        self.known = routes or Routes({}, {})

    def changed(self, address: bytes) -> None:
        """Nothing changes here."""

    def changed_if(self, is_lost: Callable[[bytes], bool]) -> None:
        """Nothing changes here."""

    def lost(self, ear: Ear) -> None:
        """Nothing was kept."""

    def rung(self, keys: list[bytes]) -> None:
        """Nobody rings."""

    def happened(self, *_: object) -> None:
        """Nobody listens to it."""

    def tells(self, ear: Ear) -> None:
        """Nobody has asked."""

    def refused(self, *_: object) -> None:
        """Nothing is refused."""

    def deaf(self) -> None:
        """It will hear."""

    def cut_off(self, endpoint: Endpoint) -> None:
        """An owner is."""
        self.cut.append(endpoint)

    def routes(self, reply: object, epoch: int, asked: Endpoint) -> None:
        """What an owner knows."""
        self.told.append((reply, epoch))

    def learned(self) -> Routes:
        """Where a watch begins."""
        return self.known


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed after the test, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def listener() -> Listener:
    """Who is told."""
    return Listener()


def listening(stack: ExitStack, owner: Owner, listener: Listener, patience: float = 5) -> Ear:
    """An ear at an owner, which asks how it is every 10 ms."""
    target = Target(seeds=(owner.endpoint,), patience=patience)
    ear = Ear(owner.endpoint, target, listener, lambda: frozenset({PREFIX}), lambda: 0.01)
    stack.callback(ear.close)
    return ear


@pytest.mark.parametrize(("mode", "question"), [(b"cluster", b"CLUSTER INFO"), (b"standalone", b"PING")])
def test_an_answer_proves_what_was_before_its_question(
    stack: ExitStack, listener: Listener, mode: bytes, question: bytes
) -> None:
    """
    Not what was before the answer came: news from between them may be on its way.
    """
    owner = stack.enter_context(Owner(mode))
    ear = listening(stack, owner, listener)
    until(lambda: ear.guard)
    guard: Any = ear.guard
    owner.shut(question)
    before = owner.count(question)
    until(lambda: owner.count(question) > before)  # nothing is answered from the one that was asked last
    [*_, asked] = [at for one, at in owner.asked if one == question]
    until(lambda: time.monotonic() > asked + 0.05)
    assert guard.heard <= asked
    heard: list[float] = []

    class Noting(type(guard)):  # type: ignore[misc]
        """A guard that notes each proof."""

        __slots__ = ()

        def __setattr__(self, name: str, value: float) -> None:
            heard.append(value)
            super().__setattr__(name, value)

    guard.__class__ = Noting
    owner.open(question)
    until(lambda: heard)
    assert heard[0] <= asked


def calm(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait until nobody asks for routes any more, since nothing speaks for new ones."""
    until(lambda: owner.count(b"CLUSTER SLOTS"))
    monkeypatch.setattr(ears, "_SETTLING", 1e9)

    def is_calm() -> bool:
        last = [question for question, _ in list(owner.asked)[-4:]]
        return [b"CLUSTER INFO"] * 4 == last

    until(is_calm)


@pytest.mark.parametrize("why", ["a new epoch", "a suspicion"])
def test_routes_are_asked_for_before_anything_is_proved_anew(
    stack: ExitStack, listener: Listener, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """
    When the members have another epoch, or somebody was sent elsewhere, this owner may be none any more.
    """
    monkeypatch.setattr(ears, "_SETTLING", 0.0)
    owner = stack.enter_context(Owner())
    ear = listening(stack, owner, listener)
    calm(owner, monkeypatch)
    guard: Any = ear.guard
    owner.shut(b"CLUSTER SLOTS")
    before, told = owner.count(b"CLUSTER SLOTS"), len(listener.told)
    if why == "a new epoch":
        owner.answers[b"CLUSTER INFO"] = health(8)
    else:
        ear.suspect()
    until(lambda: owner.count(b"CLUSTER SLOTS") > before)
    [asked] = [at for question, at in owner.asked if question == b"CLUSTER SLOTS"][before:]
    heard = guard.heard
    until(lambda: time.monotonic() > asked + 0.05)
    assert heard == guard.heard < asked
    owner.open(b"CLUSTER SLOTS")
    until(lambda: guard.heard > asked)
    assert (8 if why == "a new epoch" else 7) == listener.told[told][1]


def test_an_owner_that_is_cut_off_proves_nothing(stack: ExitStack, listener: Listener) -> None:
    """
    It says so itself: the others may have another owner by now.
    """
    owner = stack.enter_context(Owner())
    ear = listening(stack, owner, listener)
    until(lambda: ear.guard)
    guard: Any = ear.guard
    owner.answers[b"CLUSTER INFO"] = health(7, b"fail")
    until(lambda: listener.cut)
    assert (None, True) == (ear.guard, guard.heard < 0)
    owner.answers[b"CLUSTER INFO"] = health(7)
    until(lambda: ear.guard)
    assert ear.guard is not guard


def test_an_owner_that_does_not_answer_in_time_is_left(stack: ExitStack, listener: Listener) -> None:
    """
    And tried anew, on another connection; what it guarded is given up.
    """
    owner = stack.enter_context(Owner())
    ear = listening(stack, owner, listener, patience=0.2)
    until(lambda: ear.guard)
    guard: Any = ear.guard
    owner.shut(b"CLUSTER INFO")
    until(lambda: len(owner.connections) > 1)
    assert guard.heard < 0
    owner.open(b"CLUSTER INFO")
    until(lambda: ear.guard not in (None, guard))


def watching(stack: ExitStack, owner: Owner, listener: Listener) -> Watch:
    """A watch that listens at an owner of all slots."""
    target = Target(seeds=(owner.endpoint,))
    listener.known = Routes({owner.endpoint: [(0, 16383)]}, {owner.endpoint: []})
    watch = Watch(target, listener.rung, listener.cut_off, listener.learned)
    stack.callback(watch.wait)
    stack.callback(watch.end)
    watch.follow(PREFIX, listener, 0.2)
    until(lambda: watch.guard(0, owner.endpoint, PREFIX))
    return watch


def test_who_is_behind_is_not_believed(stack: ExitStack, listener: Listener) -> None:
    """
    Routes of an older epoch come from a member that has not heard of the newer ones.
    """
    one, other = stack.enter_context(Owner()), stack.enter_context(Owner())
    watch = watching(stack, one, listener)
    until(lambda: watch._epoch == 7)
    theirs = [[0, 16383, [b"127.0.0.1", other.endpoint.port]]]
    watch.routes(theirs, 6, other.endpoint)
    assert watch.guard(0, one.endpoint, PREFIX)
    assert not other.connections
    for owner in (one, other):  # now all have heard of them
        owner.answers[b"CLUSTER SLOTS"] = other.answers[b"CLUSTER SLOTS"]
        owner.answers[b"CLUSTER INFO"] = health(8)
    watch.routes(theirs, 8, other.endpoint)
    assert None is watch.guard(0, one.endpoint, PREFIX)
    until(lambda: watch.guard(0, other.endpoint, PREFIX))


def test_nobody_is_guarded_by_the_ear_of_another_owner(stack: ExitStack, listener: Listener) -> None:
    """
    Who asks one owner while another is listened to would not be told of what changes.
    """
    owner = stack.enter_context(Owner())
    watch = watching(stack, owner, listener)
    assert watch.guard(0, owner.endpoint, PREFIX)
    assert None is watch.guard(0, owner.endpoint._replace(port=1), PREFIX)
