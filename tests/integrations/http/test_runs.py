"""The application at work: what it streams, what it does afterwards, and what becomes of it when nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from cachegrid.integrations import asgi
from tests.integrations.http.site import AsgiClient, Clock, Reply, Site, WsgiClient, environ_of, open_site

KEPT = [(b"cache-control", b"max-age=60")]


async def start(send: asgi.Send, headers: Iterable[tuple[bytes, bytes]] = KEPT, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def part(send: asgi.Send, body: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def ask_twice(app: asgi.App, **settings: Any) -> list[Reply]:
    """What two requests get, one after the other."""
    client = AsgiClient(app, "memory://", {}, **settings)
    try:
        return [client(), client()]
    finally:
        client.close()


def test_what_is_not_kept_is_passed_on_as_it_comes() -> None:
    """
    The second part is said when the first one has arrived.
    """
    arrived = asyncio.Event()

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await start(send, [])
        await part(send, b"one ", more=True)
        await asyncio.wait_for(arrived.wait(), 10)
        await part(send, b"two")

    client = AsgiClient(app, "memory://", {})
    client.heard = lambda message: arrived.set() if message.get("body") else None
    try:
        assert b"one two" == client().body
    finally:
        client.close()


def test_wsgi_parts_are_asked_for_as_they_are_read() -> None:
    """
    And the application hears when nobody reads on.
    """
    said: list[str] = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            for name in ("one", "two", "three"):
                said.append(name)
                yield name.encode()

        def close(self) -> None:
            said.append("closed")

    def app(environ: Any, start_response: Any) -> Any:
        life = "max-age=60" if environ["PATH_INFO"] == "/kept" else "private"
        start_response("200 OK", [("cache-control", life)])
        return Parts()

    client = WsgiClient(app, "memory://", {}, max_body=8)
    try:
        for path in ("/", "/kept"):  # which is too large: what was read of it is not lost
            said.clear()
            parts = client.app(environ_of(path), lambda *_said: lambda _part: None)
            assert b"one" == next(iter(parts))
            assert "closed" not in said
            assert ("three" in said) is (path == "/kept")
            parts.close()  # type: ignore[attr-defined]
            assert "closed" == said[-1]
    finally:
        client.close()


def test_a_large_response_is_whole() -> None:
    """
    What was held of it before it was known to be too large comes first.
    """

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await start(send)
        for number in range(5):
            await part(send, b"%d" % number * 10, more=True)
        await part(send, b"")

    whole = b"".join(b"%d" % number * 10 for number in range(5))
    assert [(whole, False)] * 2 == [(reply.body, reply.is_hit) for reply in ask_twice(app, max_body=25)]


def test_what_is_done_after_a_response_is_done() -> None:
    """
    Background work of an application belongs to its request, as it would without the middleware.
    """
    done: list[str] = []

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await start(send)
        await part(send, b"page")
        await asyncio.sleep(0.01)
        done.append("mail sent")

    assert [False, True] == [reply.is_hit for reply in ask_twice(app)]
    assert ["mail sent"] == done


def test_what_is_said_after_the_end_is_not_heard() -> None:
    """
    Nobody waits for it, either.
    """

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await start(send)
        await part(send, b"page")
        await part(send, b"more")

    assert [b"page", b"page"] == [reply.body for reply in ask_twice(app)]


@pytest.mark.parametrize("how", ["start", "body", "nothing"])
def test_a_response_that_breaks_off_is_not_kept(how: str) -> None:
    """
    The server hears the error, or that no more was said.
    """
    asked: list[str] = []

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        asked.append(how)
        await start(send)
        if how == "body":
            await part(send, b"half of", more=True)
        if how != "nothing":
            raise ZeroDivisionError

    client = AsgiClient(app, "memory://", {})
    try:
        for _ in range(2):
            if how == "nothing":
                assert b"" == client().body
            else:
                with pytest.raises(ZeroDivisionError):
                    client()
    finally:
        client.close()
    assert 2 == len(asked)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_fields_may_come_one_by_one(method: str) -> None:
    """
    They are read once, and sent all the same.
    """

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await start(send, iter(KEPT))
        await part(send, b"page")

    client = AsgiClient(app, "memory://", {})
    try:
        assert ["max-age=60"] * 2 == [client(method=method).fields["cache-control"] for _ in range(2)]
    finally:
        client.close()


def test_an_extension_of_the_server_is_passed_on() -> None:
    """
    What is sent in ways that are not known here is not kept.
    """

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await start(send)
        await send({"type": "http.response.pathsend", "path": "/page.html"})

    client = AsgiClient(app, "memory://", {})
    heard: list[asgi.Message] = []
    client.heard = heard.append
    try:
        client()
        client()
    finally:
        client.close()
    assert ["http.response.start", "http.response.pathsend"] * 2 == [message["type"] for message in heard]


@pytest.mark.parametrize(("said", "is_kept"), [("max-age=60", False), ("public, max-age=60", True)])
def test_whom_the_application_has_found_out_about_shows_who_he_is(said: str, *, is_kept: bool) -> None:
    """
    Though nothing in the request does: by its address, or by a word in its query.
    """

    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        scope["user"] = "ann"
        await start(send, [(b"cache-control", said.encode())])
        await part(send, b"for ann")

    def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
        environ["REMOTE_USER"] = "ann"
        start_response("200 OK", [("Cache-Control", said)])
        return [b"for ann"]

    clients: list[AsgiClient | WsgiClient] = [AsgiClient(app, "memory://", {}), WsgiClient(wsgi_app, "memory://", {})]
    try:
        for client in clients:
            first, second = client(), client()
            assert (is_kept, b"for ann") == (second.is_hit, first.body)
    finally:
        for client in clients:
            client.close()


def test_a_hint_ahead_of_a_response_tells_nothing_of_it() -> None:
    """
    It is sent on with the response; that is in trouble, and a stale page is better, or not.
    """
    clock, statuses = Clock(), [200, 200, 503, 503]

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        status = statuses.pop(0)
        if len(statuses) < 3:
            await send({"type": "http.response.early_hint", "links": []})
        await start(send, [(b"cache-control", b"max-age=60, stale-if-error=600")], status)
        await part(send, b"%d" % status)

    client = AsgiClient(app, "memory://", {}, clock=clock)
    heard: list[asgi.Message] = []
    client.heard = heard.append
    try:
        assert 200 == client().status
        assert 200 == client("/other").status
        assert ["start", "body", "early_hint", "start", "body"] == [it["type"].split(".")[-1] for it in heard]
        clock.now += 100
        assert (200, b"200") == (client().status, client().body)
    finally:
        client.close()


def test_who_waits_goes_on_when_the_one_who_makes_it_is_gone() -> None:
    """
    His application is ended, and another one's is asked.
    """
    begun: list[asyncio.Event] = []
    ended: list[str] = []

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        begun.append(asyncio.Event())
        begun[-1].set()
        if len(begun) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("first")
        await start(send)
        await part(send, b"%d" % len(begun))

    client = AsgiClient(app, "memory://", {})

    async def ask() -> Reply:
        first = asyncio.create_task(client.ask())
        while not begun:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(client.ask())
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    try:
        assert b"2" == client.runner.run(ask()).body
    finally:
        client.close()
    assert ["first"] == ended


@pytest.mark.parametrize("drop", ["change", "purge"])
def test_who_comes_after_a_change_does_not_wait_for_what_was_begun_before(drop: str) -> None:
    """
    He would get what was there before; who came earlier gets that.
    """
    begun: list[str] = []
    go_on = asyncio.Event()

    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        number = b"%d" % len(begun)
        begun.append(scope["method"])
        if number == b"0":
            await go_on.wait()
        await start(send, [*KEPT, (b"cache-tag", b"news")])
        await part(send, number)

    client = AsgiClient(app, "memory://", {})

    async def ask() -> list[bytes]:
        first = asyncio.create_task(client.ask())
        while not begun:
            await asyncio.sleep(0.001)
        await (client.ask(method="PUT") if drop == "change" else asgi.purge(client.cache, "news"))
        after = await asyncio.wait_for(client.ask(), 10)
        go_on.set()
        return [(await first).body, after.body, (await client.ask()).body]

    try:
        new = b"2" if drop == "change" else b"1"
        assert [b"0", new, new] == client.runner.run(ask())
    finally:
        client.close()


def test_a_page_with_tags_is_made_anew_in_its_place(colour: str, site: Site, clock: Clock) -> None:
    """
    The old one is there still, for use in trouble, and gives way.
    """
    site.says("max-age=60, stale-if-error=600", cache_tag="news")
    client = open_site(colour, site, clock=clock)
    try:
        client()
        clock.now += 61
        assert [b"2", b"2"] == [client().body, client().body]
        client.purge("news")
        assert b"3" == client().body
    finally:
        client.close()
