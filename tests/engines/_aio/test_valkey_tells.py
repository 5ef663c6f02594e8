"""What owners are asked to tell of their entries, what they say to that, and what is heard of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachegrid._core.events import EventKind, Happening, Topic
from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.errors import AccessDenied, EngineTimeout
from tests.engines._aio.opened import hurry, opened
from tests.engines.servers import Server
from tests.flow.waits._aio import until

pytestmark = pytest.mark.grid

ENTRIES, EPOCHS = Topic(b"cg:prices:", of_epochs=False), Topic(b"cg:prices:", of_epochs=True)
ADDRESS = b"cg:prices:0:$key"


class Listening:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[EventKind, bytes]] = []
        self.owners: set[str] = set()

    def happened(self, topic: Topic, happening: Happening) -> None:
        """Note it."""
        assert topic.of_epochs is (happening.kind == "invalidated")
        self.told.append((happening.kind, happening.address))
        self.owners.add(happening.owner)

    async def until(self, kind: EventKind, address: bytes) -> None:
        """Wait until something was told."""

        async def is_told() -> bool:
            return (kind, address) in self.told

        await until(is_told)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def flags_of(server: Server) -> set[str]:
    """What a server tells."""
    return set(server.run("CONFIG", "GET", "notify-keyspace-events")[1].decode())


async def test_what_happens_to_entries_is_told(server: Server) -> None:
    """
    Once for each that is done, also where that takes several steps of a script; and nothing of other caches.
    """
    heard = Listening()
    async with opened(server.url()) as engine:
        await engine.listen(ENTRIES, heard)
        await engine.store(ADDRESS, b"frame", 1000)
        assert await engine.touch(ADDRESS, 5000, 0)
        await engine.store(b"cg:other:0:$key", b"frame", None)
        assert 3 == await engine.add(b"cg:prices:0:$sum", 3, 0, None)
        assert 5 == await engine.add(b"cg:prices:0:$sum", 2, 0, None)
        assert await engine.drop(ADDRESS)
        await engine.store(ADDRESS, b"frame", 1)
        await heard.until("expired", ADDRESS)
    assert [
        ("set", ADDRESS),
        ("set", b"cg:prices:0:$sum"),
        ("set", b"cg:prices:0:$sum"),
        ("deleted", ADDRESS),
        ("set", ADDRESS),
        ("expired", ADDRESS),
    ] == heard.told
    assert {str(server.endpoint)} == heard.owners


async def test_what_is_evicted_is_told(server: Server) -> None:
    """
    As the server lets it go for want of memory.
    """
    heard = Listening()
    async with opened(server.url()) as engine:
        await engine.listen(ENTRIES, heard)
        await engine.store(ADDRESS, b"x" * 1000, None)
        server.run("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        server.run("CONFIG", "SET", "maxmemory", "1")
        await heard.until("evicted", ADDRESS)


async def test_epochs_that_are_raised_are_told_and_no_others(server: Server) -> None:
    """
    Of a cache, of what it keeps of functions, and of its tags; not that one was made, nor what other caches do.
    """
    heard = Listening()
    names = [b"cg:prices", b"cg:prices/price-1", b"cg:pricesless", b"cg:other"]
    async with opened(server.url()) as engine:
        await engine.listen(EPOCHS, heard)
        await engine.make_tag_epochs([b"cg:prices:menu", b"cg:other:menu"], None)
        for name in names:
            epoch = await engine.epoch(name)
            assert epoch < await engine.raise_epoch(name) == await engine.epoch(name)
        await engine.raise_tags([b"cg:other:menu", b"cg:prices:none", b"cg:prices:menu"])
        await heard.until("invalidated", b"cg:prices:menu")
    assert [b"cg:prices", b"cg:prices/price-1", b"cg:prices:menu"] == [address for _, address in heard.told]


async def test_a_server_is_asked_for_no_more_than_it_lacks(server: Server) -> None:
    """
    What it tells besides it goes on telling; and nothing is changed before somebody listens.
    """
    server.run("CONFIG", "SET", "notify-keyspace-events", "El")
    async with opened(server.url()) as engine:
        await engine.store(ADDRESS, b"frame", None)
        assert set("El") == flags_of(server)
        await engine.listen(ENTRIES, Listening())
    assert set("ElK$gxe") == flags_of(server)


async def test_a_connection_that_breaks_is_asked_anew(server: Server) -> None:
    """
    Also by a server that was started again, and knows nothing of it.
    """
    heard = Listening()
    async with opened(server.url()) as engine:
        await engine.listen(ENTRIES, heard)
        server.restart()

        async def is_heard() -> bool:
            await engine.store(ADDRESS, b"frame", None)
            return bool(heard.told)

        await until(is_heard)


async def test_who_listens_no_more_is_told_nothing(server: Server) -> None:
    """
    While others still are.
    """
    heard, other = Listening(), Listening()
    async with opened(server.url()) as engine:
        await engine.listen(ENTRIES, heard)
        await engine.listen(EPOCHS, other)
        engine.unlisten(ENTRIES)

        async def is_forgotten() -> bool:
            return bool(server.run("PUBSUB", "NUMPAT") == 3)

        await until(is_forgotten)
        await engine.store(ADDRESS, b"frame", None)
        await engine.raise_epoch(b"cg:prices")
        await other.until("invalidated", b"cg:prices")
    assert [] == heard.told


@pytest.mark.parametrize(
    ("rights", "flags", "refused"),
    [
        (["-config"], "", "config.get"),
        (["-config|set"], "", "config.set"),
        (["-config|set"], "KA", None),
        (["-psubscribe"], "", "psubscribe"),
        (["resetchannels"], "", "channel"),
    ],
)
async def test_a_user_needs_rights(server: Server, rights: list[str], flags: str, refused: str | None) -> None:
    """
    Without them it is an error that names the setting and the rights; where they are given later, it is no more.
    """
    server.run("CONFIG", "SET", "notify-keyspace-events", flags)
    server.run("ACL", "SETUSER", "app", "on", ">s", "~*", "&*", "+@all", *rights)
    heard = Listening()
    async with opened(server.url("app:s")) as engine:
        if refused is not None:
            with pytest.raises(AccessDenied, match=rf"(?s){refused}.*notify-keyspace-events.*\+config\|get") as caught:
                await engine.listen(ENTRIES, heard)
            assert str(server.endpoint) == caught.value.where
            server.run("ACL", "SETUSER", "app", "+@all", "&*")
        await engine.listen(ENTRIES, heard)
        await engine.store(ADDRESS, b"frame", None)
        await heard.until("set", ADDRESS)


async def test_an_owner_that_says_nothing_is_named(server: Server) -> None:
    """
    When the time of a call is over; then nobody listens.
    """
    async with opened(server.url()) as engine:
        hurry(engine, 0.2)
        server.pause()
        try:
            with pytest.raises(EngineTimeout, match=str(server.endpoint)):
                await engine.listen(ENTRIES, Listening())
        finally:
            server.resume()
        assert {} == _topics(engine)


def _topics(engine: AsyncValkeyEngine) -> dict[bytes, object]:
    return dict(engine._watch._heard)
