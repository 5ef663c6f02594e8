"""Nobody gets what was made for another: whatever a site says, and whoever asks at the same time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachegrid.integrations import asgi
from tests.integrations.http.site import AsgiClient, Clock, Reply, Said, Site, open_site


class Asked(NamedTuple):
    """A request, and what the site says if it is asked."""

    path: str
    fields: dict[str, str]
    said: Said
    passes: int  # seconds before it


LIVES = ("max-age=60", "max-age=60", "public, max-age=60", "s-maxage=60", "public", "")
DIRECTIVES = (
    *(
        "private",
        "no-store",
        "no-cache",
        "max-age=0",
        "must-revalidate",
        "stale-if-error=600",
        'private="x"',
        "Private",
    ),
    *("no-cache=set-cookie", "stale-while-revalidate=60", '"', "max-age="),
)
USERS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"COOKIE": "id=ann"},
    {"COOKIE": "id=bob"},
    {"AUTHORIZATION": "Basic ann"},
    {"X_API_KEY": "bob"},
)
OTHERS: tuple[dict[str, str], ...] = (
    {},
    {"ACCEPT_LANGUAGE": "de"},
    {"ACCEPT_LANGUAGE": "en"},
    {"CACHE_CONTROL": "max-stale"},
    {"IF_NONE_MATCH": "*"},
)
VARIES = ("", "", "", "", "", "Accept-Language", "Cookie", "*", "accept-language, Cookie")
said_fields = st.tuples(
    st.builds(
        lambda life, others: ", ".join([life, *others]),
        st.sampled_from(LIVES),
        st.one_of(st.just([]), st.just([]), st.lists(st.sampled_from(DIRECTIVES), max_size=2)),
    ),
    st.sampled_from(VARIES),
    st.sampled_from(("", "", "", "", "", "", "id=1")),
    st.sampled_from(("", "menu")),
).map(
    lambda said: [
        (name, value)
        for name, value in zip(("cache-control", "vary", "set-cookie", "cache-tag"), said, strict=True)
        if value
    ]
)
asked = st.builds(
    Asked,
    st.sampled_from(("/a", "/a", "/b")),
    st.builds(lambda user, other: user | other, st.sampled_from(USERS), st.sampled_from(OTHERS)),
    st.builds(Said, said_fields, st.just(b""), st.sampled_from((200, 200, 200, 200, 404, 500))),
    st.sampled_from((0, 0, 0, 59, 61)),
)


class Watched:
    """A site that says with each response for which request it was made, and judges who gets it."""

    def __init__(self, default_ttl: str | None = None) -> None:
        self.made: list[tuple[Asked, Said]] = []
        self.default_ttl = default_ttl
        self.shared = 0

    def make(self, request: Asked) -> Said:
        """A response for a request, and for no other unless it says so."""
        self.made.append((request, request.said._replace(body=b"made %d" % len(self.made))))
        return self.made[-1][1]

    def judge(self, request: Asked, reply: Reply) -> None:
        """Fail if a reply was made for another request, and may not be given to this one."""
        if not reply.body.startswith(b"made "):
            return  # nothing of it was said
        maker, said = self.made[int(reply.body[5:])]
        if maker is request:
            return
        self.shared += 1
        fields = dict(said.fields)
        text = fields.get("cache-control", "").lower()
        assert maker.path == request.path
        assert "set-cookie" not in fields
        assert re.search("private|no-store|no-cache", text) is None
        assert self.default_ttl or re.search("max-age=60|s-maxage=60", text) is not None
        assert 500 != said.status
        if shows_who(maker.fields) or shows_who(request.fields):
            assert re.search("public|s-maxage", text) is not None
        for name in fields.get("vary", "").lower().split(", "):
            assert "*" != name
            key = name.replace("-", "_").upper()
            assert maker.fields.get(key) == request.fields.get(key)


def shows_who(fields: Mapping[str, str]) -> bool:
    """Whether a request shows who asks."""
    return bool({"COOKIE", "AUTHORIZATION", "X_API_KEY"} & fields.keys())


@pytest.mark.parametrize("default_ttl", [None, "10m"])
@settings(max_examples=40)
@given(requests=st.lists(asked, min_size=4, max_size=20))
def test_nobody_gets_what_was_made_for_another(default_ttl: str | None, requests: list[Asked]) -> None:
    """
    One after the other, while time passes.
    """
    watched, site, clock = Watched(default_ttl), Site(), Clock()
    client = open_site("wsgi", site, clock=clock, default_ttl=default_ttl)
    try:
        for request in requests:
            site.page = lambda _fields, _count, request=request: watched.make(request)  # type: ignore[misc]
            clock.now += request.passes
            watched.judge(request, client(request.path, **request.fields))
            client.settle()
    finally:
        client.close()


@settings(max_examples=40)
@given(batches=st.lists(st.lists(asked, min_size=2, max_size=5), max_size=4))
def test_nobody_gets_what_was_made_for_another_at_the_same_time(batches: list[list[Asked]]) -> None:
    """
    Those who wait for a page that is being made get it only if it may be theirs.
    """
    watched, clock = Watched(), Clock()

    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        said = watched.make(scope["asked"])
        await asyncio.sleep(0)
        headers = [(name.encode(), value.encode()) for name, value in said.fields]
        await send({"type": "http.response.start", "status": said.status, "headers": headers})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": said.body})

    client = AsgiClient(app, "memory://", {}, clock=clock)

    async def ask_all(batch: list[Asked]) -> None:
        replies = await asyncio.gather(*[client.ask(it.path, scope={"asked": it}, **it.fields) for it in batch])
        for request, reply in zip(batch, replies, strict=True):
            watched.judge(request, reply)
        await client.app.settle()

    try:
        for batch in batches:
            clock.now += batch[0].passes
            client.runner.run(ask_all(batch))
    finally:
        client.close()


def test_one_makes_a_page_for_all_who_wait() -> None:
    """
    And what is not kept is made for each: for who shows who he is, and where the site says so.
    """
    counts: dict[str, int] = {}

    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        path = scope["path"]
        counts[path] = counts.get(path, 0) + 1
        await asyncio.sleep(0.01)
        headers = [(b"cache-control", b"max-age=60" if path == "/shared" else b"private, max-age=60")]
        headers.append((b"vary", b"accept-language"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"%d" % counts[path]})

    client = AsgiClient(app, "memory://", {})
    try:
        languages = ["de", "en", "fr"] * 20
        shared = client.many([{"path": "/shared", "ACCEPT_LANGUAGE": it} for it in languages])
        client.many([{"path": "/own"}] * 20)
        client.many([{"path": "/shared", "COOKIE": "a"}] * 5)
    finally:
        client.close()
    assert {"/shared": 3 + 5, "/own": 20} == counts
    for language in ("de", "en", "fr"):
        assert 1 == len({reply.body for reply, it in zip(shared, languages, strict=True) if it == language})
