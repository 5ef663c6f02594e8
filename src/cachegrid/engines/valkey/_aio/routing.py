"""Links to the members, and who owns what: learned from the members themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

from libvalkey import ReplyError

from cachegrid.engines.valkey._aio.link import AsyncLink
from cachegrid.engines.valkey._aio.turn import AsyncTurn
from cachegrid.engines.valkey.bell import Bell
from cachegrid.engines.valkey.commands import HEALTH, ROUTES, pack
from cachegrid.engines.valkey.facts import Health, Node, read_health, read_nodes
from cachegrid.engines.valkey.slots import SLOTS, Endpoint, Routes, read_routes, single_route, slots_in
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import Effect, LinkError, advise
from cachegrid.errors import ConfigError, EngineError, Unreachable
from cachegrid.waits._aio import AsyncEvent

__all__ = ["AsyncRouting"]


class AsyncRouting:
    """`owners[slot]` is the link to the slot's owner; the list is changed in place as routes are learned."""

    def __init__(self, target: Target, bell: Bell, moved: Callable[[], None]) -> None:
        self.owners: list[AsyncLink] = []
        self._target, self.bell, self._moved = target, bell, moved
        self.routes = Routes({}, {})
        self._links: dict[Endpoint, AsyncLink] = {}
        self._readers: dict[Endpoint, AsyncLink] = {}  # links on which replicas answer reads
        self._sides: dict[Endpoint, AsyncLink] = {}  # links for what holds up its connection
        self._learning = AsyncTurn()
        self._closed = False
        self._learned = 0  # how often
        self._asked = 0  # how often somebody did
        self._is_asking = False  # somebody does now, and others share what is told
        self._looked = 0.0  # when somebody last asked, in seconds of the monotonic clock
        self._trouble: Exception | None = None  # what kept the last member that was asked from telling
        self._pausing: set[AsyncEvent] = set()  # of each who pauses: that slots have other owners

    async def open(self) -> None:
        """Learn the routes for the first time. Raises Unreachable when no seed can tell them."""
        await self.learn(time.monotonic() + self._target.timeout)
        if not self.owners:
            seeds = ", ".join(map(str, self._target.seeds))
            hint = self._target.hint(str(self._trouble))
            raise Unreachable(
                f"no grid answers at {seeds} ({self._trouble}); is it started (cachegrid status), "
                f"is the URL right{hint}?",
                where=seeds,
            ) from self._trouble

    async def learn(self, deadline: float, *, first: Endpoint | None = None, last: Endpoint | None = None) -> bool:
        """
        Ask the members for the routes, one after the other, until one tells them; False if none did in time.

        Callers that come while another is asking share its answer. `first` and `last` say whom to ask when; the last
        one is in trouble, and where who tells the routes knows of nobody who follows it, the others are asked for that.
        What a member tells that is cut off from the others counts only if nobody knows better.
        """
        seen = self._learned
        async with self._learning.taken(deadline - time.monotonic()) as is_ours:
            if is_ours and self._learned == seen:
                self._looked = time.monotonic()
                self._asked += 1
                self._is_asking = True
                try:
                    whom = self._whom_to_ask(first, last)
                    routes = await self._ask_around(whom, deadline)
                    if routes is not None and last is not None and routes.replicas.get(last) == []:
                        routes = await self._with_followers(routes, last, whom, deadline)
                finally:
                    self._is_asking = False
                if routes is not None:
                    self._adopt(routes)
        return self._learned != seen

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until it is known here that slots have other owners."""
        moved = AsyncEvent()
        self._pausing.add(moved)
        try:
            await moved.wait(seconds)
        finally:
            self._pausing.discard(moved)

    def is_due(self, seconds: float) -> bool:
        """Whether nobody has asked for the routes for so long."""
        return time.monotonic() - self._looked > seconds

    def is_worth_asking(self, seconds: float) -> bool:
        """The same, or whether somebody asks now, whose answer is to be had at no price."""
        return self._is_asking or self.is_due(seconds)

    def link(self, endpoint: Endpoint) -> AsyncLink:
        """The link to a member."""
        try:
            return self._links[endpoint]
        except KeyError:
            return self._links.setdefault(endpoint, AsyncLink(endpoint, self._target, self.bell))

    def side_link(self, endpoint: Endpoint) -> AsyncLink:
        """Another link to a member, for requests that hold up their connection."""
        try:
            return self._sides[endpoint]
        except KeyError:
            return self._sides.setdefault(endpoint, AsyncLink(endpoint, self._target, self.bell))

    @property
    def is_clustered(self) -> bool:
        """Whether the members tell who owns what."""
        return self.routes.clustered

    def owned(self) -> list[tuple[AsyncLink, list[tuple[int, int]]]]:
        """A link to each owner, and the ranges of slots that it owns, ends included."""
        return [(self.link(endpoint), ranges) for endpoint, ranges in self.routes.owners.items()]

    def slots_of(self, link: AsyncLink) -> set[int]:
        """The slots that a member owns."""
        return slots_in(self.routes.owners.get(link.endpoint, []))

    def is_owner(self, endpoint: Endpoint) -> bool:
        """Whether the routes name it as an owner."""
        return endpoint in self.routes.owners

    def lacks_replicas(self, owner: Endpoint) -> bool:
        """Whether nobody is known who follows an owner, as far as it is still known to be one."""
        return self.is_clustered and self.routes.replicas.get(owner) == []

    def replicas_of(self, slot: int) -> list[AsyncLink]:
        """Links to the replicas of a slot, on which they answer reads."""
        endpoints = self.routes.replicas.get(self.owners[slot].endpoint, [])
        return [self._reader(endpoint) for endpoint in endpoints]

    async def nodes(self) -> list[Node]:
        """Every member that the first one who answers knows of; raises Unreachable when none answers."""
        if not self.routes.clustered:
            return [Node(endpoint, slots=SLOTS) for endpoint in self.routes.owners]
        for endpoint in self.routes.endpoints():
            try:
                [reply] = await self.link(endpoint).call_within(self._target.patience, pack(b"CLUSTER", b"NODES"))
            except LinkError as error:
                self._trouble = error
                continue
            if isinstance(reply, bytes):
                return list(read_nodes(reply, endpoint))
            if isinstance(reply, ReplyError) and (refusal := advise(reply, Effect.READ, endpoint).error):
                raise refusal
        message = f"no member answers ({self._trouble}); try again when the grid has recovered"
        raise Unreachable(message) from self._trouble

    async def aclose(self) -> None:
        """Close all links."""
        self._closed = True
        for link in self._all_links():
            await link.aclose()

    def forget(self) -> None:
        """In a forked child: keep what is known, and let go of the parent's connections and locks."""
        for link in self._all_links():
            link.forget()
        self._learning, self._is_asking, self._pausing = AsyncTurn(), False, set()

    def _all_links(self) -> list[AsyncLink]:
        return [*self._links.values(), *self._readers.values(), *self._sides.values()]

    def _reader(self, endpoint: Endpoint) -> AsyncLink:
        try:
            return self._readers[endpoint]
        except KeyError:
            link = AsyncLink(endpoint, self._target, self.bell, readonly=True)
            return self._readers.setdefault(endpoint, link)

    def _whom_to_ask(self, first: Endpoint | None, last: Endpoint | None) -> list[Endpoint]:
        known = list(dict.fromkeys([*self.routes.endpoints(), *self._target.seeds]))
        # A member that was cut off tells old routes: do not ask the same one every time.
        turn = self._asked % len(known)
        known = sorted(known[turn:] + known[:turn], key=lambda one: (one == last, self.link(one).is_quiet))
        return known if first is None else list(dict.fromkeys([first, *known]))

    async def _ask_around(self, whom: list[Endpoint], deadline: float) -> Routes | None:
        """The routes, from the first member that is not cut off; else those that are newest, None if nobody tells."""
        newest: tuple[int, Routes] | None = None
        for endpoint in whom:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            told = await self._ask(endpoint, left)
            if told is None:
                continue
            health, routes = told
            if health.is_well:
                return routes
            if newest is None:
                deadline = min(deadline, time.monotonic() + self._target.patience)  # there is something to go on with
            if newest is None or health.epoch > newest[0]:
                newest = health.epoch, routes
            whom += [other for other in routes.endpoints() if other not in whom]
        return None if newest is None else newest[1]

    async def _with_followers(self, routes: Routes, owner: Endpoint, whom: list[Endpoint], deadline: float) -> Routes:
        """
        The same, with those who follow an owner: a member may not have heard yet of one that has come back.

        Where nobody tells those count who did before. Who does not any more says so when he is asked.
        """
        followers = self.routes.replicas.get(owner, [])
        for endpoint in whom:
            left = min(deadline - time.monotonic(), self._target.moment)
            if left <= 0 or endpoint == owner or self.link(endpoint).is_quiet:
                continue
            told = await self._ask(endpoint, left)
            if told is not None and (found := told[1].replicas.get(owner)):
                followers = found
                break
        return routes._replace(replicas={**routes.replicas, owner: followers})

    async def _ask(self, endpoint: Endpoint, seconds: float) -> tuple[Health, Routes] | None:
        link = self.link(endpoint)
        try:
            hello = await link.connect(seconds)
            if not hello.clustered:
                return Health(is_well=True, epoch=0), single_route(endpoint)
            health, reply = await link.call_within(seconds, HEALTH + ROUTES, 2)
            if isinstance(reply, ReplyError):
                self._trouble = reply
                return None
            routes = read_routes(reply, endpoint)
        except ConfigError:  # files that cannot be used
            raise
        except (LinkError, ValueError) as error:
            self._trouble = error
            return None
        except EngineError as error:  # not welcome there; perhaps elsewhere, when we were once
            if not self._learned or self._closed:
                raise
            self._trouble = error
            return None
        if not routes.owners:
            self._trouble = ValueError(f"{endpoint} is in a cluster whose slots have no owners")
        return (read_health(health), routes) if routes.owners else None

    def _adopt(self, routes: Routes) -> None:
        if any(endpoint not in self.routes.owners for endpoint in routes.owners):
            # Who was no owner was not rung: a connection to it may have missed bells.
            self.bell()
        if has_moved := routes.owners != self.routes.owners:
            self._moved()
        self.routes = routes
        # A slot that nobody owns is asked for at any member: it answers that the cluster is down.
        owners = [self.link(next(iter(routes.owners)))] * SLOTS
        for endpoint, ranges in routes.owners.items():
            for first, last in ranges:
                owners[first : last + 1] = [self.link(endpoint)] * (last - first + 1)
        self.owners[:] = owners
        for endpoint in routes.owners:
            self.link(endpoint).trust()
        self._learned += 1
        for moved in list(self._pausing) if has_moved else ():
            moved.set()
