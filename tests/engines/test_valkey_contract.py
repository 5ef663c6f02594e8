"""The Valkey engine is an engine, in both colours, on every kind of server that it is made for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from blockbuster import blockbuster_ctx

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.url import parse
from cachegrid.testing import AsyncEngineContract, SyncEngineContract
from cachegrid.testing.certificates import make_certificates
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines._aio.opened import hurry as hurry_async
from tests.engines._sio.opened import hurry as hurry_sync
from tests.engines.servers import Server, redis

pytestmark = pytest.mark.grid


@contextmanager
def valkey_server() -> Iterator[str]:
    """One Valkey server."""
    with Server() as server:
        yield server.url()


@contextmanager
def valkey_socket() -> Iterator[str]:
    """One Valkey server, at a unix socket."""
    with Server() as server:
        yield f"unix://{server.socket}"


@contextmanager
def redis_server() -> Iterator[str]:
    """One Redis 7 server."""
    with Server(redis()) as server:
        yield server.url()


@contextmanager
def redis_with_tls() -> Iterator[str]:
    """One Redis 7 server for clients with a certificate, where only a user with a password may do anything."""
    with Server(redis(), users=["default on nopass ~* +ping", "app on >s%crt ~* &* +@all"]) as server:
        files = make_certificates(server.folder / "tls")
        server.settings |= {
            "port": 0,
            "tls-port": server.port,
            "tls-ca-cert-file": files.ca,
            "tls-cert-file": files.cert,
            "tls-key-file": files.key,
            "tls-auth-clients": "yes",
        }
        server.restart()
        options = f"?ca={files.ca}&cert={files.cert}&key={files.key}"
        yield server.url("app:s%25crt", options, scheme="valkeys")


@contextmanager
def valkey_cluster() -> Iterator[str]:
    """A Valkey cluster of 3 owners with a replica each."""
    with LoopbackGrid(owners=3, replicas=1) as grid:
        yield grid.url


@contextmanager
def valkey_alone() -> Iterator[str]:
    """A Valkey cluster of one member, that tells where it is to those who come by its socket."""
    with (
        TemporaryDirectory(prefix="cg-", dir="/tmp") as folder,
        LoopbackGrid(owners=1, replicas=0, settings={"unixsocket": f"{folder}/socket"}) as grid,
    ):
        yield f"unix://:{quote(grid.state.password)}@{folder}/socket"


@contextmanager
def redis_cluster() -> Iterator[str]:
    """A Redis 7 cluster of 2 owners with a replica each."""
    with LoopbackGrid(owners=2, replicas=1, server=redis()) as grid:
        yield grid.url


@pytest.fixture(scope="module")
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a grid that is there for these tests alone."""
    with request.param() as url:
        yield url


def on(*kinds: Callable[[], AbstractContextManager[str]]) -> pytest.MarkDecorator:
    """Runs the contract on these kinds of grids."""
    return pytest.mark.parametrize("url", kinds, indirect=True, scope="module", ids=lambda kind: kind.__name__)


@on(valkey_server, valkey_alone, valkey_cluster, redis_with_tls, redis_cluster)
class TestAsyncValkey(AsyncEngineContract):
    url: str
    replicas: int

    async def open_engine(self) -> AsyncValkeyEngine:
        """One more on the same grid."""
        return await open_async(self.url)

    async def open_cut_off(self) -> AsyncValkeyEngine:
        """One whose server died after it was found."""
        server = await asyncio.to_thread(Server)
        engine = await open_async(server.url())
        await asyncio.to_thread(server.close)
        hurry_async(engine, 0.05)
        return engine

    @pytest.fixture(autouse=True)
    def _on(self, url: str) -> Iterator[None]:
        self.url, self.replicas = url, replicas_at(url)
        with blockbuster_ctx("cachegrid"):
            yield


@on(redis_server, valkey_socket, valkey_cluster, redis_with_tls, redis_cluster)
class TestSyncValkey(SyncEngineContract):
    url: str
    replicas: int

    def open_engine(self) -> SyncValkeyEngine:
        """One more on the same grid."""
        return open_sync(self.url)

    def open_cut_off(self) -> SyncValkeyEngine:
        """One whose server died after it was found."""
        with Server() as server:
            engine = open_sync(server.url())
        hurry_sync(engine, 0.05)
        return engine

    @pytest.fixture(autouse=True)
    def _on(self, url: str) -> None:
        self.url, self.replicas = url, replicas_at(url)


def replicas_at(url: str) -> int:
    """How many replicas each owner has; where there are some, each of their grids has one."""
    return int("," in url)


async def open_async(url: str) -> AsyncValkeyEngine:
    """An engine on a grid; to be closed by the caller."""
    engine = AsyncValkeyEngine(parse(url, timeout=5))
    await engine.open()
    return engine


def open_sync(url: str) -> SyncValkeyEngine:
    """An engine on a grid; to be closed by the caller."""
    engine = SyncValkeyEngine(parse(url, timeout=5))
    engine.open()
    return engine
