"""Examples as a reader starts them: two processes of one shop, on one grid."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cachegrid.testing.loopback import LoopbackGrid

__all__ = ["Shop", "shops_of", "two_shops"]


class Reply(NamedTuple):
    """What a server said; its fields by name in small letters."""

    status: int
    fields: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


class Shop(NamedTuple):
    """A server."""

    address: str

    def ask(self, path: str, method: str = "GET", **fields: str) -> Reply:
        """What it says to a request that came by way of a proxy, as both of them are asked for one host."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            headers = {"Host": "shop"} | {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request(method, path, headers=headers)
            got = connection.getresponse()
            return Reply(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())


def two_shops(program: Path, folder: Path) -> contextlib.AbstractContextManager[list[Shop]]:
    """Two processes of an example, on a grid of two owners, with one database."""
    return shops_of([program, program], folder)


@contextlib.contextmanager
def shops_of(programs: Sequence[Path], folder: Path) -> Iterator[list[Shop]]:
    """Processes of examples, on a grid of two owners, with one database."""
    with LoopbackGrid(owners=2, replicas=0) as grid, contextlib.ExitStack() as ends:
        environment = {**os.environ, "SHOP_GRID": grid.url, "SHOP_DATABASE": str(folder / "shop.sqlite3")}
        servers = [ends.enter_context(_started(program, environment, folder)) for program in programs]
        yield [Shop(_address_of(server, folder)) for server in servers]


def _address_of(server: subprocess.Popen[str], folder: Path) -> str:
    """Where a server is, when it has begun; else an error with what it said."""
    address = server.stdout.readline().strip() if server.stdout else ""
    assert address, (folder / "errors").read_text(encoding="utf-8")
    return address


@contextlib.contextmanager
def _started(program: Path, environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(program), "0"]
    with (
        (folder / "errors").open("a", encoding="utf-8") as errors,
        subprocess.Popen(
            command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=errors
        ) as server,
    ):
        try:
            yield server
        finally:
            server.kill()
