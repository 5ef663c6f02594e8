"""Many addresses at once: a page of requests is one write for each member, all members at the same time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from types import NoneType
from typing import Any, Final, NamedTuple, cast

from libvalkey import ReplyError

from cachegrid.engines.valkey._aio.asking import AsyncAsking
from cachegrid.engines.valkey._aio.link import AsyncExchange, AsyncLink
from cachegrid.engines.valkey.commands import fetch
from cachegrid.engines.valkey.replies import unexpected
from cachegrid.engines.valkey.slots import slots_of
from cachegrid.engines.valkey.trouble import Effect, LinkError, Slow
from cachegrid.errors import EngineTimeout

__all__ = ["PAGE", "AsyncPages", "Batch"]

FRAMES: Final = frozenset({bytes, NoneType})  # the types of answers to a fetch
PAGE: Final = 1_000  # requests in one pipeline, and addresses in one step of a walk
# What stands before an address, by its length: to format it takes longer than all the rest.
_HEADS: Final = [b"*2\r\n$3\r\nGET\r\n$%d\r\n" % length for length in range(512)]
_ROUNDS: Final = 3  # in which what met trouble goes out as a page again, before each address is looked after


class Trouble(NamedTuple):
    """A request that was not answered."""

    place: int  # of its address in the batch
    link: AsyncLink  # to whom it was sent
    error: LinkError | ReplyError


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


class AsyncPages(AsyncAsking):
    """Brings batches to their owners."""

    async def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        found: dict[int, bytes | None] = {}
        async for places, frames in self.fetch_parts(addresses):
            found.update(zip(places, frames, strict=True))
        return [found[place] for place in range(len(addresses))]

    async def fetch_parts(
        self, addresses: Sequence[bytes]
    ) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        ends = self._deadline()
        for first in range(0, len(addresses), PAGE):
            page = addresses[first : first + PAGE]
            troubles: list[Trouble] = []
            left = self._left(ends, first, len(addresses))

            def request(mine: list[int], page: Sequence[bytes] = page) -> bytes:
                return _fetch_all([page[place] for place in mine])

            asked = self._exchange(page, request, range(len(page)), troubles, is_read=True, ends=left)
            async for mine, answers in asked:
                yield [first + place for place in mine] if first else mine, _frames_in(answers)
            if troubles:
                batch = Batch(page, [fetch(address) for address in page], Effect.READ)
                late = await self._get_over(batch, troubles, ends)
                yield [first + place for place in late], _frames_in([*late.values()])

    async def _call_many(self, batch: Batch) -> list[object]:
        """A request for each address, all members at once; the replies in order."""
        replies: list[object] = []
        ends = self._deadline()
        for first in range(0, len(batch.addresses), PAGE):
            page = batch.part(slice(first, first + PAGE))
            left = self._left(ends, first, len(batch.addresses))
            found, troubles = await self._try(page, range(len(page.addresses)), ends=left)
            if troubles:
                found |= await self._get_over(page, troubles, ends)
            replies += [found[place] for place in range(len(page.addresses))]
        return replies

    def _left(self, ends: float, first: int, count: int) -> float | None:
        """By when a page has to be done; the first one has the time that it would have anyway, for nothing."""
        if not first:
            return None
        if time.monotonic() >= ends:
            raise EngineTimeout(
                f"{first:,} of the {count:,} entries of a batch took {self._target.timeout:g} s, and the others were "
                "not asked for; hand over fewer at a time, or give calls more time with the setting timeout "
                "(CACHEGRID_TIMEOUT)"
            )
        return ends

    async def _get_over(self, batch: Batch, troubles: list[Trouble], deadline: float) -> dict[int, object]:
        """The replies to those requests of a page that met trouble at the first try."""
        found: dict[int, object] = {}
        for _ in range(_ROUNDS):
            # The first at each member waits out a failover, learns which slots moved, or teaches the member a script:
            # most of the others pass at once then.
            for trouble in {trouble.link: trouble for trouble in reversed(troubles)}.values():
                found[trouble.place] = await self._insist_on(batch, trouble, deadline)
            others = [trouble.place for trouble in troubles if trouble.place not in found]
            if not others:
                return found
            passed, troubles = await self._try(batch, others, ends=deadline)
            found |= passed
        for trouble in troubles:
            found[trouble.place] = await self._insist_on(batch, trouble, deadline)
        return found

    async def _insist_on(self, batch: Batch, trouble: Trouble, deadline: float) -> object:
        address = batch.addresses[trouble.place]
        return await self._insist(
            address,
            batch.requests[trouble.place],
            batch.effect,
            trouble.link,
            trouble.error,
            source=batch.source(address) if batch.source else None,
            plain=batch.plain(address) if batch.plain else None,
            deadline=deadline,
        )

    async def _try(
        self, batch: Batch, places: Sequence[int], *, ends: float | None = None
    ) -> tuple[dict[int, object], list[Trouble]]:
        """Send the requests at `places` once: the replies that come until `ends`, and what met trouble."""
        found: dict[int, object] = {}
        troubles: list[Trouble] = []
        requests = batch.requests

        def request(mine: list[int]) -> bytes:
            return b"".join([requests[place] for place in mine])

        is_read = batch.effect is Effect.READ or batch.plain is not None
        asked = self._exchange(batch.addresses, request, places, troubles, is_read=is_read, ends=ends)
        async for mine, answers in asked:
            found.update(zip(mine, answers, strict=True))
        return found, troubles

    async def _exchange(
        self,
        addresses: Sequence[bytes],
        request: Callable[[list[int]], bytes],
        places: Sequence[int],
        troubles: list[Trouble],
        *,
        is_read: bool,
        ends: float | None = None,
    ) -> AsyncIterator[tuple[list[int], list[object]]]:
        """
        What each owner answers to the requests that are its own, one owner after the other.

        `places` are all, as a range, or some; `request` makes those at some places, which have a reply each.
        `troubles` gets what did not come to an answer, by the end of a call or by `ends`, in the monotonic clock's
        seconds.
        """
        under_way: deque[tuple[AsyncLink, list[int], AsyncExchange]] = deque()
        how: dict[str, Any] = {} if ends is None else {"ends": ends}
        try:
            for link, mine in self._by_owner(addresses, places).items():
                # The next owner's requests are made while the last one works already.
                try:
                    asked, count = request(mine), len(mine)
                    begun = await self._begun(link, asked, count, is_read=is_read, **how)
                    under_way.append((link, mine, begun))
                except LinkError as error:
                    troubles += [Trouble(place, link, error) for place in mine]
            while under_way:
                link, mine, exchange = under_way.popleft()
                try:
                    answers = await self._finished(link, exchange)
                except Slow:  # replicas are asked for all of them
                    troubles += [Trouble(place, link, Slow(link.endpoint)) for place in mine]
                    continue
                except LinkError as error:
                    troubles += [Trouble(place, link, error) for place in mine]
                    continue
                link.circuit.passed(time.monotonic())
                if ReplyError in map(type, answers):  # one look at all of them
                    both = list(zip(mine, answers, strict=True))
                    refused = {place: answer for place, answer in both if isinstance(answer, ReplyError)}
                    troubles += [Trouble(place, link, answer) for place, answer in refused.items()]
                    answers = [answer for place, answer in both if place not in refused]
                    mine = [place for place in mine if place not in refused]
                yield mine, answers
        finally:
            for _, _, exchange in under_way:
                exchange.abandon()

    async def _begun(self, link: AsyncLink, request: bytes, count: int, *, is_read: bool, **how: Any) -> AsyncExchange:
        """Requests on their way. Raises Slow where an owner is silent, and a replica will do and is there."""
        if is_read:
            try:
                return await link.begin(request, count, is_eager=True, **how)
            except Slow:
                if await self._has_others(link.endpoint, self._deadline()):
                    raise
        return await link.begin(request, count, **how)

    async def _finished(self, link: AsyncLink, exchange: AsyncExchange) -> list[object]:
        """The answers. Raises Slow where they do not come soon, and replicas can be asked."""
        try:
            return await exchange.finish()
        except Slow:
            if await self._has_others(link.endpoint, self._deadline()):
                exchange.leave()
                raise
        return await exchange.finish()

    def _by_owner(self, addresses: Sequence[bytes], places: Sequence[int]) -> dict[AsyncLink, list[int]]:
        owners = self._owners
        by_link: dict[AsyncLink, list[int]] = {}
        asked = addresses if isinstance(places, range) else [addresses[place] for place in places]
        for place, slot in zip(places, slots_of(asked), strict=True):
            link = owners[slot]
            try:
                by_link[link].append(place)
            except KeyError:
                by_link[link] = [place]
        return by_link


def _fetch_all(addresses: Sequence[bytes]) -> bytes:
    """A GET for each."""
    try:
        return b"\r\n".join([_HEADS[len(address)] + address for address in addresses]) + b"\r\n"
    except IndexError:
        return b"".join(map(fetch, addresses))


def _frames_in(answers: list[object]) -> list[bytes | None]:
    if FRAMES.issuperset(map(type, answers)):
        return cast("list[bytes | None]", answers)
    raise unexpected(next(answer for answer in answers if answer is not None and not isinstance(answer, bytes)))
