"""Several servers on one real grid: each has connections, near copies and waiting requests of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.http.site import AsgiClient, Reply, Said, Site, WsgiClient, open_site

pytestmark = pytest.mark.grid
ASKED = 8


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackGrid(owners=1, replicas=0) as grid:
        yield grid.url


@pytest.fixture(params=[False, True], ids=["plain", "near"])
def clients(
    request: pytest.FixtureRequest, url: str, colour: str, site: Site
) -> Iterator[list[WsgiClient | AsgiClient]]:
    """Two servers of one site."""
    with contextlib.ExitStack() as ends:
        made = [open_site(colour, site, url, {"near": request.param}) for _ in range(2)]
        for client in made:
            ends.callback(client.close)
        yield made
        made[0].clear()


def ask_all(client: WsgiClient | AsgiClient, times: int) -> list[Reply]:
    """What so many requests get that come at once."""
    if isinstance(client, AsgiClient):
        return client.many([{}] * times)
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(lambda _: client(), range(times)))


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that others do; fail if they do not."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_server_makes_a_page_for_all(clients: list[WsgiClient | AsgiClient], site: Site) -> None:
    """
    However many requests come to however many servers at once.
    """
    begun = threading.Semaphore(0)

    def page(_fields: Any, count: int) -> Said:
        for _ in range(2):
            begun.acquire(timeout=10)  # the requests of both are on their way
        return Said([("cache-control", "max-age=60"), ("cache-tag", "news")], b"%d" % count)

    def ask(client: WsgiClient | AsgiClient) -> list[Reply]:
        begun.release()
        return ask_all(client, ASKED)

    site.page = page
    with ThreadPoolExecutor(2) as pool:
        replies = [reply for got in pool.map(ask, clients) for reply in got]
    assert [b"1"] * 2 * ASKED == [reply.body for reply in replies]
    assert 2 * ASKED - 1 == sum(reply.is_hit for reply in replies)


def test_what_is_not_kept_is_made_for_each(clients: list[WsgiClient | AsgiClient], site: Site) -> None:
    """
    Those who waited for somebody else's ask for themselves.
    """
    site.says("private, max-age=60")
    with ThreadPoolExecutor(2) as pool:
        replies = [reply for got in pool.map(lambda client: ask_all(client, ASKED), clients) for reply in got]
    assert 2 * ASKED == len({reply.body for reply in replies})


@pytest.mark.parametrize("drops", ["change", "tag", "url"])
def test_what_one_server_drops_is_gone_for_all(clients: list[WsgiClient | AsgiClient], site: Site, drops: str) -> None:
    """
    At once, or as soon as its near copies hear of it.
    """
    one, other = clients
    site.says("max-age=60", cache_tag="news")
    one()
    until(lambda: other().is_hit and one().is_hit)
    if drops == "change":
        one(method="PUT")
    elif drops == "tag":
        one.purge("news")
    else:
        one.purge(urls=["http://site/"])
    assert not one().is_hit
    until(lambda: b"1" != other().body)


class Counted:
    """A site whose page is the number of changes, which takes a moment to make."""

    def __init__(self) -> None:
        self.number = self.done = 0

    def __call__(self, _fields: Any, _count: int) -> Said:
        number = self.number
        time.sleep(0.005)  # in which it may change
        return Said([("cache-control", "max-age=60"), ("cache-tag", "news")], b"%d" % number)


@pytest.mark.parametrize("colour", ["wsgi"])
@pytest.mark.parametrize("clients", [False], indirect=True, ids=["plain"])
@pytest.mark.parametrize("way", ["change", "purge"])
def test_no_reader_sees_what_was_before_a_change(clients: list[WsgiClient], site: Site, way: str) -> None:
    """
    From the moment that the writer has been told that it is done, however many are at it.
    """
    counted = site.page = Counted()
    has_ended = threading.Event()

    def read(client: WsgiClient) -> int:
        late = 0
        for _ in range(30):
            done = counted.done
            late += int(client().body) < done
        return late

    def write() -> None:
        while not has_ended.is_set():
            counted.number += 1
            if way == "change":
                clients[0](method="PUT")
            else:
                clients[0].purge("news")
            counted.done = counted.number
            has_ended.wait(0.002)

    with ThreadPoolExecutor(9) as pool:
        writer = pool.submit(write)
        try:
            late = sum(pool.map(read, clients * 4))
        finally:
            has_ended.set()
        writer.result()
    assert 0 == late
    assert counted.done > 1
