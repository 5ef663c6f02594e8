# Generated from src/cachegrid/engines/valkey/_aio/bells.py by tools/colour.py. Edit that file, then run `make colour`.
"""
Epochs and their bells.

Every connection listens in broadcast mode to the epochs and the bell keys of its member. Who raises an epoch rings a
bell at every owner before it returns, and a member sends what a listener should know before it answers that listener's
later requests. So no request that begins after the raise trusts the old epoch. Who dies between raising and ringing
has told the epoch's own owner at least.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from cachegrid.engines.valkey import commands
from cachegrid.engines.valkey._sio.asking import SyncAsking, answer_once
from cachegrid.engines.valkey._sio.link import SyncLink
from cachegrid.engines.valkey.bell import bell_key
from cachegrid.engines.valkey.commands import pack
from cachegrid.engines.valkey.replies import epoch_in, int_in, unexpected
from cachegrid.engines.valkey.slots import SLOTS, Endpoint, read_routes, slot_of, tag_in
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import Effect, LinkError

__all__ = ["EPOCH_COPIES_MS", "SyncBells"]

EPOCH_COPIES_MS: Final = 100  # how long a raised epoch waits to be on a replica too


class SyncBells(SyncAsking):
    """Raises epochs, and lets everybody know."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._newest: dict[bytes, int] = {}  # of each name, what its owner has said

    def epoch(self, name: bytes) -> int:
        key = _epoch_key(name)
        link = self._owners[slot_of(key)]
        reply = answer_once(link, request := commands.fetch(key))
        if isinstance(reply, Exception):
            return self._epoch_in_doubt(name, self._insist(key, request, Effect.READ, link, reply))
        epoch = epoch_in(reply)
        return self._heard(name, self._made(key) if epoch is None else epoch)

    def _epoch_in_doubt(self, name: bytes, reply: object) -> int:
        """
        The epoch when its owner was away.

        A replica may have told it. A raise has waited for that one, but not for ever: it may not know the last one yet,
        and is not believed against the owner. So this is asked again with the next request, until the owner answers.
        """
        epoch = epoch_in(reply)
        if epoch is None:
            return self._heard(name, self._made(_epoch_key(name)))
        self._bell()
        return max(epoch, self._newest.get(name, 0))

    def _heard(self, name: bytes, epoch: int) -> int:
        self._newest[name] = max(epoch, self._newest.get(name, 0))
        return epoch

    def _made(self, key: bytes) -> int:
        """The epoch of a name that had none, or nothing that can be one; if somebody else was first, theirs."""
        match self._run(commands.MAKE_EPOCH, Effect.REPEATABLE, (key,)):
            case [bytes(epoch), int(is_new)]:
                if is_new:  # somebody may still trust one that was evicted, or flushed
                    self._ring()
                return int(epoch)
            case other:
                raise unexpected(other)

    def raise_epoch(self, name: bytes) -> int:
        key = _epoch_key(name)
        raised = self._raise_at_owner(key)
        self._announce(name, raised)
        return raised

    def _announce(self, name: bytes, raised: int) -> None:
        """Let everybody know that an epoch was raised."""
        self._heard(name, raised)
        self._ring()
        self._bell()

    def _raise_at_owner(self, key: bytes) -> int:
        """Raise an epoch, and give it time to be on a replica too, so that a failover does not undo it."""
        slot = slot_of(key)
        if self._routing.replicas_of(slot):
            # WAIT speaks of what its own connection wrote, and holds that up: it has a connection to itself.
            link = self._routing.side_link(self._owners[slot].endpoint)
            request = commands.RAISE_EPOCH.send((key,)) + pack(b"WAIT", b"1", b"%d" % EPOCH_COPIES_MS)
            try:
                raised, _ = (link.begin(request, 2)).finish()
            except LinkError:
                raised = None  # perhaps raised: once more does no harm
            if isinstance(raised, bytes):
                return int(raised)
        return int_in(self._run(commands.RAISE_EPOCH, Effect.REPEATABLE, (key,)))

    def _ring(self, tags: Sequence[int] = ()) -> None:
        """
        Ring the bell at every owner, and at those who become owners meanwhile; of the tags in these buckets, if any.

        Each tells in the same trip whom it takes for owners: routes that were learned long ago may lack some.
        """
        rung: set[Endpoint] = set()
        told: dict[Endpoint, list[tuple[int, int]]] = {}
        deadline = self._deadline()
        for attempt in itertools.count():
            owners = told | {link.endpoint: ranges for link, ranges in self._routing.owned()}
            missing = [(self._routing.link(owner), owners[owner]) for owner in owners if owner not in rung]
            if not missing:
                return
            # Not sent on when a slot has moved: each of the owners has to hear it itself. By another slot next time.
            for link, reply in self._ring_at(missing, attempt, tags):
                if isinstance(reply, Exception):
                    told = {}  # by whom did not know better, perhaps: now the routes are learned
                    self._recover(link, reply, attempt, deadline)
                else:
                    rung.add(link.endpoint)
                    told |= reply

    def _ring_at(
        self, owners: list[tuple[SyncLink, list[tuple[int, int]]]], attempt: int, tags: Sequence[int]
    ) -> list[tuple[SyncLink, dict[Endpoint, list[tuple[int, int]]] | Exception]]:
        """Ring at some owners; whom each takes for owners, or its trouble."""
        ask = pack(b"CLUSTER", b"SLOTS") if self._routing.is_clustered else b""
        places = [(link, tag_in(ranges, attempt * SLOTS)) for link, ranges in owners]
        work = [(link, commands.RING.send((bell_key(place, tags),)) + ask, 1 + bool(ask)) for link, place in places]
        answers = self._all_at_once(work)
        return [(link, _told(link.endpoint, answer)) for (link, _), answer in zip(owners, answers, strict=True)]


def _told(endpoint: Endpoint, answer: list[object] | LinkError) -> dict[Endpoint, list[tuple[int, int]]] | Exception:
    if isinstance(answer, LinkError):
        return answer
    if isinstance(answer[0], Exception):
        return answer[0]
    try:
        return read_routes(answer[-1], endpoint).owners
    except ValueError:  # no cluster, or it does not say
        return {}


def _epoch_key(name: bytes) -> bytes:
    return commands.EPOCH_PREFIX + b"{" + name + b"}"
