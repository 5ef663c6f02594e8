"""The limit: blocking sockets to the right owners, requests made beforehand, and libvalkey's reader."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager

from libvalkey import Reader

from cachegrid.bench.load import Calls, Load
from cachegrid.cluster import GridState, MemberState
from cachegrid.engines.valkey.commands import fetch, pack, store
from cachegrid.engines.valkey.slots import slot_of

__all__ = ["open_bare"]

_CHUNK = 65_536


class _Line:
    """A socket to one owner."""

    def __init__(self, member: MemberState, password: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(member.socket))
        self._port = member.port
        self.send, self._recv = self.sock.sendall, self.sock.recv
        self._reader = Reader(notEnoughData=self)
        self.send(pack(b"AUTH", password.encode()))
        self.read()

    def read(self) -> object:
        reader = self._reader
        while (reply := reader.gets()) is self:
            reader.feed(self._recv(_CHUNK))
        if isinstance(reply, Exception):
            raise reply
        return reply

    def slots(self) -> list[tuple[int, int]]:
        """The slots that this member owns."""
        self.send(pack(b"CLUSTER", b"SLOTS"))
        rows = self.read()
        return [(row[0], row[1]) for row in rows if row[2][1] == self._port] if isinstance(rows, list) else []


@asynccontextmanager
async def open_bare(state: GridState, load: Load) -> AsyncIterator[Calls]:
    """One socket per owner. Nothing is decided while the clock runs: who owns a key is looked up beforehand."""
    with ExitStack() as stack:
        lines = [_Line(member, state.password) for member in state.members if member.role == "owner"]
        for line in lines:
            stack.callback(line.sock.close)
        yield _calls(load, _owners(lines, load.keys))


def _owners(lines: Sequence[_Line], keys: list[str]) -> dict[str, _Line]:
    spans = [(first, last, line) for line in lines for first, last in line.slots()]
    slots = {key: slot_of(key.encode()) for key in keys}
    return {key: next(line for first, last, line in spans if first <= slot <= last) for key, slot in slots.items()}


def _calls(load: Load, owners: dict[str, _Line]) -> Calls:
    gets = {key: (line.send, line.read, fetch(key.encode())) for key, line in owners.items()}
    sets = {key: (line.send, line.read, store(key.encode(), load.value, None)) for key, line in owners.items()}
    shares = {line: [key for key in load.keys if owners[key] is line] for line in owners.values()}
    batches = [
        (line.send, line.read, keys, b"".join(fetch(key.encode()) for key in keys)) for line, keys in shares.items()
    ]

    def get(key: str) -> object:
        send, read, request = gets[key]
        send(request)
        return read()

    def put(key: str, _value: object) -> object:
        send, read, request = sets[key]
        send(request)
        return read()

    def get_many(_keys: list[str]) -> dict[str, object]:
        for send, _, _, requests in batches:
            send(requests)
        return {key: read() for _, read, keys, _ in batches for key in keys}

    return Calls(get, put, get_many, load.value)
