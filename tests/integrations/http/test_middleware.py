"""What both middlewares do with what a site says, and with what clients ask."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

import cachegrid
from cachegrid.errors import ConfigError, Unreachable
from cachegrid.integrations import asgi, wsgi
from tests.integrations.http.site import AsgiClient, Clock, Said, Site, WsgiClient, environ_of, open_site

Client = WsgiClient | AsgiClient
Opener = Callable[..., Client]
# Tables of decisions, which are the same for both colours.
in_one_colour = pytest.mark.parametrize("colour", ["wsgi"])


def is_kept(client: Client, **asked: str) -> bool:
    """Whether what the site says to a request is there for the next one."""
    first, second = client(**asked), client(**asked)
    assert not first.is_hit
    return second.is_hit and first.body == second.body


# What is kept.


@in_one_colour
@pytest.mark.parametrize(
    "said",
    [
        "max-age=60",
        "public, max-age=60",
        "s-maxage=60",
        "max-age=0, s-maxage=60",
        'MAX-AGE="60"',
        "max-age=60, max-age=60",
        "max-age=60, must-revalidate",
        "max-age=99999999999999999999",
        "max-age=60, unheard-of=private",
    ],
)
def test_what_says_a_lifetime_is_kept(site: Site, client: Client, said: str) -> None:
    """
    However it is written.
    """
    site.says(said)
    assert is_kept(client)


@in_one_colour
@pytest.mark.parametrize(
    "said",
    [
        "",
        "public",
        "max-age=0",
        "max-age=-1",
        "max-age=soon",
        "max-age",
        "max-age = 60",
        "max-age=60, max-age=0",
        "max-age=60, s-maxage=0",
        "max-age=60, no-store",
        "max-age=60, NO-STORE",
        "max-age=60, no-cache",
        'max-age=60, no-cache="set-cookie"',
        "max-age=60, private",
        'max-age=60, private="x-user"',
        'private="x, max-age=60',
        "max-age=60;private",
        "no-store, must-understand, max-age=60",
    ],
)
def test_what_says_none_or_forbids_it_is_not(site: Site, client: Client, said: str) -> None:
    """
    What is malformed is read as the stricter of what it may mean.
    """
    site.says(said)
    assert not is_kept(client)


@in_one_colour
@pytest.mark.parametrize(
    "field",
    [
        {"set_cookie": "id=1"},
        {"vary": "*"},
        {"vary": "accept, *"},
        {"vary": ", ".join(f"x-{number}" for number in range(17))},
        {"www_authenticate": "Basic"},
        {"content_range": "bytes 0-1/2"},
        {"content_length": "999"},
        {"age": "60"},
        {"cache_tag": "x" * 256},
        {"surrogate_key": " ".join(f"t{number}" for number in range(65))},
        {"date": formatdate(1_699_999_940, usegmt=True)},
    ],
    ids=lambda field: next(iter(field)),
)
def test_fields_forbid_it_too(site: Site, client: Client, field: dict[str, Any]) -> None:
    """
    A cookie is for one; what varies on everything is for none; what was cut short or is old already is of no use.
    """
    site.says("public, max-age=60", **field)
    assert not is_kept(client)


@in_one_colour
@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414])
def test_what_says_the_same_to_everybody_is_kept(site: Site, client: Client, status: int) -> None:
    """
    Also that something is gone, or elsewhere.
    """
    site.says("max-age=60", status=status, body=b"" if status == 204 else None)
    assert is_kept(client)


@in_one_colour
@pytest.mark.parametrize("status", [201, 206, 303, 304, 400, 401, 403, 429, 500, 501, 503])
def test_other_statuses_are_not(site: Site, client: Client, status: int) -> None:
    """
    Nothing of a server in trouble, and no part of a body.
    """
    site.says("max-age=60", status=status)
    assert not is_kept(client)


def test_expires_says_a_lifetime_too(site: Site, client: Client, clock: Clock) -> None:
    """
    Where Cache-Control says none, and it is a date.
    """
    site.says(expires=formatdate(clock.now + 60, usegmt=True))
    assert is_kept(client)
    clock.now += 61
    assert not client().is_hit
    for expires in ("0", "tomorrow", formatdate(clock.now - 1, usegmt=True)):
        site.says(expires=expires)
        client.purge(urls=["http://site/"])
        assert not is_kept(client), expires


def test_a_default_lifetime_is_for_what_says_none_to_nobody_in_particular(site: Site, opened: Opener) -> None:
    """
    A page that says nothing, for somebody with a cookie, may be his.
    """
    client = opened(default_ttl="1m")
    assert is_kept(client)
    site.says("no-cache")
    assert not is_kept(client, path="/no")
    site.says(status=404)
    assert not is_kept(client, path="/gone")
    site.says()
    assert not is_kept(client, path="/own", COOKIE="id=1")


@pytest.mark.parametrize(
    "signed",
    [
        *("COOKIE", "AUTHORIZATION", "X_API_KEY", "X_WHOEVER", "X_AUTH_TOKEN", "X_FORWARDED_EMAIL"),
        *("X_REMOTE_USER", "REMOTE_USER", "X_AMZN_OIDC_DATA", "CF_ACCESS_JWT_ASSERTION", "X_MS_CLIENT_PRINCIPAL_ID"),
        *("X_FORWARDED_CLIENT_CERT", "PRIVATE_TOKEN", "X_SESSION_ID", "X_CONSUMER_USERNAME", "X_CSRF_TOKEN"),
    ],
)
def test_who_shows_who_he_is_gets_what_is_for_all(site: Site, opened: Opener, signed: str) -> None:
    """
    Only `public` and `s-maxage` say so. What others got without is not for him, nor is his for others.
    """
    client = opened(who=["X-Whoever"])
    for said in ("public, max-age=60", "s-maxage=60"):
        site.says(said)
        assert is_kept(client, path=f"/{said}", **{signed: "me"})
        assert client(path=f"/{said}").is_hit
    site.says("max-age=60, must-revalidate")
    assert not is_kept(client, path="/mine", **{signed: "me"})
    assert is_kept(client, path="/mine")
    assert not client(path="/mine", **{signed: "me"}).is_hit


def test_whom_the_server_knows_shows_who_he_is(site: Site) -> None:
    """
    By a certificate, or because it has asked for a password itself.
    """
    site.says("max-age=60")
    client = WsgiClient(site.wsgi, "memory://", {})
    for said in ({"REMOTE_USER": "ann"}, {"SSL_CLIENT_CERT": "PEM"}, {}):
        list(client.app({**environ_of("/"), **said}, lambda *_said: lambda _part: None))
    client.close()
    other = AsgiClient(site.asgi, "memory://", {})
    known: list[dict[str, Any]] = [
        {"extensions": {"tls": {"client_cert_chain": ["PEM"]}}},
        {"user": "ann"},
        {"user": SimpleNamespace(is_authenticated=True)},
        {"user": SimpleNamespace()},
        {"user": Lazy()},
        {"auth": SimpleNamespace(scopes=["read"])},
        {"session": {"id": 1}},
        {"state": {"user_id": 1}},
    ]
    unknown: list[dict[str, Any]] = [
        {"extensions": {"tls": {"client_cert_chain": []}}},
        {"extensions": {"tls": None}, "user": None, "session": {}, "state": {"session": "of a client of the server"}},
        {"user": SimpleNamespace(is_authenticated=False), "auth": SimpleNamespace(scopes=[])},
    ]
    for scope in [*known, *unknown, *known, *unknown]:
        other.many([{"scope": scope}])
    assert other().is_hit
    other.close()
    assert 3 + 2 * len(known) + 1 == len(site.asked)


class Lazy:
    """A user who is found out about when somebody looks, and cannot be."""

    @property
    def is_authenticated(self) -> bool:
        raise ValueError


def test_pages_for_all_do_not_open_the_others_of_their_uri(site: Site, client: Client) -> None:
    """
    One response said that it is for everybody; another one of the same URI did not.
    """
    site.says("public, max-age=60", vary="accept-language")
    client(ACCEPT_LANGUAGE="de")
    site.says("max-age=60", vary="accept-language")
    client(ACCEPT_LANGUAGE="en")
    assert [True, False] == [client(ACCEPT_LANGUAGE=it, COOKIE="id=1").is_hit for it in ("de", "en")]
    assert client(ACCEPT_LANGUAGE="en").is_hit


# Which request gets what.


def test_a_page_is_for_what_it_varies_on(site: Site, client: Client) -> None:
    """
    Also where responses of one URI do not say the same about that.
    """

    def page(fields: Any, count: int) -> Said:
        vary = "Accept-Encoding" if "accept-encoding" in fields else "Accept-Encoding, Accept-Language"
        return Said([("Cache-Control", "max-age=60"), ("Vary", vary)], b"%d" % count)

    site.page = page
    asked: list[dict[str, str]] = [{"ACCEPT_ENCODING": "gzip"}, {}, {"ACCEPT_LANGUAGE": "de"}, {"ACCEPT_LANGUAGE": ""}]
    for fields in asked * 3:
        client(**fields)
    assert [True] * 4 == [client(**fields).is_hit for fields in asked]
    assert 4 == len({client(**fields).body for fields in asked})


@pytest.mark.parametrize(
    "field",
    [
        *("X_FORWARDED_HOST", "X_HOST", "X_ORIGINAL_HOST", "X_FORWARDED_SERVER", "X_HTTP_HOST_OVERRIDE", "FORWARDED"),
        *("X_FORWARDED_SSL", "X_URL_SCHEME", "FRONT_END_HTTPS", "CLOUDFRONT_FORWARDED_PROTO", "CF_VISITOR"),
        *("X_ORIGINAL_URL", "X_REWRITE_URL", "REQUEST_URI", "X_FORWARDED_PREFIX", "X_SCRIPT_NAME", "X_REPLACED_PATH"),
        *("X_HTTP_METHOD_OVERRIDE", "X_HTTP_METHOD", "X_METHOD_OVERRIDE", "ORIGIN", "X_REQUESTED_WITH", "HX_REQUEST"),
    ],
)
def test_nobody_leaves_a_page_for_others_by_what_frameworks_take_for_the_uri(
    site: Site, client: Client, field: str
) -> None:
    """
    Responses that depend on such a field do not say so.
    """
    site.says("public, max-age=60")
    assert is_kept(client, **{field: "evil"})
    assert is_kept(client)
    assert b"1" == client(**{field: "evil"}).body


@pytest.mark.parametrize(
    ("field", "value", "is_same"),
    [
        ("FORWARDED", 'for="[2001:db8::1]:4711"; by=_proxy, for=192.0.2.1', True),
        ("FORWARDED", "for=192.0.2.1;host=evil", False),
        ("FORWARDED", 'for="x;host=evil"', False),
        ("X_FORWARDED_FOR", "192.0.2.1", True),
        ("X_ORIGINAL_FORWARDED_FOR", "192.0.2.1", True),
        ("X_REAL_IP", "192.0.2.1", True),
        ("SEC_FETCH_USER", "?1", True),
        ("USER_AGENT", "a browser", True),
    ],
)
def test_what_only_says_from_where_a_request_comes_makes_no_page_of_its_own(
    site: Site, client: Client, field: str, value: str, *, is_same: bool
) -> None:
    """
    Else each client of a proxy would have one.
    """
    site.says("max-age=60")
    client()
    assert is_same is client(**{field: value}).is_hit


PLACES = [("", "/x"), ("/a", "/x"), ("/a", "/a/x"), ("/b", "/x"), ("", "/a/x")]


def test_an_application_in_two_places_has_two_pages(site: Site) -> None:
    """
    Wherever its servers say that it is.
    """
    site.says("max-age=60")
    client = WsgiClient(site.wsgi, "memory://", {})
    for root, path in PLACES * 2:
        list(client.app({**environ_of(path), "SCRIPT_NAME": root}, lambda *_said: lambda _part: None))
    client.close()
    assert len(PLACES) == len(site.asked)


def test_another_path_than_the_client_asked_for_is_another_page(site: Site) -> None:
    """
    So it is where something before the middleware has changed it; a purge of what he asked for drops all of these.
    """
    site.says("max-age=60")
    client = AsgiClient(site.asgi, "memory://", {})
    places: list[dict[str, Any]] = [{"path": path, "scope": {"root_path": root}} for root, path in PLACES]
    places.append({"path": "/x", "scope": {"path": "/elsewhere"}})
    for place in places * 2:
        client.many([place])
    assert len(places) == len(site.asked)
    client.purge(urls=["http://site/a/x"])
    client.many(places)
    client.close()
    assert len(places) + 3 == len(site.asked)


@pytest.mark.parametrize("other", ["/?", "/?a=1", "/x", "/%2F"])
def test_another_uri_is_another_page(site: Site, client: Client, other: str) -> None:
    """
    Path, query and host tell apart; a bare question mark does not.
    """
    site.says("max-age=60")
    client()
    assert (other == "/?") is client(other).is_hit
    assert not client(HOST="elsewhere").is_hit


def test_head_is_answered_with_what_get_got(site: Site, client: Client) -> None:
    """
    With the same fields and no body; the other way round nothing is kept.
    """
    site.says("max-age=60", body=b"12345")
    assert 'cachegrid; fwd=miss; detail="HEAD"' == client(method="HEAD").fields["cache-status"]
    assert not client().is_hit
    head = client(method="HEAD")
    assert (True, b"", "5") == (head.is_hit, head.body, head.fields["content-length"])


@pytest.mark.parametrize(
    "asked",
    [
        {"RANGE": "bytes=0-1"},
        {"CACHE_CONTROL": "no-store"},
        {"IF_MATCH": '"a"'},
        {"IF_UNMODIFIED_SINCE": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"UPGRADE": "websocket"},
        {"TRANSFER_ENCODING": "chunked"},
        {"method": "OPTIONS"},
    ],
    ids=str,
)
def test_what_only_the_application_can_answer_passes_through(site: Site, client: Client, asked: dict[str, str]) -> None:
    """
    Neither answered from the shelf nor kept there.
    """
    site.says("public, max-age=60")
    assert "cache-status" not in client(**asked).fields
    assert not client().is_hit
    assert "cache-status" not in client(**asked).fields


# Who has it already.


@in_one_colour
@pytest.mark.parametrize(
    ("condition", "has_it"),
    [
        ({"IF_NONE_MATCH": '"a,b"'}, True),
        ({"IF_NONE_MATCH": 'W/"x", W/"a,b"'}, True),
        ({"IF_NONE_MATCH": "*"}, True),
        ({"IF_NONE_MATCH": '"a"'}, False),
        ({"IF_NONE_MATCH": "a,b"}, False),
        ({"IF_NONE_MATCH": '"z"', "IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:20 GMT"}, False),
        ({"IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:20 GMT"}, True),
        ({"IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:19 GMT"}, False),
        ({"IF_MODIFIED_SINCE": "yesterday"}, False),
    ],
    ids=str,
)
def test_a_client_that_has_the_page_is_told_so(
    site: Site,
    client: Client,
    condition: dict[str, str],
    has_it: bool,  # noqa: FBT001
) -> None:
    """
    By its tag, else by its date. The first one too, though the application was asked for all of it.
    """
    site.says("max-age=60", etag='"a,b"', last_modified="Tue, 14 Nov 2023 22:13:20 GMT", content_type="text/html")
    for reply in (client(**condition), client(**condition)):
        assert (304 if has_it else 200) == reply.status
        assert ("content-type" in reply.fields) is not has_it
        assert '"a,b"' == reply.fields["etag"]
    assert not {"if-none-match", "if-modified-since"} & site.seen[0].keys()


# When.


def test_a_page_has_an_age_and_an_end(site: Site, client: Client, clock: Clock) -> None:
    """
    What it had when it came counts.
    """
    site.says("max-age=60", age="20")
    assert "20" == client().fields["age"]
    clock.now += 39
    assert ("59", "cachegrid; hit; ttl=1") == (client().fields["age"], client().fields["cache-status"])
    clock.now += 1
    assert not client().is_hit


@in_one_colour
@pytest.mark.parametrize(
    ("wish", "is_hit"),
    [
        ("no-cache", False),
        ("max-age=0", False),
        ("max-age=29", False),
        ("max-age=30", True),
        ("min-fresh=30", True),
        ("min-fresh=31", False),
        ("max-stale=9", True),
    ],
)
def test_clients_say_how_old_a_page_may_be(
    site: Site,
    client: Client,
    clock: Clock,
    wish: str,
    is_hit: bool,  # noqa: FBT001
) -> None:
    """
    And get a new one otherwise, which is kept.
    """
    site.says("max-age=60")
    client()
    clock.now += 30
    assert is_hit is client(CACHE_CONTROL=wish).is_hit
    assert (b"1" if is_hit else b"2") == client().body


def test_a_client_may_take_a_stale_page(site: Site, client: Client, clock: Clock) -> None:
    """
    As long as it is there, and if the site has not forbidden that.
    """
    for path, said, is_hit in (("/a", "", True), ("/b", ", must-revalidate", False), ("/c", ", s-maxage=60", False)):
        site.says(f"max-age=60, stale-if-error=600{said}")
        client(path)
        clock.now += 70
        assert not client(path, CACHE_CONTROL="max-stale=9").is_hit
        client.purge(urls=[f"http://site{path}"])
        client(path)
        clock.now += 70
        assert is_hit is client(path, CACHE_CONTROL="max-stale").is_hit


def test_a_client_may_want_what_is_kept_or_nothing(site: Site, client: Client) -> None:
    """
    The application is not asked.
    """
    site.says("max-age=60")
    assert 504 == client(CACHE_CONTROL="only-if-cached").status
    assert [] == site.asked
    client()
    assert client(CACHE_CONTROL="only-if-cached").is_hit


def test_clients_need_not_be_obeyed(site: Site, opened: Opener) -> None:
    """
    Else any of them can have the application at work as often as he likes.
    """
    client = opened(obey_clients=False)
    site.says("max-age=60")
    client()
    for wish in ("no-cache", "max-age=0", "min-fresh=100"):
        assert client(CACHE_CONTROL=wish).is_hit
    assert client(PRAGMA="no-cache").is_hit


def test_a_stale_page_is_served_while_it_is_made_anew(site: Site, client: Client, clock: Clock) -> None:
    """
    Once for all who come meanwhile, and for no longer than the site said.
    """
    site.says("max-age=60, stale-while-revalidate=30")
    client()
    clock.now += 80
    stale = client(method="HEAD")
    assert (True, "80") == (stale.is_hit, stale.fields["age"])
    client.settle()
    assert [("GET", "/")] * 2 == site.asked
    assert (True, b"2") == (client().is_hit, client().body)
    clock.now += 90
    assert not client().is_hit


@pytest.mark.parametrize("trouble", [500, 502, 503, 504, "raises"])
def test_a_stale_page_is_better_than_an_error(
    site: Site, client: Client, clock: Clock, trouble: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    """
    For as long as the site said.
    """
    site.says("max-age=60, stale-if-error=600")
    client()

    def fail(_fields: Any, _count: int) -> Said:
        if isinstance(trouble, str):
            raise ZeroDivisionError
        return Said([], b"oh no, and more", trouble)

    site.page = fail
    clock.now += 600
    assert (200, b"1", "600") == (client().status, client().body, client().fields["age"])
    clock.now += 60
    if isinstance(trouble, str):
        with pytest.raises(ZeroDivisionError):
            client()
    else:
        assert (trouble, b"oh no, and more") == (client().status, client().body)


# What is dropped.


@pytest.mark.parametrize(
    ("method", "status", "dropped"),
    [
        ("POST", 200, True),
        ("PUT", 204, True),
        ("DELETE", 303, True),
        ("PATCH", 200, True),
        ("UNHEARD", 200, True),
        ("POST", 400, False),
        ("POST", 500, False),
        ("OPTIONS", 200, False),
    ],
)
def test_a_change_drops_all_pages_of_its_uri(
    site: Site,
    client: Client,
    method: str,
    status: int,
    dropped: bool,  # noqa: FBT001
) -> None:
    """
    Whatever they vary on; and those that its response names, of the same host. A failed one changes nothing.
    """
    paths = ["/a", "/b?x=1", "/c"]
    asked = [(path, language) for path in paths for language in ("de", "en")]
    site.says("max-age=60", vary="accept-language")
    for _ in range(2):
        for path, language in asked:
            client(path, ACCEPT_LANGUAGE=language)
    site.says("max-age=60", status=status, location="/b?x=1", content_location="http://elsewhere/c")
    client("/a", method)
    site.says("max-age=60", vary="accept-language")
    assert [not dropped] * 4 + [True] * 2 == [client(path, ACCEPT_LANGUAGE=language).is_hit for path, language in asked]


@pytest.mark.parametrize("drops", [{"urls": ["http://site/"]}, {"tags": "news"}], ids=["uri", "tag"])
def test_what_is_dropped_while_it_is_being_made_is_not_kept(site: Site, opened: Opener, drops: dict[str, Any]) -> None:
    """
    A page that was begun before a change, in whichever process, shows what was there before.
    """
    client = opened(url=f"memory://{uuid.uuid4().hex}")

    def page(_fields: Any, count: int) -> Said:
        if count == 1:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(_purge, client.url, drops).result()
        return Said([("cache-control", "max-age=60"), ("cache-tag", "news")], b"%d" % count)

    site.page = page
    assert [b"1", b"2", b"2"] == [client().body, client().body, client().body]


def test_what_was_made_after_a_change_is_not_replaced_by_what_was_made_before(site: Site, opened: Opener) -> None:
    """
    The change came while the first was made, and so did somebody who got, and kept, the new page.
    """
    client = opened(url=f"memory://{uuid.uuid4().hex}")

    def page(_fields: Any, count: int) -> Said:
        if count == 1:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(_change_and_read, client.url, site).result()
        return Said([("cache-control", "max-age=60")], b"%d" % count)

    site.page = page
    assert [b"1", b"3", b"3"] == [client().body, client().body, client().body]


def _change_and_read(url: str, site: Site) -> None:
    other = open_site("wsgi", site, url, clock=Clock())
    try:
        other(method="PUT")
        assert b"3" == other().body
    finally:
        other.close()


def _purge(url: str, drops: dict[str, Any]) -> None:
    with cachegrid.connect(url) as grid:
        wsgi.purge(grid.cache("pages"), **drops)


@pytest.mark.parametrize("field", [{"cache_tag": "menu, news"}, {"surrogate_key": "menu news"}], ids=str)
def test_a_purge_drops_what_has_a_tag(site: Site, client: Client, field: dict[str, Any]) -> None:
    """
    All of it, and nothing else.
    """
    site.says("max-age=60", **field)
    client("/tagged")
    site.says("max-age=60", cache_tag="other")
    client("/other")
    client.purge("news")
    assert [False, True] == [client(path).is_hit for path in ("/tagged", "/other")]
    client.purge(urls=["http://site/other"])
    assert not client("/other").is_hit


@pytest.mark.parametrize("host", ["site", "SITE", "site:80"])
@pytest.mark.parametrize("url", ["http://site/menu", "HTTP://Site:80/menu"])
def test_a_purge_drops_a_url_however_it_is_written(site: Site, client: Client, host: str, url: str) -> None:
    """
    One, or several in a list; it tells how many of them were known.
    """
    site.says("max-age=60")
    for urls in (url, [url, "http://site/other"]):
        client("/menu", HOST=host)
        assert client("/menu").is_hit
        assert 1 == client.purge(urls=urls)
        assert not client("/menu", HOST=host).is_hit
    assert 0 == client.purge(urls="http://site:8080/menu")
    assert client("/menu").is_hit


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({}, "tags is None; it must be said, or else urls"),
        ({"urls": "/menu"}, "a URL is '/menu'; it must be whole, such as https://shop.example/menu"),
        ({"urls": ["http://site/menu", "site/menu"]}, "a URL is 'site/menu'"),
        ({"urls": "site:80/menu"}, "a URL is 'site:80/menu'"),
        ({"tags": "news", "urls": ["//site/menu"]}, "a URL is '//site/menu'"),
    ],
)
def test_a_purge_of_what_is_no_url_drops_nothing_and_says_so(
    site: Site, client: Client, said: dict[str, Any], match: str
) -> None:
    """
    Neither do empty lists, which say nothing.
    """
    site.says("max-age=60", cache_tag="news")
    client("/menu")
    with pytest.raises(ConfigError, match=match):
        client.purge(**said)
    assert 0 == client.purge([], urls=[])
    assert client("/menu").is_hit


def test_a_purge_takes_a_cache_of_its_colour() -> None:
    """
    Of the other one it would drop nothing.
    """
    with cachegrid.connect("memory://") as grid, pytest.raises(ConfigError, match=r"aconnect\(\)"):
        asyncio.run(asgi.purge(grid.cache("pages"), "news"))  # type: ignore[arg-type]
    agrid = cachegrid.aconnect("memory://")
    for no_cache in (agrid.cache("pages"), agrid, "pages"):
        with pytest.raises(ConfigError, match=r"one of cachegrid.connect\(\)"):
            wsgi.purge(no_cache, "news")  # type: ignore[arg-type]


# Why not.


@pytest.mark.parametrize(
    ("said", "asked", "why"),
    [
        ({}, {}, "no lifetime"),
        ({"cache_control": "max-age=60", "status": 500}, {}, "status 500"),
        ({"cache_control": "max-age=60, private", "set_cookie": "id=1"}, {}, "set-cookie, private"),
        ({"cache_control": "max-age=60"}, {"COOKIE": "id=1"}, "the request shows who asks, and this is not public"),
        ({"cache_control": "max-age=60", "vary": "*"}, {}, "vary"),
        ({"cache_control": "max-age=60", "cache_tag": "x" * 256}, {}, "tags"),
        ({"cache_control": "max-age=60", "age": "60"}, {}, "its lifetime is over"),
        ({"expires": "x", "pragma": "no-cache"}, {}, "pragma"),
        ({"cache_control": "max-age=60", "content_length": "9"}, {}, "content-length"),
        ({"cache_control": "max-age=60", "body": b"x" * 1025}, {}, "max_body"),
    ],
)
def test_a_response_that_is_not_kept_says_why(
    site: Site, opened: Opener, said: dict[str, Any], asked: dict[str, str], why: str
) -> None:
    """
    Each time, whether it was known already or not.
    """
    client = opened(max_body="1KiB")
    site.says(**said)
    for _ in range(2):
        assert f'cachegrid; fwd=miss; detail="{why}"' == client(**asked).fields["cache-status"]


def test_what_passes_through_is_sent_as_it_came(site: Site, client: Client) -> None:
    """
    Nothing was looked for, and so there is nothing to tell.
    """
    site.says("max-age=60")
    for asked in ({"method": "POST"}, {"RANGE": "bytes=0-1"}, {"CACHE_CONTROL": "no-store"}):
        assert "cache-status" not in client(**asked).fields


# What is too large, and what goes wrong.


def test_a_large_body_is_passed_on(site: Site, opened: Opener) -> None:
    """
    Whole, and not kept.
    """
    client = opened(max_body="1KiB")
    for size, kept in ((1024, True), (1025, False)):
        site.says("max-age=60", body=b"1 " + b"x" * (size - 2))
        assert size == len(client(f"/{size}").body)
        assert kept is client(f"/{size}").is_hit


def test_an_error_reaches_the_server(site: Site, client: Client) -> None:
    """
    It is the application's, and nothing is kept of it.
    """

    def fail(_fields: Any, _count: int) -> Said:
        raise ZeroDivisionError("ours")

    site.page = fail
    with pytest.raises(ZeroDivisionError, match="ours"):
        client()
    site.says("max-age=60")
    assert is_kept(client)


def test_what_is_not_kept_is_handed_on_as_it_is() -> None:
    """
    A WSGI server sees the list, or the file, that the application gave.
    """
    given = [b"one part"]

    def app(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return given

    client = WsgiClient(app, "memory://", {})
    try:
        assert given is client.app(environ_of("/"), lambda *_said: lambda _part: None)
    finally:
        client.close()


def test_an_error_of_a_grid_is_the_applications_own(site: Site, client: Client) -> None:
    """
    It is not asked again because it could not reach a grid of its own.
    """

    def fail(_fields: Any, _count: int) -> Said:
        raise Unreachable("theirs")

    site.page = fail
    with pytest.raises(Unreachable, match="theirs"):
        client()
    assert 1 == len(site.asked)


def test_what_is_not_kept_is_asked_for_as_it_came(site: Site, client: Client) -> None:
    """
    So that an application that knows what a client has need not make it again.
    """
    site.says("private", etag='"a"')
    client()
    client(IF_NONE_MATCH='"a"')
    client("/other", IF_NONE_MATCH='"a"', COOKIE="id=1")
    assert ['"a"', '"a"'] == [fields["if-none-match"] for fields in site.seen[1:]]
    site.says("max-age=60", cache_tag="news")
    assert [False, False, True] == [client().is_hit for _ in range(3)]  # it is known after the first


def test_what_fails_on_its_way_is_not_kept(site: Site) -> None:
    """
    A WSGI application may take back how its response began.
    """

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("cache-control", "max-age=60")])
        yield b""
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oh", [("cache-control", "max-age=60")], sys.exc_info())
        yield b"oh"

    client = WsgiClient(app, "memory://", {})
    try:
        assert [(500, b"oh", False)] * 2 == [(got.status, got.body, got.is_hit) for got in (client(), client())]
    finally:
        client.close()


def test_the_site_goes_on_without_its_grid(
    site: Site, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The application is asked, once each time, and the log says why.
    """

    def fail(*_args: object, **_settings: object) -> Any:
        raise Unreachable("nobody answers")

    site.says("max-age=60")
    for method in ("get", "entry", "get_or_load", "delete_many"):
        for kind in (cachegrid.SyncCache, cachegrid.AsyncCache):
            monkeypatch.setattr(kind, method, fail)
        assert not client().is_hit
        assert 200 == client(method="POST").status
        monkeypatch.undo()
        client.purge(urls=["http://site/"])
    assert 8 == len(site.asked)
    assert 1 == caplog.text.count("Unreachable: nobody answers")  # the rest of a second is counted


def test_what_cannot_keep_pages_is_refused(site: Site) -> None:
    """
    A cache of the other colour, a codec that changes bytes, and what is no name.
    """
    with cachegrid.connect("memory://") as grid:
        with pytest.raises(ConfigError, match="aconnect"):
            asgi.CachedResponses(site.asgi, grid.cache("pages"))  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"connect\(\)"):
            wsgi.CachedResponses(site.wsgi, cachegrid.aconnect("memory://").cache("pages"))  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="codec"):
            wsgi.CachedResponses(site.wsgi, grid.cache("json", codec="json"))
        with pytest.raises(ConfigError, match="who"):
            wsgi.CachedResponses(site.wsgi, grid.cache("pages"), who="x-user")
