"""Bring members up: write their files, start them, let the owners take over, and wait until the grid is whole."""

from __future__ import annotations

import itertools
import signal
import time
from binascii import crc_hqx
from collections.abc import Callable, Sequence
from dataclasses import replace

from cachegrid.cluster.admin import Admin, connect_to
from cachegrid.cluster.plan import SLOTS, GridPlan
from cachegrid.cluster.processes import is_running, send_signal, spawn
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.errors import EngineError, EngineTimeout, ServerRefused, StartFailed, Unreachable

__all__ = ["Launch", "PortTaken", "Progress"]

Progress = Callable[[str, int, int], None]  # what was done, how many of them, of how many

PAUSE = 0.001  # seconds between two looks at a member that is starting
TAKEN = ("address already in use", "failed listening on port")
REASON_LINES = 4


class PortTaken(StartFailed):
    """Somebody took a member's port after it was found free."""


class Launch:
    """The members of one grid while they are being started; every wait ends at `deadline` (monotonic seconds)."""

    def __init__(self, state: GridState, *, deadline: float, progress: Progress | None = None) -> None:
        self._state, self._deadline = state, deadline
        self._progress = progress or (lambda *_: None)
        self._pids = {member.index: member.pid for member in state.members}
        self._spawned: set[int] = set()
        self._admins: dict[int, Admin] = {}

    @property
    def state(self) -> GridState:
        """The grid with the process ids as they are now."""
        members = tuple(replace(member, pid=self._pids[member.index]) for member in self._state.members)
        return replace(self._state, members=members)

    def start(self, members: Sequence[MemberState], what: str) -> None:
        """Start servers for these members and wait until each answers."""
        pids = spawn(self._state.server, [(member.conf, member.log) for member in members])
        for member, pid in zip(members, pids, strict=True):
            self._pids[member.index] = pid
            self._spawned.add(member.index)
        for done, member in enumerate(members, 1):
            self.admin(member)
            self._progress(what, done, len(members))

    def take_over(self, plan: GridPlan) -> None:
        """Make every owner the owner of its phantom's slots, and forget the phantoms."""
        for owner in plan.owners:
            # One that takes over before it has seen its cluster as `ok` would be held back like any new owner.
            self._wait_ok(self._state.members[owner.index])
            self._admins[owner.index].run("CLUSTER", "FAILOVER", "TAKEOVER")
        for owner, phantom in itertools.product(plan.owners, plan.owners):
            self._forget(self._admins[owner.index], phantom.phantom)

    def admin(self, member: MemberState) -> Admin:
        """A connection to a member; waits for one that is starting, and fails as soon as its process is gone."""
        while member.index not in self._admins:
            try:
                self._admins[member.index] = connect_to(self._state, member, timeout=max(0.05, self._left()))
            except EngineError as error:
                # Before it answers there may be nothing, or a stranger on the port of a member that is about to fail.
                self._check_alive(member, error)
                time.sleep(PAUSE)
        return self._admins[member.index]

    def wait_whole(self) -> None:
        """Wait until all members agree: every slot is owned, nobody is missing, and replicas follow their owners."""
        for done, member in enumerate(self._state.members, 1):
            while not self._is_whole(member):
                self._check_alive(member)
                time.sleep(PAUSE)
            self._progress("members agree", done, len(self._state.members))

    def check_writes(self, plan: GridPlan) -> None:
        """Write, read and remove an entry at every owner: what only a write shows, such as a full disk, shows now."""
        for owner in plan.owners:
            admin = self._admins[owner.index]
            probe = _address_in(owner.slots)
            admin.run("SET", probe, b"1", "PX", 60_000)
            if admin.run("GET", probe) != b"1":
                raise StartFailed(f"member {owner.host}:{owner.port} does not keep what is written to it")
            admin.run("DEL", probe)

    def abandon(self) -> None:
        """End every server that was started here."""
        self.close()
        for member in self._state.members:
            if member.index in self._spawned:
                _kill(member, self._pids[member.index])

    def close(self) -> None:
        """End the connections; the members go on."""
        for admin in self._admins.values():
            admin.close()
        self._admins.clear()

    def _forget(self, admin: Admin, phantom: str) -> None:
        while True:
            try:
                admin.run("CLUSTER", "FORGET", phantom)
                return
            except ServerRefused:
                if self._left() <= 0:
                    raise
                time.sleep(PAUSE)

    def _wait_ok(self, member: MemberState) -> None:
        while "cluster_state:ok" not in self.admin(member).text("CLUSTER", "INFO"):
            self._check_alive(member)
            time.sleep(PAUSE)

    def _is_whole(self, member: MemberState) -> bool:
        try:
            admin = self.admin(member)
            facts = dict(line.split(":", 1) for line in admin.text("CLUSTER", "INFO").splitlines() if ":" in line)
            agreed = facts["cluster_state"] == "ok" and int(facts["cluster_slots_ok"]) == SLOTS
            if not agreed or int(facts["cluster_known_nodes"]) != len(self._state.members):
                return False
            role = admin.facts("replication")
        except (Unreachable, EngineTimeout):
            self._admins.pop(member.index).close()
            return False
        return role["role"] == "master" or role.get("master_link_status") == "up"

    def _check_alive(self, member: MemberState, cause: EngineError | None = None) -> None:
        if not is_running(self._pids[member.index], member.conf):
            raise _failure(self._state, member, "ended as soon as it was started") from cause
        if self._left() <= 0:
            raise _failure(self._state, member, "was not ready in time") from cause

    def _left(self) -> float:
        return self._deadline - time.monotonic()


def _failure(state: GridState, member: MemberState, what: str) -> StartFailed:
    reason = _last_words(member)
    kind = PortTaken if any(sign in reason.lower() for sign in TAKEN) else StartFailed
    said = f"; its log ends: {reason}" if reason else ""
    return kind(f"member {member.address} of grid {state.name!r} {what}{said}")


def _last_words(member: MemberState) -> str:
    try:
        lines = member.log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # "71:M 22 Nov 2026 10:00:00.000 # Failed ...": who and when do not help; the mark tells warnings.
    lines = [line.partition(" # ")[2] or line for line in lines if line.strip() and "Memory overcommit" not in line]
    return " / ".join(line.strip() for line in lines[-REASON_LINES:])


def _kill(member: MemberState, pid: int) -> None:
    send_signal(pid, member.conf, signal.SIGKILL)
    give_up = time.monotonic() + 10
    while is_running(pid, member.conf) and time.monotonic() < give_up:
        time.sleep(PAUSE)


def _address_in(slots: range) -> bytes:
    names = (b"cg!probe:%d" % number for number in itertools.count())
    return next(name for name in names if crc_hqx(name, 0) % SLOTS in slots)
