"""Which grid `connect` finds: the one by URL, by name, the one that runs here, else one that it starts."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid import cluster
from cachegrid.cluster.state import state_root
from cachegrid.config import Settings
from cachegrid.engines.memory import AsyncMemoryEngine, SyncMemoryEngine
from cachegrid.errors import (
    AccessDenied,
    ConfigError,
    EngineError,
    GridError,
    GridNotFound,
    ServerMissing,
    Unreachable,
)
from cachegrid.opening import locate

real_grid = pytest.mark.grid


@pytest.fixture
def started(state_folder: Path) -> Iterator[Any]:
    """Starts one-member grids by name, in the test's own state folder; ends all that are there afterwards."""
    yield lambda name: cluster.start(name, owners=1, replicas=0)
    for grid in cluster.running():
        cluster.stop(grid.name, purge=True)


@pytest.fixture(autouse=True)
def _no_settings_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@real_grid
def test_with_nothing_running_one_is_started_and_shared(started: Any) -> None:
    """
    A grid of one member, that the next `connect` of any colour finds.
    """
    with cachegrid.connect() as grid:
        assert "default" == grid.name
        assert [("owner", True)] == [(member.role, member.up) for member in grid.members()]
        grid.cache("prices")["key"] = 1
        with cachegrid.connect() as again:
            assert (grid.url, 1) == (again.url, again.cache("prices")["key"])

        async def main() -> Any:
            async with cachegrid.aconnect() as other:
                return await other.cache("prices").get("key")

        assert 1 == asyncio.run(main())
    assert ["default"] == [state.name for state in cluster.running()]
    with cachegrid.connect() as later:
        assert 1 == later.cache("prices")["key"]


@real_grid
def test_the_default_grid_before_others(started: Any) -> None:
    """
    The one called "default", else the only one that runs; of several none is chosen, and all are named.
    """
    started("orders")
    with cachegrid.connect() as grid:
        assert "orders" == grid.name
    started("users")
    with pytest.raises(
        GridError, match=r"several grids run here \(orders, users\); say which one with name=, or CACHEGRID_NAME"
    ):
        cachegrid.connect()
    started("default")
    with cachegrid.connect() as grid:
        assert "default" == grid.name


@real_grid
def test_a_grid_of_one_member_that_died_is_no_default(started: Any) -> None:
    """
    A program may have started it once, before the host was restarted: another that runs is meant, and else it.
    """
    cluster.kill(started("default"), 0)
    started("shop")
    with cachegrid.connect() as grid:
        assert "shop" == grid.name
    cluster.stop("shop", purge=True)
    with cachegrid.connect() as grid:
        assert "default" == grid.name


