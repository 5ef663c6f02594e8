"""Servers that are no cluster, for tests: one process each, on loopback, in a folder of its own, gone at the end."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from libvalkey import Reader, ReplyError, pack_command

from cachegrid.cluster.ports import free_pairs
from cachegrid.cluster.server import find_server
from cachegrid.engines.valkey.slots import Endpoint

__all__ = ["HOST", "Server", "exchange", "free_port", "redis", "sockets", "valkey"]

HOST = "127.0.0.1"
PATIENCE = 10.0  # seconds for a server to come up, or to do what is waited for


def valkey() -> Path:
    """The Valkey server that comes with the package."""
    return find_server().path


def redis() -> Path:
    """The system's Redis server; the test is skipped where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("redis-server is not installed (7 or newer, for tests against Redis and with TLS)")
    return Path(found)


def free_port() -> int:
    """A port on which nobody listens."""
    return free_pairs(1, HOST)[0][0]


class Server:
    """
    A server process; `settings` are lines for its settings file, and `users` such lines as ACL files have.

    It listens on `port`, and for the test itself on a unix socket in its folder, past TLS and everything else.
    """

    def __init__(
        self, program: Path | None = None, settings: Mapping[str, object] | None = None, *, users: Sequence[str] = ()
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cg-server-", dir="/tmp"))
        self.socket = self.folder / "socket"
        self._program = program or valkey()
        self.settings, self.users = dict(settings or {}), users
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint(HOST, self.port)

    def url(self, user: str = "", options: str = "", *, scheme: str = "valkey") -> str:
        """Names the server; `user` is `name:password`."""
        return f"{scheme}://{user}{'@' if user else ''}{HOST}:{self.port}{options}"

    def start(self) -> None:
        """Start it, on the same port whenever that is free, and wait until it answers."""
        for _ in range(5):
            self._write_settings()
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [self._program, "member.conf"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            if self._is_up():
                return
            self.port = free_port()  # somebody was faster
        raise RuntimeError(f"no server came up: {(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        """SIGKILL it, and return when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, and start it on the same port: every connection is dead, and what was in memory is gone."""
        port = self.port
        self.kill()
        self.start()
        assert port == self.port

    def pause(self) -> None:
        """Let it stand still: connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def run(self, *words: str | bytes | int) -> Any:
        """The answer to one command, on a connection of its own. Raises ReplyError."""
        with self.connected() as sock:
            return exchange(sock, *words)

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A connection past everything, for `exchange`."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(self.socket))
            password = self.settings.get("requirepass")
            if password:
                exchange(sock, "AUTH", str(password))
            yield sock

    def wait_for(self, text: str, *words: str) -> None:
        """Wait until its answer to a command (INFO, if none is said) holds a text."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.run(*words or ("INFO",)):
            assert time.monotonic() < deadline, f"{text} did not come"
            time.sleep(0.002)

    def close(self) -> None:
        """End it and remove its folder. May be called twice."""
        self.resume()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_settings(self) -> None:
        lines = {"port": self.port, "bind": HOST, "dir": self.folder, "unixsocket": self.socket, "save": '""'}
        text = "".join(f"{name} {value}\n" for name, value in {**lines, **self.settings}.items())
        text += "".join(f"user {user}\n" for user in self.users)
        (self.folder / "member.conf").write_text(text)

    def _is_up(self) -> bool:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                return False
            try:
                self.run("PING")
            except (OSError, ReplyError):
                time.sleep(0.002)
            else:
                return True
        return False


def exchange(sock: socket.socket, *words: str | bytes | int) -> Any:
    """Send one command on a connection, and return its answer. Raises ReplyError."""
    reader = Reader()
    sock.sendall(pack_command(words))
    while (answer := reader.gets()) is False:
        received = sock.recv(65_536)
        if not received:
            raise ConnectionResetError
        reader.feed(received)
    if isinstance(answer, ReplyError):
        raise answer
    return answer


def sockets() -> int:
    """How many sockets this process has open, where the system tells (on Linux), else 0."""
    links = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            links.append(str(descriptor.readlink()))
    return sum(link.startswith("socket:") for link in links)
