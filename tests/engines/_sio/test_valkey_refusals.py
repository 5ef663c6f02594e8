# Generated from tests/engines/_aio/test_valkey_refusals.py by tools/colour.py. Edit that file, then run `make colour`.
"""Servers that cannot or will not: each gives one error that says what, where and what to do, and loses nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from cachegrid.cluster.plan import MemberTls
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.errors import (
    AccessDenied,
    ConfigError,
    EngineTimeout,
    GridFull,
    ServerRefused,
    Unreachable,
    Unsupported,
)
from cachegrid.testing.certificates import make_certificates
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import hurry, opened
from tests.engines.proxy import Listener
from tests.engines.servers import HOST, Server, exchange, free_port, redis

pytestmark = pytest.mark.grid

SECRET = "hunter2"
USERS = (
    "default on >hunter2 ~* &* +@all",
    "app on >hunter2 ~cg:* &* +@all",
    "guest on nopass ~* &* +@all -set",
    "off off",
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with users; `default` needs a password."""
    with Server(users=USERS, settings={"requirepass": SECRET}) as server:
        yield server


def talking(answer: bytes) -> Callable[[socket.socket], None]:
    """Answers the first request so, and waits for the end."""

    def serve(sock: socket.socket) -> None:
        sock.recv(65_536)
        sock.sendall(answer)
        while sock.recv(65_536):
            pass

    return serve


def silent(sock: socket.socket) -> None:
    """Takes everything and says nothing."""
    while sock.recv(65_536):
        pass


def ending(sock: socket.socket) -> None:
    """Ends every connection at once."""


# Who may come in.


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("", ("asks for a password", "valkey://user:password@host:port")),
        ("default:wrong", ("does not accept the user or password", "check the URL")),
        (":wrong", ("does not accept the user or password",)),
        ("nobody:hunter2", ("does not accept the user or password",)),
        ("off:hunter2", ("does not accept the user or password",)),
        ("app", ("does not accept the user or password",)),
    ],
)
def test_a_wrong_password_is_told_at_once(user: str, words: tuple[str, ...], guarded: Server) -> None:
    """
    Nobody waits for a door that stays shut; the message says where, and what to do, and never the password.
    """
    begun = time.monotonic()
    with pytest.raises(AccessDenied) as caught:
        with opened(guarded.url(user)):
            pass
    assert time.monotonic() - begun < 3  # of 5
    for word in (*words, str(guarded.endpoint)):
        assert word in str(caught.value)
    assert str(guarded.endpoint) == caught.value.where
    assert SECRET not in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_a_user_may_need_no_password(guarded: Server) -> None:
    """
    A user is named in the URL although no password is needed, and may do what that user may.
    """
    with opened(guarded.url("guest")) as engine:
        assert engine.fetch(b"cg:entry") is None
        with pytest.raises(AccessDenied, match=r"'set'.*docs/access\.md"):
            engine.store(b"cg:entry", b"frame", None)


def test_what_a_user_may_not_do_is_named(guarded: Server) -> None:
    """
    A key outside of what the user may touch is refused, in a batch, too, and in a script.
    """
    with opened(guarded.url("app:hunter2")) as engine:
        engine.store(b"cg:mine", b"frame", None)
        for refused in (
            partial(engine.fetch, b"other:entry"),
            partial(engine.fetch_many, [b"cg:mine", b"other:entry"]),
            partial(engine.add, b"other:entry", 1, 0, None),
        ):
            with pytest.raises(AccessDenied, match=r"docs/access\.md") as caught:
                refused()
            assert str(guarded.endpoint) in str(caught.value)
        assert b"frame" == engine.fetch(b"cg:mine")


def test_a_user_must_be_allowed_to_listen(guarded: Server) -> None:
    """
    Without the right to hear of cleared caches no connection is of use: it is refused while it is opened.
    """
    guarded.run("ACL", "SETUSER", "deaf", "on", ">hunter2", "~*", "+@all", "-client|tracking")
    with pytest.raises(AccessDenied, match="client.tracking"):
        with opened(guarded.url("deaf:hunter2")):
            pass


def test_a_password_may_change_while_we_are_there(server: Server) -> None:
    """
    When the connections are cut and the password is another one, the next call says so, and does not wait.
    """
    with opened(server.url()) as engine:
        engine.store(b"cg:entry", b"frame", None)
        server.run("CONFIG", "SET", "requirepass", SECRET)
        server.settings["requirepass"] = SECRET
        server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        begun = time.monotonic()
        with pytest.raises(AccessDenied, match="asks for a password"):
            engine.fetch(b"cg:entry")
        with pytest.raises(AccessDenied, match="asks for a password"):
            engine.add(b"cg:sum", 1, 0, None)
        assert time.monotonic() - begun < 3  # of 5
        server.run("CONFIG", "SET", "requirepass", "")
        assert b"frame" == engine.fetch(b"cg:entry")


# What is no grid.