@real_grid
def test_a_grid_by_name(started: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    Said by an argument, in the environment or in a file; whichever else runs.
    """
    for name in ("orders", "users"):
        started(name)
    with cachegrid.connect(name="orders") as grid:
        assert "orders" == grid.name
    with cachegrid.connect(config={"name": "users"}) as grid:
        assert "users" == grid.name
    (tmp_path / "cachegrid.toml").write_text('name = "users"\n')
    with cachegrid.connect() as grid:
        assert "users" == grid.name
    monkeypatch.setenv("CACHEGRID_NAME", "orders")
    with cachegrid.connect() as grid:
        assert "orders" == grid.name
    with pytest.raises(
        GridNotFound, match=r"no grid named 'prices' .* \(running are: orders, users\); .*--name prices"
    ):
        cachegrid.connect(name="prices")


@real_grid
def test_a_grid_of_this_host_named_in_a_url(started: Any) -> None:
    """
    `?grid=NAME` takes the password from the grid's own file.
    """
    state = started("orders")
    with cachegrid.connect(f"valkey://127.0.0.1:{state.members[0].port}?grid=orders") as grid:
        grid.cache("prices")["key"] = 1
        assert ("orders", 1) == (grid.name, grid.cache("prices")["key"])
    with pytest.raises(GridNotFound, match=f"no grid named 'users' runs on this host, of those kept in {state_root()}"):
        cachegrid.connect("valkey://127.0.0.1?grid=users")


@real_grid
def test_a_url_that_means_another_grid_than_it_names(started: Any) -> None:
    """
    Is refused: without the TLS that the grid has or has not, or with the address of none of its members.
    """
    state = started("orders")
    member = state.members[0]
    for place in (f"localhost:{member.port}", f"gone.invalid:{member.port},127.0.0.1:{member.port}"):
        locate(cachegrid.Settings(url=f"valkey://{place}?grid=orders"))
    locate(cachegrid.Settings(url=f"valkey+unix://{member.socket}?grid=orders"))
    with pytest.raises(ConfigError, match=r"must be valkey://, since grid 'orders' of this host is not secured with"):
        cachegrid.connect(f"valkeys://127.0.0.1:{member.port}?grid=orders")
    for wrong in ("127.0.0.1:1", f"gone.invalid:{member.port}", f"10.255.255.1:{member.port}"):
        with pytest.raises(ConfigError, match=r"with the address of a member of grid 'orders' of this host, which"):
            cachegrid.connect(f"valkey://{wrong}?grid=orders")
    with pytest.raises(ConfigError, match="without a user or a password: grid=orders takes that from"):
        cachegrid.connect(state.full_url + "?grid=orders")


@real_grid
def test_the_times_of_such_a_url_are_heeded(started: Any) -> None:
    """
    As of one with a password.
    """
    state = started("orders")
    place = locate(cachegrid.Settings(url=f"{state.url}&timeout=300ms&patience=2s"))
    assert place.target is not None
    assert (0.3, 0.3) == (place.target.timeout, place.target.patience)


@real_grid
def test_a_url_shows_no_password(started: Any) -> None:
    """
    Neither the grid's URL nor an error.
    """
    state = started("orders")
    password = state.full_url.rpartition("@")[0].rpartition(":")[2]
    with cachegrid.connect(state.full_url) as grid:
        assert password not in grid.url
    wrong = state.full_url.replace(password, "hush-hush")
    with pytest.raises(AccessDenied) as caught:
        cachegrid.connect(wrong)
    assert "hush-hush" not in str(caught.value)


@real_grid
def test_a_started_grid_signs_pickles(started: Any) -> None:
    """
    With a secret of its own, that all who connect to it have; one that the settings say goes before it.
    """
    state = started("orders")
    with cachegrid.connect(name="orders") as one, cachegrid.connect(name="orders") as two:
        one.cache("blobs", codec="pickle")["key"] = {1: "x"}
        assert {1: "x"} == two.cache("blobs", codec="pickle")["key"]
    with cachegrid.connect(name="orders", config={"secret": "x" * 32}) as other:
        assert None is other.cache("blobs", codec="pickle").get("key")
    with cachegrid.connect(state.full_url) as bare, pytest.raises(ConfigError, match="secret"):
        bare.cache("blobs", codec="pickle").get("key")


@real_grid
def test_a_grid_that_went_away(started: Any) -> None:
    """
    A call that finds no member is an error within its deadline, and never a miss.
    """
    started("orders")
    with cachegrid.connect(name="orders", config={"timeout": "300ms"}) as grid:
        cache = grid.cache("prices")
        cache["key"] = 1
        cluster.stop("orders")
        for call in (lambda: cache.get("key"), lambda: cache.set("key", 1), cache.clear):
            with pytest.raises(EngineError):
                call()


def test_nothing_at_a_url() -> None:
    """
    The error says where, and what to look at.
    """
    with pytest.raises(Unreachable, match=r"no grid answers at 127\.0\.0\.1:1 .*is it started \(cachegrid status\)"):
        cachegrid.connect("valkey://127.0.0.1:1")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("127.0.0.1:6379", r"one with a scheme; did you mean valkey://127\.0\.0\.1:6379\?"),
        ("db-1", r"such as valkey://host:6379; a grid of this host is said as name='db-1'"),
        ("app:hush@db-1:1", r"one with a scheme, such as valkey://host:6379$"),
        ("//db-1/x", r"one with a scheme, such as valkey://host:6379$"),
        ("db-1://x", r"one whose scheme is known: memory, redis"),
        ("http://db-1", r"one whose scheme is known: "),
        ("memcached://u:hush@db-1", r"'memcached://u:\*\*\*@db-1'; it must be one whose scheme is known"),
        ("valkey://", r"it must be valkey://host:port"),
        ("valkey://db:x", r"it must be valkey://host:port.* what follows 'db:' is no port, from 1 to 65535"),
        ("valkey://db:0", r"it must be valkey://host:port"),
        ("valkey://db:99999", r"it must be valkey://host:port"),
        ("valkey://a,,b", r"it must be valkey://host:port"),
        ("valkey://db/x", r"a database number, not 'x'"),
        ("valkey://a,b/1", r"a cluster has only database 0"),
        ("valkey://db?timout=5", r"the option 'timout' in the url .*did you mean 'timeout'\?"),
        ("valkey://db?timeout=soon", r"the option 'timeout' in the url is 'soon'"),
        ("memory://?max=5", r"the options in the url .*max_bytes only"),
        ("memory://?max_bytes=big", r"the option 'max_bytes' in the url is 'big'"),
    ],
)
def test_a_wrong_url_is_told(url: str, match: str) -> None:
    """
    Before anything is connected to, and without its password.
    """
    with pytest.raises(ConfigError, match=match) as caught:
        cachegrid.connect(url)
    assert "hush" not in str(caught.value)


def test_memory_grids_by_name_are_shared() -> None:
    """
    In both colours; without a name each is another one.
    """

    async def other() -> Any:
        async with cachegrid.aconnect("memory://shared") as grid:
            return await grid.cache("prices").get("key")

    with cachegrid.connect("memory://shared") as grid:
        grid.cache("prices")["key"] = 1
        assert "shared" == grid.name
        assert 1 == asyncio.run(other())
    with cachegrid.connect("memory://shared?max_bytes=0") as grid:
        assert 1 == grid.cache("prices")["key"]
    with cachegrid.connect("memory://") as one, cachegrid.connect("memory://") as two:
        one.cache("prices")["key"] = 1
        assert None is two.cache("prices").get("key")
    with pytest.raises(ConfigError, match="max_bytes of memory://shared is 1000000"):
        cachegrid.connect("memory://shared?max_bytes=1MB")


def test_a_bounded_memory_grid_evicts() -> None:
    """
    What was unused for longest; it says what it may take.
    """
    with cachegrid.connect("memory://?max_bytes=100kB") as grid:
        cache = grid.cache("prices")
        for number in range(500):
            cache[number] = b"x" * 1000
        assert 0 < len(cache) < 100
        assert 499 in cache
        assert 100_000 == grid.members()[0].memory_limit_bytes


def test_without_a_server_program_it_is_memory(monkeypatch: pytest.MonkeyPatch, state_folder: Path) -> None:
    """
    A warning says so and what to do; all connections of the process share it, in both colours.
    """
    monkeypatch.setattr("cachegrid.cluster.server._candidates", lambda **_: iter(()))
    with pytest.warns(UserWarning, match=r"no server program was found: .*; using memory://default"):
        grid = cachegrid.connect()
    grid.cache("prices")["key"] = 1

    async def other() -> Any:
        async with cachegrid.aconnect() as another:
            return await another.cache("prices").get("key")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert 1 == asyncio.run(other())
    grid.close()
    assert [] == cluster.running()


def test_a_server_that_was_named_wrongly_is_an_error(monkeypatch: pytest.MonkeyPatch, state_folder: Path) -> None:
    """
    Nobody who said which one wants another, or none.
    """
    monkeypatch.setenv("CACHEGRID_SERVER", "/no/such/server")
    with pytest.raises(ServerMissing, match="there is no program '/no/such/server'"):
        cachegrid.connect()


def test_nothing_is_started_for_a_url(monkeypatch: pytest.MonkeyPatch, state_folder: Path) -> None:
    """
    Nor is the state folder looked at.
    """
    monkeypatch.setattr("cachegrid.cluster.embedded", None)
    with cachegrid.connect("memory://") as grid:
        assert "memory" == grid.name
    assert not state_folder.exists()


def test_a_plug_in_is_found_by_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is told its URL, password included, and its colour; people are shown no password.
    """
    told: list[Any] = []

    class Point:
        name = "other"

        @staticmethod
        def load() -> Any:
            def open_engine(url: str, *, colour: str) -> Any:
                told.append((url, colour))
                if colour == "sync":
                    return SyncMemoryEngine()

                async def later() -> AsyncMemoryEngine:
                    return AsyncMemoryEngine()

                return later()

            return open_engine

    monkeypatch.setattr("cachegrid.opening.entry_points", lambda group: [Point] if group == "cachegrid.engines" else [])
    with cachegrid.connect("other://u:hush@db") as grid:
        assert "other://u:***@db" == grid.url
        assert None is grid.cache("prices").get("key")

    async def main() -> None:
        async with cachegrid.aconnect("other://u:hush@db") as grid:
            assert None is await grid.cache("prices").get("key")

    asyncio.run(main())
    assert [("other://u:hush@db", "sync"), ("other://u:hush@db", "async")] == told
    with pytest.raises(ConfigError, match="scheme is known: memory, other, redis"):
        cachegrid.connect("another://db")


@pytest.mark.parametrize("secret", ["", "short", "x" * 15])
def test_a_secret_that_is_too_short_is_refused(secret: str) -> None:
    """
    Without showing it.
    """
    with pytest.raises(ConfigError, match=r"^config: secret is '\*\*\*'; it must be 16 characters or more"):
        cachegrid.connect("memory://", config={"secret": secret})
    with pytest.raises(ConfigError, match=r"^secret is '\*\*\*'"):
        cachegrid.connect("memory://", secret=secret)


@pytest.mark.parametrize("url", ["valkey://[::1", "valkey://h:99999", "memory://?max_bytes=much", "other://["])
def test_a_wrong_url_is_told_with_the_place_it_is_from(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One error of ours, whichever part of it is wrong.
    """
    with pytest.raises(ConfigError):
        cachegrid.connect(url)
    monkeypatch.setenv("CACHEGRID_URL", url)
    with pytest.raises(ConfigError, match="CACHEGRID_URL"):
        cachegrid.connect()
    monkeypatch.delenv("CACHEGRID_URL")
    with pytest.raises(ConfigError, match="config: url"):
        cachegrid.connect(config={"url": url})


def test_settings_are_arguments_of_both_colours() -> None:
    """
    A wrong name is told with the nearest known one.
    """
    with cachegrid.connect("memory://said", timeout=2, caches={"prices": {"ttl": 60}}) as grid:
        assert 60 == grid.cache("prices").policy.ttl
    agrid = cachegrid.aconnect("memory://said", namespace="said", caches={"prices": {"ttl": 70}})
    assert 70 == agrid.cache("prices").policy.ttl
    asyncio.run(agrid.aclose())
    for connect in (cachegrid.connect, cachegrid.aconnect):
        with pytest.raises(ConfigError, match="did you mean 'timeout'"):
            connect("memory://said", tiemout=2)  # type: ignore[call-arg]


def test_no_place_shows_its_secrets() -> None:
    """
    What reprs show ends up in logs.
    """
    place = locate(Settings(url="valkey://app:hush@127.0.0.1:1", secret="hush hush hush hush"))
    assert "hush" not in repr(place)


def test_ready_settings_connect() -> None:
    """
    With their namespace and their policies.
    """
    settings = Settings(url="memory://ready", namespace="app", caches={"prices": {"ttl": 60}})  # type: ignore[dict-item]
    with cachegrid.connect(config=settings) as grid:
        assert 60 == grid.cache("prices").policy.ttl
        grid.cache("prices")["key"] = 1
        assert grid.cache("prices")._space.prefix.startswith(b"app:prices:")


def test_a_grid_of_the_other_colour_tells_how_it_is_used() -> None:
    """
    Where it is used as one of this colour is.
    """
    agrid: Any = cachegrid.aconnect("memory://")
    with pytest.raises(ConfigError, match=r"used as `async with`; for `with`, .* cachegrid\.connect\(\)"), agrid:
        pass

    async def main() -> None:
        grid: Any = cachegrid.connect("memory://")
        async with grid:
            pass

    with pytest.raises(ConfigError, match=r"used as `with`; for `async with`, .* cachegrid\.aconnect\(\)"):
        asyncio.run(main())
