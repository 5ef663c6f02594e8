"""The Valkey engine: every ability, on the thin path to the owner, and with patience when an owner is away."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from types import NoneType
from typing import Final, NamedTuple, cast

from libvalkey import ReplyError

from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey import commands
from cachegrid.engines.valkey._aio.link import AsyncExchange, AsyncLink
from cachegrid.engines.valkey._aio.routing import AsyncRouting
from cachegrid.engines.valkey.commands import Script, pack
from cachegrid.engines.valkey.facts import count_lag, read_facts, silent_facts
from cachegrid.engines.valkey.slots import SLOTS, slot_of, slots_in, slots_of, tag_in
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import Advice, Effect, LinkError, Step, advise, pause_before
from cachegrid.errors import EngineError, EngineTimeout
from cachegrid.waits._aio import sleep

__all__ = ["AsyncValkeyEngine"]

_PAGE: Final = 1_000  # requests in one pipeline, and addresses in one step of a walk
_EPOCH_COPIES_MS: Final = 100  # how long a raised epoch waits to be on a replica too
_FENCE_KEPT_MS: Final = 60_000  # how long a fencing number is remembered after its lease
_RELEASE_KEPT: Final = 1.0  # seconds beyond the deadline for which a release is remembered
_LOOK_AROUND: Final = 0.2  # seconds between two looks for a new owner while replicas answer
_HOPS: Final = 3  # from member to member without a pause
_SHORTEST: Final = 0.005  # seconds for an answer, however near the deadline

_doubts = itertools.count(1)  # one source for all engines: `next` is atomic, and no value comes twice


class _Batch(NamedTuple):
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

    def part(self, page: slice) -> _Batch:
        """A page of it."""
        return self._replace(addresses=self.addresses[page], requests=self.requests[page])


class AsyncValkeyEngine:
    """Stores frames on one server or a cluster; see the protocols in `cachegrid.engines` for what each method does."""

    def __init__(self, target: Target) -> None:
        self.doubt = 0
        self._target = target
        self._routing = AsyncRouting(target, self._bell)
        self._owners = self._routing.owners  # by slot; one list for ever, changed in place

    async def open(self) -> None:
        """Find the members. Raises Unreachable, AccessDenied or Unsupported."""
        await self._routing.open()

    async def aclose(self) -> None:
        await self._routing.aclose()

    def forget(self) -> None:
        """In a forked child: begin with connections of its own."""
        self._routing.forget()
        self._bell()

    # Entries.

    async def fetch(self, address: bytes) -> bytes | None:
        reply = await self._call(address, commands.fetch(address), Effect.READ)
        return _bytes(reply)

    async def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        await self._call(address, commands.store(address, frame, ttl), Effect.REPEATABLE)

    async def drop(self, address: bytes) -> bool:
        return await self._call(address, pack(b"UNLINK", address), Effect.REPEATABLE) == 1

    async def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        replies = await self._call_many(
            _Batch(addresses, [commands.fetch(address) for address in addresses], Effect.READ)
        )
        if {bytes, NoneType}.issuperset(map(type, replies)):
            return cast("list[bytes | None]", replies)
        raise _unexpected(next(reply for reply in replies if reply is not None and not isinstance(reply, bytes)))

    async def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        requests = [commands.store(address, frame, ttl) for address, frame, ttl in items]
        await self._call_many(_Batch([item[0] for item in items], requests, Effect.REPEATABLE))

    async def drop_many(self, addresses: Sequence[bytes]) -> int:
        requests = [pack(b"UNLINK", address) for address in addresses]
        return sum(_int(reply) for reply in await self._call_many(_Batch(addresses, requests, Effect.REPEATABLE)))

    # Conditions and counts: what must not be applied twice.

    async def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        return await self._call(address, _set_if(address, frame, ttl, b"NX"), Effect.ONCE) is not None

    async def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        return await self._call(address, _set_if(address, frame, ttl, b"XX"), Effect.ONCE) is not None

    async def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        return await self._run(commands.STORE_IF_VERSION, Effect.ONCE, (address,), version, frame, _ms(ttl)) == 1

    async def drop_if_version(self, address: bytes, version: bytes) -> bool:
        return await self._run(commands.DROP_IF_VERSION, Effect.ONCE, (address,), version) == 1

    async def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        reply = await self._run(commands.ADD, Effect.ONCE, (address,), b"%d" % start, b"%d" % by, _ms(ttl))
        return _int(reply)

    # Times.

    async def fetch_idle(self, address: bytes, idle: int) -> bytes | None:
        # While the owner is away a replica tells what is there; only the owner can let it live on.
        plain = commands.fetch(address)
        return _bytes(await self._run(commands.FETCH_IDLE, Effect.REPEATABLE, (address,), b"%d" % idle, plain=plain))

    async def fetch_idle_many(self, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
        script, limit = commands.FETCH_IDLE, b"%d" % idle
        batch = _Batch(
            addresses,
            [script.call((address,), limit) for address in addresses],
            Effect.REPEATABLE,
            lambda address: script.send((address,), limit),
            commands.fetch,
        )
        return [_bytes(reply) for reply in await self._call_many(batch)]

    async def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        return await self._run(commands.TOUCH, Effect.REPEATABLE, (address,), _ms(ttl), b"%d" % now) == 1

    async def inspect(self, address: bytes) -> tuple[bytes, int | None] | None:
        match await self._run(commands.INSPECT, Effect.READ, (address,)):
            case [int(left), bytes(frame)]:
                return frame, (left if left >= 0 else None)
            case _:
                return None

    # Leases: a token recognises its own, and a release itself, so all of them may be repeated.

    async def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        kept = b"%d" % (lease + _FENCE_KEPT_MS)
        reply = await self._run(commands.ACQUIRE, Effect.REPEATABLE, _lease_keys(name), token, b"%d" % lease, kept)
        return None if reply is None else _int(reply)

    async def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        kept = b"%d" % (lease + _FENCE_KEPT_MS)
        keys = _lease_keys(name)
        return await self._run(commands.RENEW, Effect.REPEATABLE, keys, token, b"%d" % lease, kept) == 1

    async def release(self, name: bytes, token: bytes) -> bool:
        word = b"%x" % random.getrandbits(64)
        kept = b"%d" % round(1000 * (self._target.timeout + _RELEASE_KEPT))
        return await self._run(commands.RELEASE, Effect.REPEATABLE, _lease_keys(name), token, word, kept) == 1

    # Epochs. Every connection listens in broadcast mode to the bell keys of its member. Who raises an epoch rings a
    # bell at every owner before it returns, and a member sends what a listener should know before it answers
    # that listener's later requests. So no request that begins after the raise trusts the old epoch.

    async def epoch(self, name: bytes) -> int:
        key = _epoch_key(name)
        # While the owner is away its replica tells: a raise has waited for it, and it is the one that takes over.
        known = await self._call(key, commands.fetch(key), Effect.READ)
        if known is not None:
            return _int(known)
        match await self._run(commands.MAKE_EPOCH, Effect.REPEATABLE, (key,)):
            case [bytes(epoch), int(is_new)]:
                if is_new:  # somebody may still trust one that was evicted, or flushed
                    await self._ring()
                return int(epoch)
            case other:
                raise _unexpected(other)

    async def raise_epoch(self, name: bytes) -> int:
        key = _epoch_key(name)
        raised = await self._raise_at_owner(key)
        await self._ring()
        self._bell()
        return raised

    # Looking around.

    async def walk(self, prefix: bytes) -> AsyncIterator[list[bytes]]:
        pattern = _literally(prefix) + b"*"
        # By slots and not by owners: while this goes on, an owner may be replaced, and slots may move to one that
        # has been walked already.
        left = set(range(SLOTS))
        attempt, deadline = 0, self._deadline()
        while left:
            link, slots = self._owner_of_some(left)
            trouble: Exception | None = None if slots else ReplyError("CLUSTERDOWN Hash slot not served")
            cursor = b""
            while cursor != b"0" and trouble is None:
                scan = pack(b"SCAN", cursor or b"0", b"MATCH", pattern, b"COUNT", b"%d" % _PAGE)
                reply = await _answer(link, scan, deadline)
                if isinstance(reply, Exception):
                    trouble = reply
                    break
                attempt, deadline = 0, self._deadline()
                cursor, page = _scanned(reply)
                if page:
                    yield page
            if trouble is None and await self._routing.learn(deadline, first=link.endpoint):
                left -= slots & self._routing.slots_of(link)
            else:
                trouble = trouble or LinkError(link.endpoint, "nobody tells who owns what", sent=False)
                await self._recover(link, trouble, attempt, deadline)
                attempt += 1

    async def members(self) -> list[MemberFacts]:
        await self._routing.learn(self._deadline())
        nodes = await self._routing.nodes()
        ask = pack(b"INFO") + pack(b"DBSIZE")
        answers = await self._all_at_once([(self._routing.link(node.endpoint), ask, 2) for node in nodes])
        return count_lag(
            [
                silent_facts(node) if isinstance(answer, LinkError) else read_facts(node, answer)
                for node, answer in zip(nodes, answers, strict=True)
            ]
        )

    # Inside.

    def _bell(self) -> None:
        self.doubt = next(_doubts)

    async def _call(self, address: bytes, request: bytes, effect: Effect) -> object:
        """One request to the owner of an address. This is the hot path: what can go wrong is looked at elsewhere."""
        link = self._owners[slot_of(address)]
        try:
            reply = await (link.call_once(request) if effect is Effect.ONCE else link.call(request))
        except LinkError as error:
            return await self._insist(address, request, effect, link, error)
        if reply.__class__ is ReplyError:
            return await self._insist(address, request, effect, link, reply)
        return reply

    async def _call_many(self, batch: _Batch) -> list[object]:
        """A request for each address, all members at once; the replies in order."""
        replies: list[object] = []
        for first in range(0, len(batch.addresses), _PAGE):
            replies += await self._call_page(batch.part(slice(first, first + _PAGE)))
        return replies

    async def _call_page(self, batch: _Batch) -> list[object]:
        addresses, requests = batch.addresses, batch.requests
        replies: list[object] = [None] * len(addresses)
        troubles = await self._try_page(range(len(addresses)), slots_of(addresses), requests, replies)
        deadline = self._deadline(*[trouble for _, _, trouble in troubles[:1]])
        if len(troubles) > 1:
            index, link, trouble = troubles[0]
            replies[index] = await self._insist_on(batch, index, link, trouble, deadline)
            # The first has waited out a failover, or learned which slots moved: most of the others pass at once now.
            others = [index for index, _, _ in troubles[1:]]
            slots = slots_of([addresses[index] for index in others])
            troubles = await self._try_page(others, slots, requests, replies)
        for index, link, trouble in troubles:
            replies[index] = await self._insist_on(batch, index, link, trouble, deadline)
        return replies

    async def _insist_on(
        self, batch: _Batch, index: int, link: AsyncLink, trouble: Exception, deadline: float
    ) -> object:
        address = batch.addresses[index]
        return await self._insist(
            address,
            batch.requests[index],
            batch.effect,
            link,
            trouble,
            source=batch.source(address) if batch.source else None,
            plain=batch.plain(address) if batch.plain else None,
            deadline=deadline,
        )

    async def _try_page(
        self, indexes: Sequence[int], slots: list[int], requests: list[bytes], replies: list[object]
    ) -> list[tuple[int, AsyncLink, Exception]]:
        """Send the requests at `indexes` once, and fill in their replies; if one met trouble, with whom and what."""
        owners = self._owners
        by_link: dict[AsyncLink, list[int]] = {}
        for index, slot in zip(indexes, slots, strict=True):
            link = owners[slot]
            try:
                by_link[link].append(index)
            except KeyError:
                by_link[link] = [index]
        troubles: list[tuple[int, AsyncLink, Exception]] = []
        work = [(link, b"".join([requests[at] for at in mine]), len(mine)) for link, mine in by_link.items()]
        for (link, mine), answers in zip(by_link.items(), await self._all_at_once(work), strict=True):
            if isinstance(answers, LinkError):
                troubles += [(index, link, answers) for index in mine]
                continue
            for index, answer in zip(mine, answers, strict=True):
                replies[index] = answer
            if ReplyError in map(type, answers):  # one look at all of them
                both = zip(mine, answers, strict=True)
                troubles += [(index, link, answer) for index, answer in both if isinstance(answer, ReplyError)]
        return troubles

    async def _all_at_once(self, work: list[tuple[AsyncLink, bytes, int]]) -> list[list[object] | LinkError]:
        """The replies to requests at several members, who work at the same time; or what broke."""
        under_way: deque[AsyncExchange | LinkError] = deque()
        answers: list[list[object] | LinkError] = []
        try:
            for link, request, count in work:
                try:
                    under_way.append(await link.begin(request, count))
                except LinkError as error:
                    under_way.append(error)
            while under_way:
                exchange = under_way.popleft()
                try:
                    answers.append(exchange if isinstance(exchange, LinkError) else await exchange.finish())
                except LinkError as error:
                    answers.append(error)
        finally:
            for exchange in under_way:
                if not isinstance(exchange, LinkError):
                    exchange.abandon()
        return answers

    async def _run(
        self, script: Script, effect: Effect, keys: tuple[bytes, ...], *args: bytes, plain: bytes | None = None
    ) -> object:
        """Run a script at the owner of its keys; `plain` is what a replica can be asked instead."""
        link = self._owners[slot_of(keys[0])]
        request = script.call(keys, *args)
        trouble: object
        try:
            reply = await (link.call_once(request) if effect is Effect.ONCE else link.call(request))
            if reply.__class__ is not ReplyError:
                return reply
            trouble = reply
        except LinkError as error:
            trouble = error
        source = script.send(keys, *args)
        # A replica knows only the scripts that it was sent itself.
        plain = source if effect is Effect.READ else plain
        return await self._insist(keys[0], request, effect, link, trouble, source=source, plain=plain)

    async def _insist(
        self,
        address: bytes,
        request: bytes,
        effect: Effect,
        link: AsyncLink,
        trouble: object,
        *,
        source: bytes | None = None,
        plain: bytes | None = None,
        deadline: float | None = None,
    ) -> object:
        """Go on with a request that met trouble, until it is answered, hopeless, or past its deadline."""
        if deadline is None:
            deadline = self._deadline(trouble)
        if effect is Effect.READ and plain is None:
            plain = request
        slot = slot_of(address)
        for attempt in itertools.count():
            assert isinstance(trouble, Exception)  # noqa: S101 - an error reply, or a broken link
            advice = advise(trouble, effect, link.endpoint)
            if advice.error is not None:
                raise advice.error from trouble
            if time.monotonic() >= deadline:
                raise _too_late(self._target.timeout, link, trouble) from trouble
            if plain is not None and advice.step in (Step.WAIT, Step.LEARN):
                reply = await self._from_replica(slot, plain, deadline)
                if not isinstance(reply, Exception):
                    return reply
            if advice.step is Step.TEACH and source is not None:
                request = source
            link = await self._next_link(advice, link, slot, attempt, deadline)
            trouble = await _answer(link, request, deadline, asking=advice.step is Step.ASK)
            if not isinstance(trouble, Exception):
                return trouble
        raise AssertionError  # pragma: no cover - the loop ends by return or raise

    async def _next_link(self, advice: Advice, link: AsyncLink, slot: int, attempt: int, deadline: float) -> AsyncLink:
        """Where to go next with a request that met trouble, after the pause that it takes."""
        # Members that do not agree yet may send us to each other for a while.
        if advice.step in (Step.WAIT, Step.LEARN) or attempt > _HOPS:
            await _pause(attempt, deadline)
        if advice.step is Step.LEARN:
            if attempt or self._owners[slot] is link:  # else others have learned meanwhile who owns it now
                await self._routing.learn(deadline, last=link.endpoint)
            return self._owners[slot]
        if advice.endpoint is None:
            return link
        target = self._routing.link(advice.endpoint)
        if advice.step is Step.MOVE and self._owners[slot] is not target:
            await self._routing.learn(deadline, first=advice.endpoint)
            self._owners[slot] = target
        if not self._routing.is_owner(advice.endpoint):
            self._bell()  # it was not rung: a connection to it may have missed bells
        return target

    async def _from_replica(self, slot: int, request: bytes, deadline: float) -> object:
        """The answer of a replica to a read while the owner is away; an error reply if there is none."""
        owner = self._owners[slot].endpoint
        for link in self._routing.replicas_of(slot):
            reply = await _answer(link, request, deadline)
            if isinstance(reply, Exception):
                continue
            if self._routing.is_due(_LOOK_AROUND):  # or who only reads would never hear of the next owner
                await self._routing.learn(min(deadline, time.monotonic() + self._target.patience), last=owner)
            return reply
        return ReplyError("MASTERDOWN no replica answers")

    async def _recover(self, link: AsyncLink, trouble: Exception, attempt: int, deadline: float) -> None:
        """After trouble with an owner: wait a little and learn who owns what. Raises what cannot be helped."""
        advice = advise(trouble, Effect.REPEATABLE, link.endpoint)
        if advice.error is not None:
            raise advice.error from trouble
        if time.monotonic() >= deadline:
            raise _too_late(self._target.timeout, link, trouble) from trouble
        await _pause(attempt, deadline)
        await self._routing.learn(deadline, first=advice.endpoint, last=link.endpoint)

    def _deadline(self, trouble: object = None) -> float:
        """When a call that has just met its first trouble has to be over."""
        waited = trouble.waited if isinstance(trouble, LinkError) else 0
        return time.monotonic() + self._target.timeout - waited

    def _owner_of_some(self, slots: set[int]) -> tuple[AsyncLink, set[int]]:
        """An owner of some of these slots, and all that it owns; if they have none, any owner, and no slots."""
        owned = [(link, slots_in(ranges)) for link, ranges in self._routing.owned()]
        return next((one for one in owned if not slots.isdisjoint(one[1])), (owned[0][0], set()))

    async def _raise_at_owner(self, key: bytes) -> int:
        """Raise an epoch, and give it time to be on a replica too, so that a failover does not undo it."""
        slot = slot_of(key)
        if self._routing.replicas_of(slot):
            # WAIT speaks of what its own connection wrote, and holds that up: it has a connection to itself.
            link = self._routing.side_link(self._owners[slot].endpoint)
            request = commands.RAISE_EPOCH.send((key,)) + pack(b"WAIT", b"1", b"%d" % _EPOCH_COPIES_MS)
            try:
                raised, _ = await (await link.begin(request, 2)).finish()
            except LinkError:
                raised = None  # perhaps raised: once more does no harm
            if isinstance(raised, bytes):
                return int(raised)
        return _int(await self._run(commands.RAISE_EPOCH, Effect.REPEATABLE, (key,)))

    async def _ring(self) -> None:
        """Ring the bell at every owner, and at those who become owners meanwhile."""
        rung: set[AsyncLink] = set()
        deadline = self._deadline()
        for attempt in itertools.count():
            # Not sent on when a slot has moved: each of the owners has to hear it itself. By another slot next time.
            missing = [(link, _bell_in(ranges, attempt)) for link, ranges in self._routing.owned() if link not in rung]
            if not missing:
                return
            work = [(link, commands.RING.send((bell,)), 1) for link, bell in missing]
            for (link, _, _), answer in zip(work, await self._all_at_once(work), strict=True):
                reply = answer if isinstance(answer, LinkError) else answer[0]
                if isinstance(reply, Exception):
                    await self._recover(link, reply, attempt, deadline)
                else:
                    rung.add(link)


async def _answer(link: AsyncLink, request: bytes, deadline: float, *, asking: bool = False) -> object:
    """A member's reply, or the trouble with it as a value; `asking` is for a slot that the member is being given."""
    seconds = max(deadline - time.monotonic(), _SHORTEST)
    try:
        if asking:
            return (await link.call_within(seconds, pack(b"ASKING") + request, 2))[1]
        return (await link.call_within(seconds, request))[0]
    except LinkError as error:
        return error


