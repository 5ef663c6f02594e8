"""Bring members up: start them, let the owners take over, and wait until the grid is whole."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from cachegrid.cluster.admin import Admin, Loading, connect_to
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.plan import GridPlan
from cachegrid.cluster.processes import is_gone, send_signal, spawn, wait_gone
from cachegrid.cluster.state import GridState, MemberState, Phase
from cachegrid.engines.valkey.slots import SLOTS, slot_of
from cachegrid.errors import EngineError, ServerRefused, StartFailed

__all__ = ["Launch", "PortTaken", "Progress"]

Progress = Callable[[str, int, int], None]  # what is done, of how many of them, of how many

PAUSE = 0.001  # seconds between two looks at a member that is starting
GREETING_WAIT = 0.5  # seconds for the first answer: a stranger on the member's port may never give one
LOADING_GRACE = 10.0  # seconds that a member gets once its data is loaded, however long that took
TOO_LITTLE_DISK = 1 << 20  # bytes: a server that cannot even write its log has no more
NUDGE_AFTER, NUDGE_AGAIN = 0.02, 1.5  # seconds until a replica that copies nothing is made to ask again
TAKEN = ("address already in use", "failed listening on port")
NO_TLS = "failed finding tls support"
REASON_LINES, REASON_WINDOW = 4, 12  # of the log: how many are told, of how many at its end
HARMLESS = ("Memory overcommit", "Missing implement of connection type")  # said at every start, whatever follows
ORDINARY = re.compile(r"\d+:[A-Z] .{20,24} [*.-] ")


class PortTaken(StartFailed):
    """Somebody took a member's port after it was found free."""