def test_nothing_listens_there() -> None:
    """
    A port where nothing listens is told at once, with all the places that were tried.
    """
    ports = [aside(free_port) for _ in range(2)]
    begun = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        with opened(f"valkey://:{SECRET}@{HOST}:{ports[0]},{HOST}:{ports[1]}"):
            pass
    assert time.monotonic() - begun < 3  # of 5
    for word in (f"{HOST}:{ports[0]}, {HOST}:{ports[1]}", "refused", "cachegrid status", "URL"):
        assert word in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_host_that_does_not_exist() -> None:
    """
    A name that no name service knows is told, and is Unreachable like everything else that does not answer.
    """
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid:7001"):
        with opened("valkey://no-such-host.invalid:7001?timeout=2s"):
            pass


def test_a_socket_that_does_not_exist() -> None:
    """
    A unix socket is named by its path.
    """
    with pytest.raises(Unreachable, match=r"/no/such\.sock"):
        with opened("unix:///no/such.sock"):
            pass


@pytest.mark.parametrize(
    ("serve", "error", "words"),
    [
        (talking(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Unsupported, "does not speak the Valkey protocol"),
        (talking(b"SSH-2.0-OpenSSH_9.2\r\n"), Unsupported, "does not speak the Valkey protocol"),
        (talking(b"-ERR unknown command `HELLO`, with args\r\n-ERR unknown\r\n"), Unsupported, "is too old"),
        (talking(b"*2\r\n+server\r\n+other\r\n+OK\r\n"), Unsupported, "greets like no Valkey"),
        (talking(b"-DENIED Redis is running in protected mode\r\n-ERR no\r\n"), AccessDenied, "only to its own host"),
        (ending, Unreachable, "closed the connection|reset by peer"),
        (silent, Unreachable, "no answer in time"),
    ],
    ids=["http", "ssh", "redis 5", "another kind", "protected", "ends", "silent"],
)
def test_something_else_listens_there(
    serve: Callable[[socket.socket], None], error: type[Exception], words: str
) -> None:
    """
    What is no server of ours is told apart from one that is away, inside the deadline.
    """
    with Listener(serve) as other:
        begun = time.monotonic()
        with pytest.raises(error, match=words) as caught:
            with opened(other.url(options="?timeout=300ms")):
                pass
        assert time.monotonic() - begun < 3
        assert str(other.endpoint) in str(caught.value)


def test_a_server_that_is_too_old() -> None:
    """
    A server that greets as Redis 6 did is refused, by its name and version, with what to use instead.
    """
    hello = b"%3\r\n+server\r\n$5\r\nredis\r\n+version\r\n$5\r\n6.2.7\r\n+mode\r\n$10\r\nstandalone\r\n"
    with Listener(talking(hello + b"+OK\r\n")) as old:
        with pytest.raises(Unsupported) as caught:
            with opened(old.url()):
                pass
        for word in (str(old.endpoint), "redis 6.2.7", "too old", "Redis 7.0"):
            assert word in str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> MemberTls:
    return make_certificates(tmp_path / "tls")


@pytest.fixture
def others(tmp_path: Path) -> MemberTls:
    """Of another authority."""
    return make_certificates(tmp_path / "others")


def test_tls_and_no_tls(files: MemberTls, others: MemberTls) -> None:
    """
    TLS where the server has none, none where it has, and certificates that do not fit: each is told.
    """
    program = redis()
    settings = {"tls-ca-cert-file": files.ca, "tls-cert-file": files.cert, "tls-key-file": files.key}
    with ExitStack() as stack:
        plain = stack.enter_context(aside(Server))
        tls = aside(partial(Server, program, settings))
        stack.callback(tls.close)
        tls.settings |= {"port": 0, "tls-port": tls.port}
        aside(tls.restart)
        fits = f"?ca={files.ca}&cert={files.cert}&key={files.key}&timeout=300ms"
        with opened(tls.url(options=fits, scheme="valkeys")) as engine:
            assert engine.fetch(b"cg:entry") is None
        for url, error, words in (
            (plain.url(options=fits, scheme="valkeys"), Unreachable, "does it speak TLS"),
            (tls.url(options="?timeout=300ms"), (Unreachable, Unsupported), "valkeys://"),
            (tls.url(options=f"?ca={files.ca}&timeout=300ms", scheme="valkeys"), Unreachable, "want a certificate"),
            (tls.url(options=fits.replace(str(files.ca), str(others.ca)), scheme="valkeys"), Unreachable, "(?i)verify"),
            (tls.url(options="?timeout=300ms", scheme="valkeys"), Unreachable, "(?i)verify"),
            (tls.url(options=f"?ca={files.ca}.no", scheme="valkeys"), ConfigError, r"ca\.pem\.no"),
            (tls.url(options=f"?cert={files.cert}&key={others.key}", scheme="valkeys"), ConfigError, "belong together"),
        ):
            with pytest.raises(error, match=words):
                with opened(url):
                    pass


def test_a_database_that_is_not_there(server: Server) -> None:
    """
    A server that is no cluster has so many databases, and each has its own entries.
    """
    with opened(server.url(options="/2")) as two, opened(server.url()) as zero:
        two.store(b"cg:entry", b"in two", None)
        assert zero.fetch(b"cg:entry") is None
        assert b"in two" == two.fetch(b"cg:entry")
    with pytest.raises(ServerRefused, match="DB index is out of range"):
        with opened(server.url(options="/99")):
            pass


# Who cannot, at the moment.


def test_a_full_server_keeps_what_it_has(server: Server) -> None:
    """
    Where there is no memory left the old entry stays, and everything can still be cleared.
    """
    with opened(server.url()) as engine, opened(server.url()) as other:
        engine.store(b"cg:entry", b"old", None)
        engine.add(b"cg:sum", 1, 0, None)
        epoch = engine.epoch(b"prices")
        server.run("CONFIG", "SET", "maxmemory", "1mb")
        for refused in (
            partial(engine.store, b"cg:entry", b"new" * 1000, None),
            partial(engine.store_many, [(b"cg:entry", b"new" * 1000, None)]),
            partial(engine.store_if_absent, b"cg:new", b"new" * 1000, None),
            partial(engine.add, b"cg:new", 1, 0, None),
        ):
            with pytest.raises(GridFull, match="no memory left.*volatile-lru") as caught:
                refused()
            assert str(server.endpoint) == caught.value.where
            assert caught.value.retryable
        assert b"old" == engine.fetch(b"cg:entry")
        assert engine.fetch(b"cg:new") is None
        doubt = other.doubt
        assert epoch < engine.raise_epoch(b"prices")
        other.fetch(b"cg:entry")
        assert doubt != other.doubt
        assert engine.epoch(b"another") > 0
        assert engine.drop(b"cg:entry") is True


def test_a_full_disk_is_told(server: Server) -> None:
    """
    A server that cannot save its data takes no writes, and says that it is the disk.
    """
    (server.folder / "dump.rdb").mkdir()  # where the file should be
    with opened(server.url()) as engine:
        engine.store(b"cg:entry", b"old", None)
        server.run("CONFIG", "SET", "save", "3600 1000000")
        server.run("BGSAVE")
        aside(server.wait_for, "rdb_last_bgsave_status:err")
        with pytest.raises(ServerRefused, match="on disk") as caught:
            engine.store(b"cg:entry", b"new", None)
        assert str(server.endpoint) in str(caught.value)
        assert "its log" in str(caught.value)
        assert b"old" == engine.fetch(b"cg:entry")


def test_no_room_for_another_client(server: Server) -> None:
    """
    A server with too many clients is waited for like one that is away, and the message says what it is.
    """
    url = server.url(options="?timeout=300ms")
    with opened(server.url()) as engine:
        engine.store(b"cg:entry", b"kept", None)
        hurry(engine, 0.3)
        with server.connected() as ours:
            exchange(ours, "CONFIG", "SET", "maxclients", 2)
            with pytest.raises(Unreachable, match="max number of clients"):
                with opened(url):
                    pass
            exchange(ours, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with socket.create_connection(server.endpoint) as other:
                exchange(other, "PING")
                with pytest.raises(EngineTimeout, match="max number of clients"):
                    engine.fetch(b"cg:entry")
            hurry(engine, 5)
            assert b"kept" == engine.fetch(b"cg:entry")


@pytest.fixture
def new_member() -> Iterator[Server]:
    with Server(settings={"cluster-enabled": "yes"}) as server:
        yield server


def test_a_cluster_without_owners(new_member: Server) -> None:
    """
    A member of a cluster that has no slots yet is no grid, and the message says so.
    """
    with pytest.raises(Unreachable, match="slots have no owners"):
        with opened(new_member.url()):
            pass


@pytest.fixture
def half() -> Iterator[LoopbackGrid]:
    """A grid whose second half of slots has no owner."""
    with LoopbackGrid(owners=1, replicas=0) as grid:
        with grid.admin(0) as admin:
            admin.run("CLUSTER", "DELSLOTSRANGE", 8192, 16383)
        yield grid


def test_half_a_grid_is_told_from_a_miss(half: LoopbackGrid) -> None:
    """
    Where nobody owns a slot, its entries are away and not gone: calls wait for an owner, and then say so.
    """
    with opened(half.url) as engine:
        engine.store(b"bar", b"frame", None)  # slot 5061
        assert b"frame" == engine.fetch(b"bar")
        hurry(engine, 1)
        with pytest.raises(EngineTimeout, match="CLUSTERDOWN Hash slot not served"):
            engine.fetch(b"foo")  # slot 12182
        with pytest.raises(EngineTimeout, match="CLUSTERDOWN"):
            engine.fetch_many([b"foo", b"bar"])
        with pytest.raises(EngineTimeout, match="CLUSTERDOWN"):
            everything_in(engine)
        hurry(engine, 5)
        aside(own_the_rest, half)
        assert engine.fetch(b"foo") is None
        assert {b"bar"} == set(everything_in(engine))


def own_the_rest(grid: LoopbackGrid) -> None:
    """Give the second half an owner."""
    with grid.admin(0) as admin:
        admin.run("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)


def everything_in(engine: SyncValkeyEngine) -> list[bytes]:
    """Every address that is there."""
    return [address for page in engine.walk(b"") for address in page]
