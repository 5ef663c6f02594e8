"""Sites behind the middleware of either colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from tests.integrations.http.site import AsgiClient, Clock, Site, WsgiClient, open_site

Opener: TypeAlias = Callable[..., WsgiClient | AsgiClient]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["wsgi", "asgi"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(colour: str, site: Site, clock: Clock) -> Iterator[Opener]:
    """Opens the site; all clients of one URL share its grid."""
    clients: list[WsgiClient | AsgiClient] = []

    def open_it(**settings: Any) -> WsgiClient | AsgiClient:
        clients.append(open_site(colour, site, **{"clock": clock, **settings}))
        return clients[-1]

    yield open_it
    for client in clients:
        client.close()


@pytest.fixture
def client(opened: Opener) -> WsgiClient | AsgiClient:
    return opened()