class Launch:
    """
    The members of one grid while they are being started; every wait ends at `deadline` (monotonic seconds).

    A context manager: whatever ends it with an error ends the servers that it started.
    """

    def __init__(self, state: GridState, *, deadline: float, progress: Progress | None = None) -> None:
        self._state, self._deadline = state, deadline
        self._progress = progress or (lambda *_: None)
        self._pids = {member.index: member.pid for member in state.members}
        self._spawned: list[MemberState] = []
        self._admins: dict[int, Admin] = {}
        self._seen = "it does not find the others"
        self._slots = SLOTS  # that have to have an owner
        self._is_closed = True  # nobody else is in the grid

    @property
    def state(self) -> GridState:
        """The grid with the process ids as they are now."""
        members = tuple(replace(member, pid=self._pids[member.index]) for member in self._state.members)
        return replace(self._state, members=members)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with held_back():
            for admin in self._admins.values():
                admin.close()
            if error is not None:
                self._abandon()

    def bring_up(self, plan: GridPlan) -> None:
        """
        Start all members of a grid whose files are written, and wait until it serves.

        Replicas start when their owners serve already: an owner that does not yet sends them away, and they
        would only ask again a second later.
        """
        self.start([self._state.member(owner.index) for owner in plan.owners], "owners")
        self._take_over(plan)
        if plan.replicas:
            self.start([self._state.member(replica.index) for replica in plan.replicas], "replicas")
        self.wait_whole()
        self._check_writes(plan)
        self._check_copies(plan)

    def start(self, members: Sequence[MemberState], what: str) -> None:
        """Start servers for these members and wait until each answers."""
        if not members:
            return
        with held_back():  # until it is known whom to end
            pids = spawn(self._state.server, [(member.conf, member.log) for member in members])
            self._pids |= {member.index: pid for member, pid in zip(members, pids, strict=True)}
            self._spawned += members
        for done, member in enumerate(members, 1):
            self._admin(member)
            self._progress(what, done, len(members))

    def wait_whole(self, *, is_full: bool = True, is_closed: bool = True) -> None:
        """
        Wait until all members agree: every slot is owned, nobody is missing, and replicas follow their owners.

        With `is_full=False` slots may be without an owner, with `is_closed=False` members in it that are none of ours.
        """
        self._slots = SLOTS if is_full else 0
        self._is_closed = is_closed
        for done, member in enumerate(self._state.members, 1):
            self._wait_for(member, self._is_whole)
            self._progress("members agree", done, len(self._state.members))

    def wait_back(self, patience: float) -> None:
        """
        Wait until all members of this host are back in their grid, but no longer than `patience` seconds.

        They may not come so far while other hosts are away. Raises StartFailed for one that ended.
        """
        end = min(self._deadline, time.monotonic() + patience)
        for member in (member for member in self._state.members if member.phase is Phase.HERE):
            while not self._holds(member, self._is_whole) and (time.monotonic() < end or self._is_loading(member)):
                time.sleep(PAUSE * 10)

    def _take_over(self, plan: GridPlan) -> None:
        for owner in plan.owners:
            # One that takes over before it has seen its grid as `ok` would be held back like any new owner.
            self._wait_for(self._state.member(owner.index), _is_ok)
        # Each writes its new part to disk, and so all do it at once.
        self._tell_all(plan, [("CLUSTER", "FAILOVER", "TAKEOVER")])
        self._tell_all(plan, [("CLUSTER", "FORGET", owner.phantom) for owner in plan.owners])

    def _tell_all(self, plan: GridPlan, commands: Sequence[tuple[str, ...]]) -> None:
        admins = [self._admins[owner.index] for owner in plan.owners]
        for admin, command in itertools.product(admins, commands):
            admin.send(*command)
        for admin, command in itertools.product(admins, commands):
            admin.answer(" ".join(command))

    def _check_writes(self, plan: GridPlan) -> None:
        """Write and remove an entry at every owner: what only a write shows, such as a full disk, shows now."""
        for owner in (owner for owner in plan.owners if owner.slots):
            admin, probe = self._admins[owner.index], _address_in(owner.slots[0])
            try:
                admin.run("SET", probe, b"1", "PX", 60_000)
                admin.run("DEL", probe)
            except ServerRefused as error:
                where = f"{owner.host}:{owner.port}"
                raise StartFailed(f"member {where} of grid {self._state.name!r} takes no writes: {error}") from error

    def _check_copies(self, plan: GridPlan) -> None:
        """Wait until what was just written has reached every replica."""
        targets = {owner.index: _offset(self._admins[owner.index]) for owner in plan.owners}
        left = [(self._state.member(replica.index), replica.follows or 0) for replica in plan.replicas]
        nudge_at = time.monotonic() + NUDGE_AFTER
        while left := [
            (member, owner) for member, owner in left if not self._holds(member, partial(_has_copied, targets[owner]))
        ]:
            if time.monotonic() > nudge_at:
                # An owner that missed a replica's first sign of life sends nothing until the next, up to a second
                # later. A new connection goes on where the old one stands, at once.
                for owner in {owner for _, owner in left}:
                    self._admins[owner].run("CLIENT", "KILL", "TYPE", "replica")
                nudge_at = time.monotonic() + NUDGE_AGAIN
            time.sleep(PAUSE)

    def _admin(self, member: MemberState) -> Admin:
        """A connection to a member; waits for one that is starting."""
        while member.index not in self._admins:
            try:
                admin = connect_to(self._state, member, timeout=GREETING_WAIT)
                admin.wait_at_most(max(GREETING_WAIT, self._left()))
                self._admins[member.index] = admin
            except EngineError as error:
                # Before it answers there may be nothing, or a stranger on the port of a member about to fail.
                self._check_alive(member, error)
                time.sleep(PAUSE)
        return self._admins[member.index]

    def _wait_for(self, member: MemberState, condition: Callable[[Admin], bool]) -> None:
        while not self._holds(member, condition):
            time.sleep(PAUSE)

    def _holds(self, member: MemberState, condition: Callable[[Admin], bool]) -> bool:
        cause: EngineError | None = None
        try:
            if condition(self._admin(member)):
                return True
        except Loading as error:
            cause = error
        except EngineError as error:
            cause = error
            self._drop_admin(member)
        self._check_alive(member, cause)
        return False

    def _is_whole(self, admin: Admin) -> bool:
        facts = dict(line.split(":", 1) for line in admin.text("CLUSTER", "INFO").splitlines() if ":" in line)
        slots, known = int(facts["cluster_slots_ok"]), int(facts["cluster_known_nodes"])
        more = known - len(self._state.members)
        is_other = not self._state.spread and (more < 0 or (more > 0 and self._is_closed))
        if facts["cluster_state"] != "ok" or slots < self._slots or is_other:
            self._seen = f"to it the grid is {facts['cluster_state']}, {slots:,} of {SLOTS:,} slots have a living owner"
            return False
        role = admin.facts("replication")
        self._seen = "it does not follow its owner"
        return role["role"] == "master" or role.get("master_link_status") == "up"

    def _check_alive(self, member: MemberState, cause: EngineError | None) -> None:
        # A process that is being made has no command line for a moment, and is not gone.
        if is_gone(self._pids[member.index], member.conf):
            raise _failure(self._state, member, "ended as soon as it was started") from cause
        if self._left() <= 0 and not self._is_loading(member):
            raise _failure(self._state, member, f"was not ready in time ({cause or self._seen})") from cause

    def _is_loading(self, member: MemberState) -> bool:
        """Whether it reads its entries from disk: then it gets the time it needs, and some more for what follows."""
        try:
            is_loading = self._admins[member.index].facts("persistence")["loading"] == "1"
        except (KeyError, EngineError):
            self._drop_admin(member)
            return False
        if is_loading:
            self._deadline = time.monotonic() + LOADING_GRACE
        return is_loading

    def _drop_admin(self, member: MemberState) -> None:
        if admin := self._admins.pop(member.index, None):
            admin.close()

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _abandon(self) -> None:
        for member in self._spawned:
            send_signal(self._pids[member.index], member.conf, signal.SIGKILL)
        wait_gone((self._pids[member.index], member.conf) for member in self._spawned)


