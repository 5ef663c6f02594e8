"""A small blocking connection to one member, for the few commands by which a grid is started, asked and ended."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import TYPE_CHECKING, Self

from libvalkey import ProtocolError, Reader, ReplyError, pack_command

from cachegrid.cluster.interrupts import held_back
from cachegrid.engines.valkey.facts import read_info
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import (
    AccessDenied,
    ConfigError,
    EngineError,
    EngineTimeout,
    ServerRefused,
    Unreachable,
    Unsupported,
)

if TYPE_CHECKING:
    from cachegrid.cluster.state import GridState, MemberState
    from cachegrid.engines.valkey.target import Target

__all__ = ["Admin", "Loading", "NotOwner", "connect_to", "open_at", "target_of"]

DENIED = ("NOAUTH", "WRONGPASS", "NOPERM")
ASTRAY = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "ERR Can not execute a write command while the cluster is down")


class Loading(Unreachable):
    """The member is there, and reads its data from disk before it answers."""


class NotOwner(ServerRefused):
    """The slot of the key is another member's, is moving, or has just come to this one, which takes nothing yet."""


class Admin:
    """One connection to one member: every command is answered in time, or ends in an error."""

    def __init__(self, sock: socket.socket, where: str) -> None:
        self._socket, self._where, self._reader = sock, where, Reader()

    def run(self, *words: str | bytes | int) -> object:
        """Send one command and return its answer: bytes, int, list or None. Raises an `EngineError`."""
        self.send(*words)
        return self.answer(str(words[0]))

    def answer(self, command: str) -> object:
        """The answer to the oldest command that was sent and has none yet; `command` is named in errors."""
        while (answer := self._parsed()) is False:
            self._receive()
        if isinstance(answer, ReplyError):
            raise self._refusal(str(answer), command)
        return answer

    def text(self, *words: str | bytes | int) -> str:
        """`run`, for commands that answer with text."""
        answer = self.run(*words)
        return answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)

    def send(self, *words: str | bytes | int) -> None:
        """Send one command and wait for nothing; SHUTDOWN is answered by leaving, others are in `answer`."""
        try:
            self._socket.sendall(pack_command(words))
        except OSError as error:
            raise Unreachable(f"member {self._where} cannot be reached: {error}", where=self._where) from error

    def facts(self, *sections: str) -> dict[str, str]:
        """The lines of `INFO` for some sections, by name."""
        return read_info(self.text("INFO", *sections))

    def wait_at_most(self, timeout: float) -> None:
        """Let later answers take that many seconds."""
        self._socket.settimeout(timeout)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _parsed(self) -> object:
        try:
            return self._reader.gets()
        except ProtocolError as error:
            raise Unreachable(f"what answers at {self._where} is no member: {error}", where=self._where) from error

    def _receive(self) -> None:
        try:
            received = self._socket.recv(65536)
            self._reader.feed(received)
        except TimeoutError as error:
            raise EngineTimeout(f"member {self._where} does not answer", where=self._where) from error
        except OSError as error:
            raise Unreachable(f"the connection to member {self._where} broke: {error}", where=self._where) from error
        if not received:
            raise Unreachable(f"member {self._where} closed the connection", where=self._where)

    def _refusal(self, said: str, command: str) -> EngineError:
        if said.startswith(DENIED):
            return AccessDenied(f"member {self._where} refuses {command}: {said}", where=self._where)
        if said.startswith("LOADING"):
            return Loading(f"member {self._where} is still loading its data", where=self._where)
        kind = NotOwner if said.startswith(ASTRAY) else ServerRefused
        return kind(f"member {self._where} refuses {command}: {said}", where=self._where)


def target_of(state: GridState) -> Target:
    """How a grid of this user on this host is reached, whether anybody answers or not."""
    # Members are named by address, and the members themselves check the authority alone.
    return parse(f"{state.full_url}&verify_host=no" if state.tls else state.full_url, timeout=5.0)


def connect_to(state: GridState, member: MemberState, *, timeout: float = 1.0) -> Admin:
    """A connection to a member with the grid's password; raises `Unreachable`, `EngineTimeout` or `AccessDenied`."""
    where = Endpoint(member.host, member.port)
    try:
        return open_at(target_of(state), where, timeout=timeout)
    except ConfigError as error:  # TLS files that are gone, or not what they were
        raise Unreachable(f"member {where} cannot be reached: {error}", where=str(where)) from error


def open_at(target: Target, endpoint: Endpoint, *, timeout: float = 1.0) -> Admin:
    """A connection to what listens there, with the user and password of `target`; raises as `connect_to` does."""
    with held_back():  # an interrupt would leave a connection that nobody closes
        admin = Admin(_opened(target, endpoint, timeout), str(endpoint))
        try:
            if target.password is not None or target.username:
                user = [target.username] if target.username else []
                admin.run("AUTH", *user, target.password or "")
        except BaseException:
            admin.close()
            raise
    return admin


def _opened(target: Target, endpoint: Endpoint, timeout: float) -> socket.socket:
    where = str(endpoint)
    try:
        return _secured(_connected(endpoint, timeout), target, endpoint)
    except TimeoutError as error:
        raise EngineTimeout(f"member {where} does not answer", where=where) from error
    except OSError as error:
        raise Unreachable(f"member {where} cannot be reached: {error}", where=where) from error


def _connected(endpoint: Endpoint, timeout: float) -> socket.socket:
    if not endpoint.port:
        raise Unsupported(f"{endpoint} is a socket of one server, and no grid: say host:port", where=str(endpoint))
    sock = socket.create_connection(endpoint, timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _secured(sock: socket.socket, target: Target, endpoint: Endpoint) -> socket.socket:
    try:
        if target.context is None:
            return sock
        name = endpoint.host if target.tls and target.tls.verify_host else None
        return target.context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise
