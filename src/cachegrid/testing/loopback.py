"""A real grid on loopback for the length of a test: its members can be killed, stopped and gone on with."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from cachegrid.cluster.admin import Admin, connect_to
from cachegrid.cluster.plan import MemberTls, Shape
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.shutdown import kill, stop
from cachegrid.cluster.startup import start
from cachegrid.cluster.state import GridState, MemberState, load
from cachegrid.cluster.view import members, node_rows
from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import SLOTS, slot_of
from cachegrid.errors import EngineError

__all__ = ["LoopbackGrid"]

PAUSE = 0.01
LINES = 15  # of each member's log, where what was waited for did not come


class LoopbackGrid:
    """
    A grid in a temporary folder, started on entry and gone without a trace on exit.

    `replicas` is per owner; `server` names another server program; `settings` are lines for the members'
    settings files. Members are named by their index, as in `state.members`: owners as planned come first.
    """

    def __init__(
        self,
        *,
        owners: int = 3,
        replicas: int = 1,
        memory: int | None = None,
        persist: bool = False,
        server: str | Path | None = None,
        tls: MemberTls | None = None,
        settings: Mapping[str, str] | None = None,
        name: str = "loopback",
    ) -> None:
        self._shape = Shape(owners=owners, replicas=replicas, memory=memory, persist=persist)
        self._start = partial(start, name, server=server, tls=tls, settings=settings)
        self._name = name
        self._root: Path | None = None
        self._state: GridState | None = None

    @property
    def state(self) -> GridState:
        """The grid as it was started, or last read."""
        if self._state is None:
            raise RuntimeError("the grid is not started: use it as `with LoopbackGrid() as grid:`")
        return self._state

    @property
    def root(self) -> Path:
        """The state folder it is kept in, as `CACHEGRID_STATE` takes it."""
        return self.state.folder.parent

    @property
    def url(self) -> str:
        """Names every member, and holds the password."""
        return self.state.full_url

    def __enter__(self) -> Self:
        self._root = _own_folder()
        try:
            self._state = self._begin(self._shape)
        except BaseException:
            shutil.rmtree(self._root, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all members and remove the folder. May be called twice."""
        if self._root is None:
            return
        if (self._root / self._name).exists():
            stop(self._name, purge=True, root=self._root)
        shutil.rmtree(self._root)
        self._root = None

    def kill(self, index: int) -> MemberState:
        """SIGKILL a member, and return when its process is gone."""
        kill(self.state, index)
        return self.state.member(index)

    def pause(self, index: int) -> MemberState:
        """Let a member stand still (SIGSTOP): connections stay open, and nothing is answered."""
        return self._signal(index, signal.SIGSTOP)

    def resume(self, index: int) -> MemberState:
        """Let a paused member go on."""
        return self._signal(index, signal.SIGCONT)

    def restart(self) -> GridState:
        """Start the dead members again, as `cachegrid up` does."""
        self._state = self._begin(self.reread().shape)
        return self._state

    def reread(self) -> GridState:
        """The grid as it is now, with members that came and without those that went; `state` is that from here on."""
        self._state = load(self.root, self._name) or self.state
        return self._state

    def admin(self, index: int) -> Admin:
        """A connection to a member, past every layer of ours; to be closed by the caller."""
        return connect_to(self.state, self.state.member(index))

    def members(self) -> list[MemberFacts]:
        """The members as they are now, owners first."""
        return members(self.state)

    def owner_of(self, address: bytes) -> int:
        """The index of the member that owns an address now, as a majority of the living members sees it."""
        slot = slot_of(address)
        votes = [owner for rows in self._views() if (owner := _owner_in(rows, slot))]
        if not votes:
            raise LookupError(f"no member knows who owns slot {slot}")
        chosen = max(votes, key=votes.count)
        return next(member.index for member in self.state.members if member.id == chosen)

    def wait_whole(self, timeout: float = 15.0) -> None:
        """Wait until every living member sees a living owner for every slot."""
        self.wait_for(self._is_whole, timeout)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 15.0) -> None:
        """Wait until `condition` holds; `TimeoutError`, with what the members are and last said, after `timeout` s."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                seen = "; ".join(
                    f"{facts.port} {facts.role} up={facts.up} slots={facts.slots}" for facts in self.members()
                )
                raise TimeoutError(f"not so after {timeout} s; the members are: {seen}{self._last_words()}")
            time.sleep(PAUSE)

    def _begin(self, shape: Shape) -> GridState:
        memory = self._shape.memory and shape.memory  # none was said: then none is to be the same
        return self._start(
            owners=shape.owners, replicas=shape.replicas, memory=memory, persist=shape.persist, root=self._root
        )

    def _last_words(self) -> str:
        """The end of each member's log: why a takeover did not come is told nowhere else."""
        there = [member for member in self.state.members if member.log.exists()]
        said = [(member, member.log.read_text(errors="replace").splitlines()) for member in there]
        return "".join(f"\n{member.address}:\n  " + "\n  ".join(lines[-LINES:]) for member, lines in said)

    def _signal(self, index: int, number: signal.Signals) -> MemberState:
        member = self.state.member(index)
        if pid := pid_of(member):
            os.kill(pid, number)
        return member

    def _views(self) -> list[dict[str, NodeRow]]:
        """The grid as each member that answers sees it."""
        views: list[dict[str, NodeRow]] = []
        for member in self.state.members:
            try:
                with connect_to(self.state, member, timeout=0.5) as admin:
                    views.append(node_rows(admin))
            except EngineError:
                continue
        return views

    def _is_whole(self) -> bool:
        views = self._views()
        alive = {row.id for rows in views for row in rows.values() if "myself" in row.flags}
        return bool(views) and all(_covered(rows, alive) == SLOTS for rows in views)


def _own_folder() -> Path:
    # Where `CACHEGRID_STATE` is set, inside it: whoever looks there for what tests leave behind sees this grid too.
    # No grid's name begins with a dot, and so nobody takes the folder for one.
    chosen = os.environ.get("CACHEGRID_STATE")
    if chosen:
        Path(chosen).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".loopback-", dir=chosen))


def _covered(rows: Mapping[str, NodeRow], alive: set[str]) -> int:
    """How many slots have an owner that lives, and that is not thought dead."""
    owners = [row for row in rows.values() if row.id in alive and not row.flags & {"fail", "fail?"}]
    return sum(len(span) for row in owners for span in row.slots)


def _owner_in(rows: Mapping[str, NodeRow], slot: int) -> str:
    return next((row.id for row in rows.values() if any(slot in span for span in row.slots)), "")