def _is_ok(admin: Admin) -> bool:
    return "cluster_state:ok" in admin.text("CLUSTER", "INFO")


def _offset(owner: Admin) -> int:
    return int(owner.facts("replication")["master_repl_offset"])


def _has_copied(offset: int, admin: Admin) -> bool:
    return int(admin.facts("replication").get("slave_repl_offset", "0")) >= offset


def _failure(state: GridState, member: MemberState, what: str) -> StartFailed:
    reason = _last_words(member)
    kind = PortTaken if any(sign in reason.lower() for sign in TAKEN) else StartFailed
    # Said whatever the log says: on a full disk its last lines may be missing, and be those of the start before.
    is_full = shutil.disk_usage(state.folder).free < TOO_LITTLE_DISK
    full = f": the disk of {state.folder} is full" if is_full else ""
    said = f"; its log ends: {reason}" if reason else ""
    if state.tls and NO_TLS in reason.lower():
        said = f": {state.server} speaks no TLS; name one that does in CACHEGRID_SERVER, such as Debian's redis-server"
    return kind(f"member {member.address} of grid {state.name!r} {what}{full}{said}")


def _last_words(member: MemberState) -> str:
    try:
        lines = member.log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # "71:M 22 Nov 2026 10:00:00.000 # Failed ...": a server says who, when, and by the mark that it is a warning;
    # what it says before it has read its settings has nothing of that.
    lines = [line for line in lines[-REASON_WINDOW:] if line.strip() and not any(map(line.__contains__, HARMLESS))]
    grave = [line.partition(" # ")[2] or line for line in lines if not ORDINARY.match(line)]
    return " / ".join(line.strip() for line in (grave or lines)[-REASON_LINES:])


def _address_in(slots: range) -> bytes:
    names = (b"cg!probe:%d" % number for number in itertools.count())
    return next(name for name in names if slot_of(name) in slots)
