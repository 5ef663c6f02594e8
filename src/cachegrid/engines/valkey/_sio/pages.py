# Generated from src/cachegrid/engines/valkey/_aio/pages.py by tools/colour.py. Edit that file, then run `make colour`.
"""Many addresses at once: a page of requests is one write for each member, all members at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import NoneType
from typing import Final, NamedTuple, cast

from libvalkey import ReplyError

from cachegrid.engines.valkey._sio.asking import SyncAsking
from cachegrid.engines.valkey._sio.link import SyncExchange, SyncLink
from cachegrid.engines.valkey.commands import FETCH, fetch
from cachegrid.engines.valkey.replies import unexpected
from cachegrid.engines.valkey.slots import slots_of
from cachegrid.engines.valkey.trouble import Effect, LinkError

__all__ = ["PAGE", "Batch", "SyncPages"]

FRAMES: Final = frozenset({bytes, NoneType})  # the types of answers to a fetch
PAGE: Final = 1_000  # requests in one pipeline, and addresses in one step of a walk
_ROUNDS: Final = 3  # in which what met trouble goes out as a page again, before each address is looked after


class Batch(NamedTuple):
    """
    A request for each address.

    Of scripts also how to get the request with its source, and what a replica can be asked instead: for those few that
    meet trouble, since a source is many times as long as its digest.
    """

    addresses: Sequence[bytes]
    requests: list[bytes]
    effect: Effect
    source: Callable[[bytes], bytes] | None = None
    plain: Callable[[bytes], bytes] | None = None

    def part(self, page: slice) -> Batch:
        """A page of it."""
        return self._replace(addresses=self.addresses[page], requests=self.requests[page])


class SyncPages(SyncAsking):
    """Brings batches to their owners."""

    def fetch_parts(self, addresses: Sequence[bytes]) -> Iterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        for first in range(0, len(addresses), PAGE):
            page = addresses[first : first + PAGE]
            left: list[int] = []
            for indexes, frames in self._fetch_page(page, left):
                yield indexes if not first else [first + index for index in indexes], frames
            if left:  # what met trouble, once more and with patience
                yield [first + index for index in left], self.fetch_many([page[index] for index in left])

    def _fetch_page(
        self, addresses: Sequence[bytes], left: list[int]
    ) -> Iterator[tuple[list[int], list[bytes | None]]]:
        """What the owners answer at the first try, one after the other; `left` gets what did not come to that."""
        under_way: deque[tuple[SyncExchange, list[int]]] = deque()
        try:
            for link, mine in self._by_owner(range(len(addresses)), slots_of(addresses)).items():
                # The next owner's requests are made while the last one works already.
                request = b"".join([FETCH % (len(addresses[at]), addresses[at]) for at in mine])
                try:
                    under_way.append((link.begin(request, len(mine)), mine))
                except LinkError:
                    left += mine
            while under_way:
                exchange, mine = under_way.popleft()
                try:
                    answers = exchange.finish()
                except LinkError:
                    left += mine
                    continue
                if FRAMES.issuperset(map(type, answers)):
                    yield mine, cast("list[bytes | None]", answers)
                else:
                    left += mine  # some of it: it does no harm to read the others again
        finally:
            for exchange, _ in under_way:
                exchange.abandon()

    def _by_owner(self, indexes: Sequence[int], slots: list[int]) -> dict[SyncLink, list[int]]:
        owners = self._owners
        by_link: dict[SyncLink, list[int]] = {}
        for index, slot in zip(indexes, slots, strict=True):
            link = owners[slot]
            try:
                by_link[link].append(index)
            except KeyError:
                by_link[link] = [index]
        return by_link

    def _call_many(self, batch: Batch) -> list[object]:
        """A request for each address, all members at once; the replies in order."""
        replies: list[object] = []
        for first in range(0, len(batch.addresses), PAGE):
            replies += self._call_page(batch.part(slice(first, first + PAGE)))
        return replies

    def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        replies = self._call_many(Batch(addresses, [fetch(address) for address in addresses], Effect.READ))
        if FRAMES.issuperset(map(type, replies)):
            return cast("list[bytes | None]", replies)
        raise unexpected(next(reply for reply in replies if reply is not None and not isinstance(reply, bytes)))

    def _call_page(self, batch: Batch) -> list[object]:
        addresses, requests = batch.addresses, batch.requests
        replies: list[object] = [None] * len(addresses)
        troubles = self._try_page(range(len(addresses)), slots_of(addresses), requests, replies)
        deadline = self._deadline(*[trouble for _, _, trouble in troubles[:1]])
        for _ in range(_ROUNDS):
            if not troubles:
                return replies
            # The first at each member has waited out a failover, learned which slots moved, or taught the member a
            # script: most of the others pass at once now.
            firsts = {link: (index, trouble) for index, link, trouble in reversed(troubles)}
            for link, (index, trouble) in firsts.items():
                replies[index] = self._insist_on(batch, index, link, trouble, deadline)
            done = {index for index, _ in firsts.values()}
            others = [index for index, _, _ in troubles if index not in done]
            slots = slots_of([addresses[index] for index in others])
            troubles = self._try_page(others, slots, requests, replies)
        for index, link, trouble in troubles:
            replies[index] = self._insist_on(batch, index, link, trouble, deadline)
        return replies

    def _insist_on(self, batch: Batch, index: int, link: SyncLink, trouble: Exception, deadline: float) -> object:
        address = batch.addresses[index]
        return self._insist(
            address,
            batch.requests[index],
            batch.effect,
            link,
            trouble,
            source=batch.source(address) if batch.source else None,
            plain=batch.plain(address) if batch.plain else None,
            deadline=deadline,
        )

    def _try_page(
        self, indexes: Sequence[int], slots: list[int], requests: list[bytes], replies: list[object]
    ) -> list[tuple[int, SyncLink, Exception]]:
        """Send the requests at `indexes` once, and fill in their replies; if one met trouble, with whom and what."""
        by_link = self._by_owner(indexes, slots)
        troubles: list[tuple[int, SyncLink, Exception]] = []
        work = [(link, b"".join([requests[at] for at in mine]), len(mine)) for link, mine in by_link.items()]
        for (link, mine), answers in zip(by_link.items(), self._all_at_once(work), strict=True):
            if isinstance(answers, LinkError):
                troubles += [(index, link, answers) for index in mine]
                continue
            for index, answer in zip(mine, answers, strict=True):
                replies[index] = answer
            if ReplyError in map(type, answers):  # one look at all of them
                both = zip(mine, answers, strict=True)
                troubles += [(index, link, answer) for index, answer in both if isinstance(answer, ReplyError)]
        return troubles
