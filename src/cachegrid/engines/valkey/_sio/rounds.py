# Generated from src/cachegrid/engines/valkey/_aio/rounds.py by tools/colour.py. Edit that file, then run `make colour`.
"""Looking around: what is stored, and who the members are."""

from __future__ import annotations

import time
from collections.abc import Iterator

from libvalkey import ReplyError

from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey._sio.asking import SyncAsking, answer
from cachegrid.engines.valkey._sio.link import SyncLink
from cachegrid.engines.valkey._sio.pages import PAGE
from cachegrid.engines.valkey.commands import pack
from cachegrid.engines.valkey.facts import count_lag, read_facts, silent_facts
from cachegrid.engines.valkey.replies import scanned_in
from cachegrid.engines.valkey.slots import SLOTS, slots_in
from cachegrid.engines.valkey.trouble import LinkError

__all__ = ["SyncRounds"]


class SyncRounds(SyncAsking):
    """Goes from member to member."""

    def walk(self, prefix: bytes) -> Iterator[list[bytes]]:
        pattern = _literally(prefix) + b"*"
        # By slots and not by owners: while this goes on, an owner may be replaced, and slots may move to one that
        # has been walked already.
        left = set(range(SLOTS))
        attempt, deadline = 0, self._deadline()
        apart: tuple[LinkError, float] | None = None  # that members do not agree, and by when they have to
        while left:
            link, slots = self._owner_of_some(left)
            trouble: Exception | None = None if slots else ReplyError("CLUSTERDOWN Hash slot not served")
            cursor = b""
            while cursor != b"0" and trouble is None:
                scan = pack(b"SCAN", cursor or b"0", b"MATCH", pattern, b"COUNT", b"%d" % PAGE)
                reply = answer(link, scan, deadline)
                if isinstance(reply, Exception):
                    # Who was asked in the last moment of a disagreement had no time to answer: that tells less.
                    is_late = isinstance(reply, LinkError) and reply.waited and apart and time.monotonic() >= apart[1]
                    trouble = apart[0] if apart and is_late else reply
                    break
                attempt, deadline = 0, self._deadline()
                cursor, page = scanned_in(reply)
                if page:
                    yield page
            if trouble is None and self._routing.learn(deadline, first=link.endpoint):
                walked = left & slots & self._routing.slots_of(link)
                if walked:
                    left -= walked
                    apart = None
                    continue
                # They are others' slots, it says, who said that they are its own: soon they will agree, or never.
                trouble = LinkError(link.endpoint, "members do not agree on who owns what", sent=False)
                apart = (trouble, apart[1] if apart else self._deadline())
                deadline = apart[1]
            trouble = trouble or LinkError(link.endpoint, "nobody tells who owns what", sent=False)
            self._recover(link, trouble, attempt, deadline)
            attempt += 1

    def members(self) -> list[MemberFacts]:
        self._routing.learn(self._deadline())
        nodes = self._routing.nodes()
        ask = pack(b"INFO") + pack(b"DBSIZE")
        links = [self._routing.link(node.endpoint) for node in nodes]
        for link in links:
            link.trust()  # who is cut off can tell of itself
        answers = self._all_at_once([(link, ask, 2) for link in links])
        return count_lag(
            [
                silent_facts(node) if isinstance(answer, LinkError) else read_facts(node, answer)
                for node, answer in zip(nodes, answers, strict=True)
            ]
        )

    def _owner_of_some(self, slots: set[int]) -> tuple[SyncLink, set[int]]:
        """An owner of some of these slots, and all that it owns; if they have none, any owner, and no slots."""
        owned = [(link, slots_in(ranges)) for link, ranges in self._routing.owned()]
        return next((one for one in owned if not slots.isdisjoint(one[1])), (owned[0][0], set()))


def _literally(prefix: bytes) -> bytes:
    """A glob pattern that matches the prefix itself and nothing else."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]^-\\" else bytes([byte]) for byte in prefix)
