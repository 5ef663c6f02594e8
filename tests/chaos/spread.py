"""A grid with each member on a host of its own, and this program as an observer on another host."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from cachegrid.cluster.plan import Shape, conf_text, lay_out
from cachegrid.cluster.server import find_server
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.cluster.view import node_rows
from cachegrid.errors import EngineError
from cachegrid.testing.loopback import LoopbackGrid
from tests.hosts.namespaces import Host, Network

__all__ = ["SpreadGrid", "observing"]

PORT: Final = 7000
NEW_NET: Final = 0x40000000  # CLONE_NEWNET


@contextmanager
def observing(host: Host) -> Iterator[None]:
    """Let this thread, and what it starts, be on a host: its sockets are of that network."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{host.namespace}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(here)
        os.close(here)
        os.close(there)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, NEW_NET):
        raise OSError(ctypes.get_errno(), "a network namespace cannot be entered")


class SpreadGrid(LoopbackGrid):
    """Three owners, and a replica of each, on the first six hosts of a network; used by one who observes there."""

    def __init__(self, net: Network) -> None:
        super().__init__(name="spread")
        self._net = net
        self._servers: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """Names every member, and holds the password."""
        return f"valkey://:{self.state.password}@{','.join(member.address for member in self.state.members)}"

    def __enter__(self) -> Self:
        self._root = Path(tempfile.mkdtemp(prefix="cachegrid-spread-"))
        try:
            self._start_all(self._root)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End all members and remove the folder. May be called twice."""
        for server in self._servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGKILL)
            server.wait()
        self._servers.clear()
        if self._root is not None:
            shutil.rmtree(self._root)
            self._root = None

    def reread(self) -> GridState:
        """The grid as it is: nobody comes or goes."""
        return self.state

    def _start_all(self, root: Path) -> None:
        shape, program = Shape(), find_server()
        plan = lay_out(shape, "", [(PORT, PORT + 10_000)] * shape.members, lambda: secrets.token_hex(20))
        password, members = secrets.token_urlsafe(16), []
        for planned, host in zip(plan.members, self._net.hosts, strict=False):
            here = replace(planned, host=host.address)
            folder = root / f"m{here.index}"
            folder.mkdir()
            (folder / "member.conf").write_text(conf_text(here, shape, folder, password=password))
            command = host.command(str(program.path), str(folder / "member.conf"))
            self._servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            members.append(
                MemberState(
                    index=here.index,
                    id="",
                    host=here.host,
                    port=PORT,
                    bus_port=PORT + 10_000,
                    role="owner" if here.follows is None else "replica",
                    folder=folder,
                    pid=self._servers[-1].pid,
                )
            )
        self._state = GridState(
            name="spread",
            folder=root / "spread",
            shape=shape,
            members=tuple(members),
            password=password,
            secret=b"\0" * 32,
            server=program.path,
            version=f"{program.kind} {program.version}",
            created=time.time(),
            machine="",
        )
        self.wait_for(self._answers)
        self._state = replace(self.state, members=tuple(replace(one, id=self._id_of(one)) for one in members))
        for planned in plan.owners:
            with self.admin(planned.index) as admin:
                admin.run("CLUSTER", "SET-CONFIG-EPOCH", planned.index + 1)
                admin.run("CLUSTER", "ADDSLOTSRANGE", planned.slots[0].start, planned.slots[0][-1])
        with self.admin(0) as admin:
            for member in members[1:]:
                admin.run("CLUSTER", "MEET", member.host, member.port)
        self.wait_for(self._all_known)
        for planned in plan.replicas:
            with self.admin(planned.index) as admin:
                admin.run("CLUSTER", "REPLICATE", self.state.member(planned.follows or 0).id)
        self.wait_whole()

    def _answers(self) -> bool:
        try:
            return all(self._id_of(member) for member in self.state.members)
        except EngineError:
            return False

    def _id_of(self, member: MemberState) -> str:
        with self.admin(member.index) as admin:
            return next(row.id for row in node_rows(admin).values() if "myself" in row.flags)

    def _all_known(self) -> bool:
        ids = {member.id for member in self.state.members}
        views = self._views()
        known = [{row.id for row in rows.values() if not row.flags & {"handshake", "noaddr"}} for rows in views]
        return len(views) == len(ids) and all(ids <= one for one in known)
