# Generated from src/cachegrid/engines/valkey/_aio/bells.py by tools/colour.py. Edit that file, then run `make colour`.
"""
Epochs and their bells.

Every connection listens in broadcast mode to the bell keys of its member. Who raises an epoch rings a bell at every
owner before it returns, and a member sends what a listener should know before it answers that listener's later
requests. So no request that begins after the raise trusts the old epoch.
"""

from __future__ import annotations

import itertools
from typing import Final

from cachegrid.engines.valkey import commands
from cachegrid.engines.valkey._sio.asking import SyncAsking
from cachegrid.engines.valkey._sio.link import SyncLink
from cachegrid.engines.valkey.commands import pack
from cachegrid.engines.valkey.replies import int_in, unexpected
from cachegrid.engines.valkey.slots import SLOTS, slot_of, tag_in
from cachegrid.engines.valkey.trouble import Effect, LinkError

__all__ = ["SyncBells"]

_EPOCH_COPIES_MS: Final = 100  # how long a raised epoch waits to be on a replica too


class SyncBells(SyncAsking):
    """Raises epochs, and lets everybody know."""

    def epoch(self, name: bytes) -> int:
        key = _epoch_key(name)
        # While the owner is away its replica tells: a raise has waited for it, and it is the one that takes over.
        known = self._call(key, commands.fetch(key), Effect.READ)
        if known is not None:
            return int_in(known)
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
        self._ring()
        self._bell()
        return raised

    def _raise_at_owner(self, key: bytes) -> int:
        """Raise an epoch, and give it time to be on a replica too, so that a failover does not undo it."""
        slot = slot_of(key)
        if self._routing.replicas_of(slot):
            # WAIT speaks of what its own connection wrote, and holds that up: it has a connection to itself.
            link = self._routing.side_link(self._owners[slot].endpoint)
            request = commands.RAISE_EPOCH.send((key,)) + pack(b"WAIT", b"1", b"%d" % _EPOCH_COPIES_MS)
            try:
                raised, _ = (link.begin(request, 2)).finish()
            except LinkError:
                raised = None  # perhaps raised: once more does no harm
            if isinstance(raised, bytes):
                return int(raised)
        return int_in(self._run(commands.RAISE_EPOCH, Effect.REPEATABLE, (key,)))

    def _ring(self) -> None:
        """Ring the bell at every owner, and at those who become owners meanwhile."""
        rung: set[SyncLink] = set()
        deadline = self._deadline()
        for attempt in itertools.count():
            # Not sent on when a slot has moved: each of the owners has to hear it itself. By another slot next time.
            missing = [(link, _bell_in(ranges, attempt)) for link, ranges in self._routing.owned() if link not in rung]
            if not missing:
                return
            work = [(link, commands.RING.send((bell,)), 1) for link, bell in missing]
            for (link, _, _), answer in zip(work, self._all_at_once(work), strict=True):
                reply = answer if isinstance(answer, LinkError) else answer[0]
                if isinstance(reply, Exception):
                    self._recover(link, reply, attempt, deadline)
                else:
                    rung.add(link)


def _bell_in(ranges: list[tuple[int, int]], attempt: int) -> bytes:
    return commands.BELL_PREFIX + b"{" + tag_in(ranges, attempt * SLOTS) + b"}"


def _epoch_key(name: bytes) -> bytes:
    return b"cg!epoch:{" + name + b"}"
