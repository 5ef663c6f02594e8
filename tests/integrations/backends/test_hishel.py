"""Responses of other servers, kept for hishel: a real server, real clients, and a grid of three owners."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import requests
from hishel import AsyncBaseStorage, BaseStorage, Headers, Request, Response
from hishel.httpx import AsyncCacheTransport, CacheTransport
from hishel.requests import CacheAdapter

import cachegrid
from cachegrid import SyncCache, SyncGrid
from cachegrid.integrations.hishel import AsyncGridStorage, SyncGridStorage
from tests.integrations.backends import jobs
from tests.integrations.backends.origin import Origin

pytestmark = pytest.mark.grid


class Answer(NamedTuple):
    """What a client got, and whether out of the cache."""

    text: str
    is_cached: bool


Get = Callable[..., Answer]


@pytest.fixture
def origin() -> Iterator[Origin]:
    """The server."""
    with Origin() as origin:
        yield origin


@pytest.fixture
def grid(url: str) -> Iterator[SyncGrid]:
    """The grid, as this test looks at it."""
    with cachegrid.connect(url) as grid:
        yield grid


@pytest.fixture
def cache(grid: SyncGrid, name: str) -> SyncCache:
    """Where responses are kept."""
    return grid.cache(name)


@pytest.fixture(params=["httpx", "httpx, async", "requests"])
def get(request: pytest.FixtureRequest, url: str, cache: SyncCache, origin: Origin) -> Iterator[Get]:
    """Asks the server for a path, as one of the clients; with headers."""
    makers: dict[str, Callable[[BaseStorage], Any]] = {"httpx": _httpx, "requests": _requests}
    if request.param in makers:
        with makers[request.param](SyncGridStorage(cache)) as client:
            yield lambda path, **headers: _answer(client.get(origin.url + path, headers=headers))
        return
    with asyncio.Runner() as runner:
        client, close = runner.run(_awaited(url, cache.name))
        yield lambda path, **headers: _answer(runner.run(client.get(origin.url + path, headers=headers)))
        runner.run(close())


def _httpx(storage: BaseStorage) -> httpx.Client:
    return httpx.Client(transport=CacheTransport(httpx.HTTPTransport(), storage, rfc=True))


def _requests(storage: BaseStorage) -> requests.Session:
    session = requests.Session()
    session.mount("http://", CacheAdapter(storage=storage, rfc=True))
    return session


async def _awaited(url: str, name: str) -> tuple[httpx.AsyncClient, Callable[[], Any]]:
    grid = await cachegrid.aconnect(url)
    storage = AsyncGridStorage(grid.cache(name))
    client = httpx.AsyncClient(transport=AsyncCacheTransport(httpx.AsyncHTTPTransport(), storage, rfc=True))

    async def close() -> None:
        await client.aclose()
        await grid.aclose()

    return client, close


def _answer(response: Any) -> Answer:
    assert response.ok if isinstance(response, requests.Response) else response.is_success
    if isinstance(response, requests.Response):
        return Answer(response.text, response.headers["X-Hishel-From-Cache"] == "true")
    return Answer(response.text, response.extensions["caching"]["from_cache"])


def test_a_response_is_kept_as_http_says(get: Get, origin: Origin) -> None:
    """
    For its age, or not at all.
    """
    assert [Answer("/fresh  1", False), Answer("/fresh  1", True)] == [get("/fresh"), get("/fresh")]
    assert [Answer("/private  1", False), Answer("/private  2", False)] == [get("/private"), get("/private")]
    assert {"/fresh 200": 1, "/private 200": 2} == origin.asked


def test_what_has_aged_is_asked_for_again_and_kept_on(get: Get, origin: Origin, cache: SyncCache) -> None:
    """
    A 304 gives it other headers; it ends when it would have.
    """
    first = get("/known")
    ends = [entry.expires for entry in _entries(cache)]
    assert first.text == get("/known").text == get("/known").text
    assert {"/known 200": 1, "/known 304": 2} == origin.asked
    after = [entry.expires for entry in _entries(cache)]
    assert 2 == len(ends) == len(after)
    assert max(abs((one - other).total_seconds()) for one, other in zip(ends, after, strict=True)) < 0.5


def test_each_language_is_kept(get: Get, origin: Origin, cache: SyncCache) -> None:
    """
    Side by side, and of what was asked no more than that.
    """
    german, english = {"Accept-Language": "de"}, {"Accept-Language": "en"}
    texts = [get("/spoken", Cookie="secret=1", **it).text for it in (german, english, german, english)]
    assert ["/spoken de 1", "/spoken en 2"] * 2 == texts
    assert {"/spoken 200": 2} == origin.asked
    kept = [value for value in cache.values() if isinstance(value, tuple)]
    assert [{"accept-language": ["de"]}, {"accept-language": ["en"]}] == sorted((it[2] for it in kept), key=str)


def test_all_of_a_host_is_dropped_by_its_tag(get: Get, origin: Origin, cache: SyncCache) -> None:
    """
    For all processes.
    """
    get("/fresh")
    cache.invalidate(tags="another.example.org")
    assert get("/fresh").is_cached
    cache.invalidate(tags="127.0.0.1")
    assert Answer("/fresh  2", False) == get("/fresh")


def test_other_processes_share(url: str, cache: SyncCache, origin: Origin) -> None:
    """
    What one has asked for nobody asks for again.
    """
    with _httpx(SyncGridStorage(cache)) as client:
        assert Answer("/fresh  1", False) == _answer(client.get(f"{origin.url}/fresh"))
    assert ["/fresh  1", True] == jobs.begin(jobs.fetch, url, cache.name, f"{origin.url}/fresh").result()
    assert {"/fresh 200": 1} == origin.asked


def test_an_outage_costs_no_request(url: str, name: str, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    """
    It is logged, and the server is asked.
    """
    grid = cachegrid.connect(url)
    storage = SyncGridStorage(grid.cache(name))
    grid.close()
    with _httpx(storage) as client:
        assert ["/fresh  1", "/fresh  2"] == [client.get(f"{origin.url}/fresh").text for _ in range(2)]
    storage.update_headers(_drafted(storage).id, Headers({}))
    storage.remove_entry(_drafted(storage).id)
    assert 6 == len(caplog.records)
    with asyncio.Runner() as runner:
        runner.run(_closed_storage_serves(url, name))


async def _closed_storage_serves(url: str, name: str) -> None:
    grid = await cachegrid.aconnect(url)
    storage = AsyncGridStorage(grid.cache(name))
    await grid.aclose()
    assert [] == await storage.get_entries("k")
    made = await storage.create_entry(Request("GET", "http://a/"), Response(200, stream=_pieces()), "k")
    assert made.response.stream is not None
    assert b"ab" == b"".join([part async for part in made.response.stream])  # type: ignore[union-attr] # an async one


async def _pieces() -> Any:
    yield b"a"
    yield b"b"


def test_what_is_too_large_or_was_not_read_to_its_end_is_not_kept(cache: SyncCache, origin: Origin) -> None:
    """
    It is passed on all the same.
    """
    with _httpx(SyncGridStorage(cache, max_stream_size=99_999)) as client:
        assert [100_000, 100_000] == [len(client.get(f"{origin.url}/large").content) for _ in range(2)]
    with _httpx(SyncGridStorage(cache, max_stream_size=None)) as client:
        with client.stream("GET", f"{origin.url}/large") as response:
            assert next(response.iter_bytes(10)) == 10 * b"x"
        assert {"/large 200": 3} == origin.asked
        assert [] == list(cache)
        assert [100_000, 100_000] == [len(client.get(f"{origin.url}/large").content) for _ in range(2)]
    assert {"/large 200": 4} == origin.asked


def _drafted(storage: SyncGridStorage, **times: float) -> Any:
    return storage.create_entry(
        Request("GET", "http://a.example/"), Response(200, stream=iter([b"body"])), "k", **times
    )


@pytest.mark.parametrize(
    ("said", "ttl", "idle"),
    [({}, 3600, None), ({"ttl": 60}, 60, None), ({"tti": 9}, 3600, 9), ({"ttl": 60, "tti": 9}, 60, 9)],
)
def test_times(cache: SyncCache, said: dict[str, float], ttl: float, idle: float | None) -> None:
    """
    Of a response, and of the index that names it; other headers leave them as they are.
    """
    storage = SyncGridStorage(cache)
    made = _drafted(storage, **said)
    assert b"body" == b"".join(made.response.stream)
    storage.update_headers(made.id, Headers({"x": "1"}))
    for entry in _entries(cache):
        assert idle == (entry.idle and entry.idle.total_seconds())
        assert abs((entry.expires - entry.created).total_seconds() - min(ttl, idle or ttl)) < 1
    (response,) = [value for value in cache.values() if isinstance(value, tuple)]
    (index,) = [value for value in cache.values() if isinstance(value, dict)]
    assert [response[-1]] == list(index.values())
    assert ttl - 2 < response[-1][0] - time.time() <= ttl


def test_an_index_lives_as_long_as_anything_in_it(cache: SyncCache) -> None:
    """
    And names nothing that has ended.
    """
    storage = SyncGridStorage(cache, default_ttl=None)
    for times in ({"ttl": 0.05}, {"ttl": 60, "tti": 5}, {"ttl": 600}):
        b"".join(_drafted(storage, **times).response.stream)
    while 2 != len(storage.get_entries("k")):
        pass
    b"".join(_drafted(storage).response.stream)
    (index,) = [entry for entry in _entries(cache) if isinstance(entry.value, dict)]
    assert (None, None, 3) == (index.expires, index.idle, len(index.value))


def test_a_response_that_varies_by_something_else_is_dropped(cache: SyncCache) -> None:
    """
    What it was asked with is not known.
    """
    storage = SyncGridStorage(cache)
    made = _drafted(storage)
    b"".join(made.response.stream)
    storage.update_headers(made.id, Headers({"x": "1"}))
    entry: Any
    (entry,) = storage.get_entries("k")
    assert (made.id, "1", b"body") == (entry.id, entry.response.headers["x"], b"".join(entry.response.stream))
    storage.update_headers(made.id, Headers({"vary": "Accept"}))
    assert [] == storage.get_entries("k")
    storage.update_headers(made.id, Headers({}))
    storage.remove_entry(made.id)


def test_both_colours_are_storages() -> None:
    """
    Which is what hishel asks for.
    """
    assert issubclass(SyncGridStorage, BaseStorage)
    assert issubclass(AsyncGridStorage, AsyncBaseStorage)


def _entries(cache: SyncCache) -> list[Any]:
    return [entry for key in cache if (entry := cache.entry(key)) is not None]
