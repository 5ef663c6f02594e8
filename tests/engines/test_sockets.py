"""Members of this host are reached through their unix sockets by who finds the grid by its name."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachegrid
from cachegrid._sio.near import SyncNearCache
from cachegrid.engines.valkey.dialling import dial
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target
from cachegrid.errors import EngineError
from cachegrid.testing.certificates import make_certificates
from cachegrid.testing.loopback import LoopbackGrid
from tests.connect.test_members_change import keep
from tests.engines.servers import free_port

pytestmark = pytest.mark.grid


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackGrid]:
    """An owner with a replica."""
    with LoopbackGrid(owners=1, replicas=1) as grid:
        monkeypatch.setenv("CACHEGRID_STATE", str(grid.root))
        yield grid


def by_socket(grid: LoopbackGrid, index: int = 0) -> set[bool]:
    """Of the connections of programs that use a member, which kinds there are: by its unix socket or not."""
    with grid.admin(index) as admin:
        lines = [line for line in admin.text("CLIENT", "LIST").splitlines() if "resp=3" in line]
    return {"U" in flags[1] for line in lines if (flags := re.search(r" flags=(\S+)", line))}


def use(url: str) -> None:
    """A write and a read."""
    with cachegrid.connect(url) as client:
        client.cache("prices").set("a", 1)
        assert client.cache("prices").get("a") == 1


def renew(grid: LoopbackGrid) -> None:
    """All members die, and are started again."""
    grid.kill(1)  # the replica first: else it would take over
    grid.kill(0)
    grid.restart()


def test_by_its_name_a_grid_is_reached_through_sockets(grid: LoopbackGrid) -> None:
    """By a URL with a password through ports, as from other hosts."""
    with cachegrid.connect(grid.state.url) as client:
        client.cache("prices", near=True).set("a", 1)
        assert by_socket(grid) == {True}
    with cachegrid.connect(grid.url) as client:
        client.cache("prices", near=True).set("a", 1)
        assert by_socket(grid) == {False}


async def test_tasks_go_the_same_way(grid: LoopbackGrid) -> None:
    """And back to it, when the member was away."""
    async with cachegrid.aconnect(grid.state.url, config=cachegrid.Settings()) as client:
        prices = client.cache("prices")
        await prices.set("a", 1)
        await asyncio.to_thread(renew, grid)
        await prices.set("a", 2)
        assert await prices.get("a") == 2
        assert await asyncio.to_thread(by_socket, grid) == {True}


def test_news_that_came_by_a_socket_comes_by_the_port_when_that_is_gone(grid: LoopbackGrid) -> None:
    """Copies that it guarded are given up, and those that are made from then on are told of changes again."""
    with cachegrid.connect(grid.state.url) as mine, cachegrid.connect(grid.state.url) as theirs:
        cache, other = mine.cache("prices", near=True), theirs.cache("prices")
        assert isinstance(cache, SyncNearCache)
        other.set("a", "1")
        keep(grid, cache, ["a"])
        guard = cache._space.table["a"].guard
        grid.state.members[0].socket.unlink()
        with grid.admin(0) as admin:
            for line in admin.text("CLIENT", "LIST").splitlines():
                if "resp=3" in line:
                    admin.run("CLIENT", "KILL", "ID", line.split()[0].removeprefix("id="))
        grid.wait_for(lambda: guard.heard < 0)
        other.set("a", "2")
        assert cache.get("a") == "2"
        keep(grid, cache, ["a"])
        assert by_socket(grid) == {False}
        other.set("a", "3")
        grid.wait_for(lambda: cache.get("a") == "3")


def test_one_that_has_none_is_reached_at_its_port(grid: LoopbackGrid) -> None:
    """Such as one that an older version has started; nobody notices."""
    grid.state.members[0].socket.unlink()
    with cachegrid.connect(grid.state.url) as client:
        client.cache("prices").set("a", 1)
        assert by_socket(grid) == {False}

    async def use_it() -> None:
        async with cachegrid.aconnect(grid.state.url, config=cachegrid.Settings()) as client:
            await client.cache("prices").set("a", 1)
            assert await asyncio.to_thread(by_socket, grid) == {False}

    asyncio.run(use_it())


def test_a_socket_is_its_users_alone(grid: LoopbackGrid) -> None:
    """As all that is in the folder of a grid."""
    assert {member.socket.stat().st_mode & 0o777 for member in grid.state.members} == {0o700}
    assert grid.state.folder.stat().st_mode & 0o777 == 0o700


def test_what_stays_on_the_host_needs_no_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is asked for all the same."""
    with LoopbackGrid(owners=1, replicas=0, tls=make_certificates(tmp_path)) as grid:
        monkeypatch.setenv("CACHEGRID_STATE", str(grid.root))
        with cachegrid.connect(grid.state.url) as client:
            client.cache("prices").set("a", 1)
            assert by_socket(grid) == {True}
        stranger = f"unix://{grid.state.members[0].socket}"
        with pytest.raises(EngineError, match="password"):
            use(stranger)


def test_a_silent_socket_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    """Its port would be silent, too, for as long again."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening, socket.create_server(("127.0.0.1", free_port())) as port:
        listening.bind(path)
        listening.listen(0)
        endpoint = Endpoint(*port.getsockname())
        target = Target(seeds=(endpoint,), sockets={endpoint: path})
        with dial(endpoint, target, 1.0) as first:
            assert first.family == socket.AF_UNIX
            with pytest.raises((BlockingIOError, TimeoutError)):
                dial(endpoint, target, 0.05)


@pytest.mark.parametrize("path", ["/nowhere/socket", "/" + "long" * 50], ids=["missing", "too long"])
def test_where_the_path_is_of_no_use_the_port_is_taken(path: str) -> None:
    """Whatever the reason."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        endpoint = Endpoint(*port.getsockname())
        target = Target(seeds=(endpoint,), sockets={endpoint: path})
        with dial(endpoint, target, 1.0) as found:
            assert found.family == socket.AF_INET
