"""Links to the members, and who owns what: learned from the members themselves."""

from __future__ import annotations

from collections.abc import Callable

from libvalkey import ReplyError

from cachegrid.engines.valkey._aio.link import AsyncLink
from cachegrid.engines.valkey.commands import pack
from cachegrid.engines.valkey.facts import Node, read_nodes
from cachegrid.engines.valkey.slots import SLOTS, Endpoint, Routes, read_routes, single_route
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import LinkError
from cachegrid.errors import Unreachable
from cachegrid.waits._aio import AsyncLock

__all__ = ["AsyncRouting"]


class AsyncRouting:
    """`owners[slot]` is the link to the slot's owner; the list is changed in place as routes are learned."""

    def __init__(self, target: Target, bell: Callable[[], None]) -> None:
        self.owners: list[AsyncLink] = []
        self._target, self._bell = target, bell
        self._routes = Routes({}, {})
        self._links: dict[Endpoint, AsyncLink] = {}
        self._readers: dict[Endpoint, AsyncLink] = {}  # links on which replicas answer reads
        self._sides: dict[Endpoint, AsyncLink] = {}  # links for what holds up its connection
        self._learning = AsyncLock()
        self._learned = 0  # how often
        self._trouble: Exception | None = None  # what kept the last member that was asked from telling

    async def open(self) -> None:
        """Learn the routes for the first time. Raises Unreachable when no seed can tell them."""
        await self.learn()
        if not self.owners:
            seeds = ", ".join(map(str, self._target.seeds))
            raise Unreachable(
                f"no grid answers at {seeds} ({self._trouble}); is it started (cachegrid status), is the URL right?",
                where=seeds,
            ) from self._trouble

    async def learn(self, *, avoid: Endpoint | None = None) -> bool:
        """
        Ask the members for the routes, one after the other, until one tells them; False if none does.

        Callers that come while another is asking share its answer. `avoid` is asked last.
        """
        seen = self._learned
        async with self._learning:
            if self._learned != seen:
                return True
            for endpoint in self._whom_to_ask(avoid):
                routes = await self._ask(endpoint)
                if routes is not None:
                    self._adopt(routes)
                    return True
        return False

    def link(self, endpoint: Endpoint) -> AsyncLink:
        """The link to a member."""
        try:
            return self._links[endpoint]
        except KeyError:
            return self._links.setdefault(endpoint, AsyncLink(endpoint, self._target, self._bell))

    def side_link(self, endpoint: Endpoint) -> AsyncLink:
        """Another link to a member, for requests that hold up their connection."""
        try:
            return self._sides[endpoint]
        except KeyError:
            return self._sides.setdefault(endpoint, AsyncLink(endpoint, self._target, self._bell))

    def owner_links(self) -> list[AsyncLink]:
        """A link to each owner."""
        return [self.link(endpoint) for endpoint in self._routes.owners]

    def slots_of(self, link: AsyncLink) -> list[tuple[int, int]]:
        """The ranges of slots that a member owns, ends included."""
        return self._routes.owners[link.endpoint]

    def replicas_of(self, slot: int) -> list[AsyncLink]:
        """Links to the replicas of a slot, on which they answer reads."""
        endpoints = self._routes.replicas.get(self.owners[slot].endpoint, [])
        return [self._reader(endpoint) for endpoint in endpoints]

    async def nodes(self) -> list[Node]:
        """Every member that the first owner who answers knows of; raises Unreachable when none answers."""
        if not self._routes.clustered:
            return [Node(endpoint, slots=SLOTS) for endpoint in self._routes.owners]
        for endpoint in self._routes.owners:
            try:
                reply = await self.link(endpoint).call(pack(b"CLUSTER", b"NODES"))
            except LinkError as error:
                self._trouble = error
                continue
            if isinstance(reply, bytes):
                return list(read_nodes(reply, endpoint))
        message = f"no owner answers ({self._trouble}); try again when the grid has recovered"
        raise Unreachable(message) from self._trouble

    async def aclose(self) -> None:
        """Close all links."""
        for link in self._all_links():
            await link.aclose()

    def forget(self) -> None:
        """In a forked child: keep what is known, and let go of the parent's connections and locks."""
        for link in self._all_links():
            link.forget()
        self._learning = AsyncLock()

    def _all_links(self) -> list[AsyncLink]:
        return [*self._links.values(), *self._readers.values(), *self._sides.values()]

    def _reader(self, endpoint: Endpoint) -> AsyncLink:
        try:
            return self._readers[endpoint]
        except KeyError:
            link = AsyncLink(endpoint, self._target, self._bell, readonly=True)
            return self._readers.setdefault(endpoint, link)

    def _whom_to_ask(self, avoid: Endpoint | None) -> list[Endpoint]:
        known = list(dict.fromkeys([*self._routes.endpoints(), *self._target.seeds]))
        # A member that was cut off tells old routes: do not ask the same one every time.
        turn = self._learned % len(known)
        return sorted(known[turn:] + known[:turn], key=lambda endpoint: endpoint == avoid)

    async def _ask(self, endpoint: Endpoint) -> Routes | None:
        link = self.link(endpoint)
        try:
            hello = await link.connect()
            if not hello.clustered:
                return single_route(endpoint)
            reply = await link.call(pack(b"CLUSTER", b"SLOTS"))
            if isinstance(reply, ReplyError):
                self._trouble = reply
                return None
            routes = read_routes(reply, endpoint)
        except (LinkError, ValueError) as error:
            self._trouble = error
            return None
        return routes if routes.owners else None

    def _adopt(self, routes: Routes) -> None:
        self._routes = routes
        # A slot that nobody owns is asked for at any member: it answers that the cluster is down.
        owners = [self.link(next(iter(routes.owners)))] * SLOTS
        for endpoint, ranges in routes.owners.items():
            for first, last in ranges:
                owners[first : last + 1] = [self.link(endpoint)] * (last - first + 1)
        self.owners[:] = owners
        self._learned += 1