async def _pause(attempt: int, deadline: float) -> None:
    pause = pause_before(attempt, random.random())  # noqa: S311 - spreads retries, hides nothing
    await sleep(max(0, min(pause, deadline - time.monotonic())))


def _bell_in(ranges: list[tuple[int, int]], attempt: int) -> bytes:
    return commands.BELL_PREFIX + b"{" + tag_in(ranges, attempt * SLOTS) + b"}"


def _bytes(reply: object) -> bytes | None:
    if reply is None or isinstance(reply, bytes):
        return reply
    raise _unexpected(reply)


def _int(reply: object) -> int:
    if isinstance(reply, (int, bytes)):
        return int(reply)
    raise _unexpected(reply)


def _unexpected(reply: object) -> EngineError:
    return EngineError(f"the server answered what it was not asked for: {reply!r:.80}")


def _ms(ttl: int | None) -> bytes:
    return b"" if ttl is None else b"%d" % ttl


def _set_if(address: bytes, frame: bytes, ttl: int | None, condition: bytes) -> bytes:
    words = (b"SET", address, frame, condition)
    return pack(*words) if ttl is None else pack(*words, b"PX", b"%d" % ttl)


def _lease_keys(name: bytes) -> tuple[bytes, bytes]:
    return b"cg!lease:{" + name + b"}", b"cg!fence:{" + name + b"}"


def _epoch_key(name: bytes) -> bytes:
    return b"cg!epoch:{" + name + b"}"


def _literally(prefix: bytes) -> bytes:
    """A glob pattern that matches the prefix itself and nothing else."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]^-\\" else bytes([byte]) for byte in prefix)


def _scanned(reply: object) -> tuple[bytes, list[bytes]]:
    match reply:
        case [bytes(cursor), list(page)]:
            return cursor, page
        case _:
            raise _unexpected(reply)


def _too_late(timeout: float, link: AsyncLink, trouble: Exception) -> EngineTimeout:
    last = str(trouble) if isinstance(trouble, LinkError) else f"{link.endpoint} said: {trouble}"
    return EngineTimeout(
        f"no answer within {timeout:g} s (last, {last}); look at `cachegrid status`, "
        "or give calls more time with the setting timeout (CACHEGRID_TIMEOUT)",
        where=str(link.endpoint),
    )
