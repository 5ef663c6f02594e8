"""The other clients, each loaded only when it is opened: one that is not installed fails alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from cachegrid.bench.load import Calls, Load
from cachegrid.cluster import GridState

__all__ = [
    "Opener",
    "aopen_coredis",
    "aopen_glide",
    "aopen_redis_py",
    "aopen_valkey_py",
    "open_glide",
    "open_redis_py",
    "open_valkey_py",
    "open_valkey_py_alone",
]

Opener: TypeAlias = Callable[[GridState, Load], AbstractAsyncContextManager[Calls]]


@asynccontextmanager
async def open_valkey_py(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """valkey-py; it finds libvalkey, which we need ourselves, and parses with it."""
    from valkey import ValkeyCluster

    client: Any = ValkeyCluster(**_seed(state))
    try:
        yield Calls(client.get, client.set, client.mget_nonatomic, load.value)
    finally:
        client.close()


@asynccontextmanager
async def open_valkey_py_alone(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """valkey-py as it is where libvalkey is not installed: its own parser, in Python."""
    from valkey import ValkeyCluster
    from valkey._parsers import _RESP2Parser
    from valkey.cluster import ClusterParser

    class Parser(_RESP2Parser):
        EXCEPTION_CLASSES = ClusterParser.EXCEPTION_CLASSES

    class Cluster(ValkeyCluster):
        def on_connect(self, connection: Any) -> None:
            connection.set_parser(Parser)
            connection.on_connect()

    client: Any = Cluster(**_seed(state))
    try:
        yield Calls(client.get, client.set, client.mget_nonatomic, load.value)
    finally:
        client.close()


@asynccontextmanager
async def open_redis_py(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """redis-py; with hiredis where that is installed."""
    from redis import RedisCluster

    client: Any = RedisCluster(**_seed(state))
    try:
        yield Calls(client.get, client.set, client.mget_nonatomic, load.value)
    finally:
        client.close()


@asynccontextmanager
async def aopen_valkey_py(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """valkey-py, awaited."""
    from valkey.asyncio import ValkeyCluster

    client: Any = ValkeyCluster(**_seed(state))
    try:
        yield Calls(client.get, client.set, client.mget_nonatomic, load.value)
    finally:
        await client.aclose()


@asynccontextmanager
async def aopen_redis_py(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """redis-py, awaited."""
    from redis.asyncio import RedisCluster

    client: Any = RedisCluster(**_seed(state))
    try:
        yield Calls(client.get, client.set, client.mget_nonatomic, load.value)
    finally:
        await client.aclose()


@asynccontextmanager
async def open_glide(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """valkey-glide in its sync form; it splits MGET by slot itself."""
    import glide_sync as glide

    client: Any = glide.GlideClusterClient.create(_glide_settings(glide, state))
    try:
        yield Calls(client.get, client.set, client.mget, load.value)
    finally:
        client.close()


@asynccontextmanager
async def aopen_glide(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """valkey-glide, awaited."""
    import glide

    client: Any = await glide.GlideClusterClient.create(_glide_settings(glide, state))
    try:
        yield Calls(client.get, client.set, client.mget, load.value)
    finally:
        await client.close()


@asynccontextmanager
async def aopen_coredis(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """coredis. Its MGET asks slot by slot; a pipeline takes a third of that."""
    from coredis import RedisCluster
    from coredis.connection import TCPLocation

    seeds = [TCPLocation(member.host, member.port) for member in state.members]
    async with RedisCluster(startup_nodes=seeds, password=state.password) as client:

        async def get_many(keys: list[str]) -> list[Any]:
            async with client.pipeline() as pipeline:
                replies = [pipeline.get(key) for key in keys]
            return [await reply for reply in replies]

        yield Calls(client.get, client.set, get_many, load.value)


def _seed(state: GridState) -> dict[str, Any]:
    return {"host": state.members[0].host, "port": state.members[0].port, "password": state.password}


def _glide_settings(glide: Any, state: GridState) -> Any:
    glide.Logger.init(glide.LogLevel.OFF)  # it would write into the report when it retries
    return glide.GlideClusterClientConfiguration(
        [glide.NodeAddress(member.host, member.port) for member in state.members],
        credentials=glide.ServerCredentials(password=state.password),
    )
