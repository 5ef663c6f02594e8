"""What a member is asked to tell beyond that something changed: keyspace notifications, and how they are read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from cachegrid._core.events import EventKind, Happening, Topic
from cachegrid.engines.valkey.commands import EPOCH_PREFIX, TAG_PREFIX, pack
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.errors import AccessDenied, CacheError, ServerRefused

__all__ = ["PUSHED", "SETTING", "Tidings", "happening_of", "lacking_in", "patterns_of"]

SETTING: Final = b"notify-keyspace-events"
_NEEDED: Final = "K$gxe"  # by key; of strings, of all types, expiry and eviction
_ALL: Final = "g$lshzxetd"  # what "A" stands for, and more
_KINDS: Final[dict[bytes, EventKind]] = {
    b"set": "set",
    b"incrby": "set",
    b"del": "deleted",
    b"expired": "expired",
    b"evicted": "evicted",
}
_RAISED: Final = b"incrby"  # as scripts raise epochs; those that are made are set
PUSHED: Final = (b"pmessage", b"psubscribe", b"punsubscribe")
_REFUSED: Final = 0.5  # seconds until what was refused is asked again
_OURS: Final = (EPOCH_PREFIX, TAG_PREFIX)
_RIGHTS: Final = "+config|get +config|set +psubscribe +punsubscribe and &*"


def patterns_of(topic: Topic, database: int) -> list[bytes]:
    """The channels on which a member tells of a topic; no name in it means anything in a pattern."""
    head, cache = b"__keyspace@%d__:" % database, topic.parent[:-1]
    if not topic.of_epochs:
        return [head + topic.parent + b"*"]
    return [
        head + EPOCH_PREFIX + b"{" + cache + b"}",
        head + EPOCH_PREFIX + b"{" + cache + b"/*",
        head + TAG_PREFIX + b"{" + topic.parent + b"*",
    ]


def happening_of(topic: Topic, channel: bytes, word: bytes, owner: Endpoint) -> Happening | None:
    """What a member says on a channel of a topic; None for what nobody listens to."""
    key = channel.partition(b"__:")[2]
    if not topic.of_epochs:
        kind = _KINDS.get(word)
        return None if kind is None else Happening(kind, key, str(owner))
    if word != _RAISED:
        return None
    return Happening("invalidated", key[key.find(b"{") + 1 : -1], str(owner))


def lacking_in(flags: str) -> str:
    """
    What a member's setting lacks of what it has to tell.

    >>> lacking_in(""), lacking_in("AKE"), lacking_in("Kx")
    ('K$gxe', '', '$ge')
    """
    told = flags.replace("A", _ALL)
    return "".join(flag for flag in _NEEDED if flag not in told)


class Tidings:
    """The part of a session that asks a member to tell what happens, as long as somebody listens."""

    def __init__(
        self,
        endpoint: Endpoint,
        wanted: Callable[[], frozenset[bytes]],
        send: Callable[[bytes, Callable[[object], None]], None],
        answers: deque[Callable[[object], None]],
        changed: Callable[[], None],
    ) -> None:
        self.told: frozenset[bytes] = frozenset()  # patterns that it tells of
        self.refusal: CacheError | None = None
        self._endpoint, self._wanted, self._send, self._answers = endpoint, wanted, send, answers
        self._asked: frozenset[bytes] = frozenset()
        self._not_before = 0.0  # when to ask again what was refused, in seconds of the monotonic clock
        self._last: list[bytes] = []  # what was told last: channel and word
        self._changed = changed  # called when `told` or `refusal` is another one

    def ask(self) -> None:
        """Ask for what is wanted by now, and for no more."""
        wanted = self._wanted()
        if wanted == self._asked or time.monotonic() < self._not_before:
            return
        new, old = wanted - self._asked, self._asked - wanted
        self._asked = wanted
        if old:
            self.told -= old
            self._subscribe(b"PUNSUBSCRIBE", old, lambda: None)
        if new:
            self._send(pack(b"CONFIG", b"GET", SETTING), lambda reply: self._set(reply, new))

    def read(self, pushed: list[bytes]) -> tuple[bytes, bytes, bytes] | None:
        """The pattern, the channel and the word of a push; None for one that tells nothing, or nothing new."""
        if pushed[0] != b"pmessage":
            return None
        pattern, channel, word = pushed[1:4]
        # A count that begins is set first, in one script. What else sets a key sets its end before anybody can count.
        begins = (
            word == b"incrby" and self._last == [channel, b"set"] and not channel.partition(b"__:")[2].startswith(_OURS)
        )
        self._last = [channel, word]
        return None if begins else (pattern, channel, word)

    def _set(self, reply: object, new: frozenset[bytes]) -> None:
        match reply:
            case {b"notify-keyspace-events": bytes(flags)}:
                lacking = lacking_in(flags.decode())
            case _:
                self._refuse(reply, new)
                return
        if not lacking:
            self._begin(None, new)
            return
        request = pack(b"CONFIG", b"SET", SETTING, flags + lacking.encode())
        self._send(request, lambda reply: self._begin(reply, new))

    def _begin(self, reply: object, new: frozenset[bytes]) -> None:
        if isinstance(reply, Exception):
            self._refuse(reply, new)
            return

        def confirmed() -> None:
            self.told |= new & self._asked
            self.refusal = None
            self._changed()

        self._subscribe(b"PSUBSCRIBE", new, confirmed)

    def _subscribe(self, command: bytes, patterns: frozenset[bytes], confirmed: Callable[[], None]) -> None:
        # Confirmed by pushes, and refused by a reply: what follows tells which.
        def answered(reply: object) -> None:
            if isinstance(reply, Exception):
                self._answers.appendleft(lambda _: None)
                self._refuse(reply, patterns)
            else:
                confirmed()

        self._send(pack(command, *sorted(patterns)) + pack(b"PING"), answered)

    def _refuse(self, reply: object, patterns: frozenset[bytes]) -> None:
        # Asked again after a while, if somebody still wants it: it may be allowed by then.
        self._asked -= patterns
        self._not_before = time.monotonic() + _REFUSED
        text = str(reply)
        asked = (
            f"{self._endpoint} does not tell what happens to its entries ({text}): it needs {SETTING.decode()} with "
            f'"{_NEEDED}" in its configuration'
        )
        if text.startswith(("NOPERM", "NOAUTH")):
            rights = f", and this user the rights {_RIGHTS}; see docs/access.md"
            self.refusal = AccessDenied(asked + rights, where=str(self._endpoint))
        else:
            self.refusal = ServerRefused(asked, where=str(self._endpoint))
        self._changed()
