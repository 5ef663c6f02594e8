"""Slots that change hands at once: servers of Valkey 9 and newer copy them by themselves, and then switch."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace

from cachegrid.cluster.admin import Admin
from cachegrid.cluster.balance import Move
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.view import node_rows
from cachegrid.errors import EngineError, GridError, ServerRefused, Unreachable

__all__ = ["Job", "is_known", "jobs", "move", "settle"]

PAUSE = 0.02  # seconds between two looks at a migration
CHECK_EVERY = 1.0  # seconds between two looks at whether the target answers
SILENCE = 5.0  # seconds that a target may say nothing: by then its replica has taken over, or nobody will
LET_GO = 10.0  # seconds until a migration that was cancelled, or is about to switch, has come to an end
TRIES = 3
OVER = {"success", "failed", "cancelled"}
FULL = "OOM"


@dataclass(frozen=True, slots=True)
class Job:
    """A migration as the member tells that gives slots away, or takes them."""

    name: str
    is_export: bool
    slots: str
    target: str
    state: str
    message: str

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.state in OVER


class _Forgotten(GridError):
    """The server knows nothing of a migration: whoever has given its last slots away may follow their owner at once."""


def is_known(grid: Contacts, member: str) -> bool:
    """Whether a member can move slots by itself."""
    with grid.open(member) as admin:
        told = admin.run("COMMAND", "INFO", "CLUSTER|MIGRATESLOTS")
    return isinstance(told, list) and told not in ([None], [])


def jobs(admin: Admin) -> list[Job]:
    """The migrations that a member knows of, the newest first; none of a server that knows no migrations."""
    try:
        rows = admin.run("CLUSTER", "GETSLOTMIGRATIONS")
    except ServerRefused:
        return []
    return [_job(row) for row in rows] if isinstance(rows, list) else []


def _job(row: list[object]) -> Job:
    words = [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in row]
    told = dict(zip(words[::2], words[1::2], strict=True))
    return Job(
        name=told["name"],
        is_export=told["operation"].upper() == "EXPORT",
        slots=told["slot_ranges"],
        target=told.get("target_node", ""),  # a replica that took over does not know it of those before
        state=told["state"],
        message=told.get("message", ""),
    )


def move(grid: Contacts, step: Move) -> None:
    """
    Move slots at once, and return when their owner is the new one. What is cut short is taken back.

    Raises EngineError or GridError with the reason, such as a target that is full or does not answer.
    """
    for tries_left in reversed(range(TRIES)):
        job = _tried(grid, step)
        if job.state == "success":
            return
        _check_alive(grid, step.target)
        said = ": ".join(filter(None, [job.state, job.message, _said_by_target(grid, step, job)]))
        if FULL in said:
            raise GridError(f"the memory of {grid.members[step.target]} is full ({said})")
        if not tries_left:
            raise GridError(f"the server said: {said}")


def settle(grid: Contacts) -> None:
    """Wait for what members are moving already, since whoever asked for it was cut short, say. Raises GridError."""
    for member in grid.owners:
        try:
            with grid.open(member) as admin:
                for job in jobs(admin):
                    if job.is_export and not job.is_over:
                        _watched(grid, admin, job, job.target)
        except EngineError:
            continue  # whoever does not answer moves nothing


def _tried(grid: Contacts, step: Move) -> Job:
    with grid.open(step.source) as admin:
        with held_back():  # until it is known what to cancel
            job = _begun(admin, step)
        try:
            return _watched(grid, admin, job, step.target)
        except _Forgotten:
            if not _owns(grid, step):
                raise
            return replace(job, state="success")
        except BaseException:
            with held_back(), suppress(EngineError):
                _take_back(grid, step, job)
            raise


def _said_by_target(grid: Contacts, step: Move, job: Job) -> str:
    with grid.open(step.target) as admin:
        return next((each.message for each in jobs(admin) if each.name == job.name), "")


def _begun(admin: Admin, step: Move) -> Job:
    before = {job.name for job in jobs(admin)}
    ranges = [word for span in step.slots for word in (span.start, span[-1])]
    admin.run("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", step.target)
    return next(job for job in jobs(admin) if job.name not in before)


def _watched(grid: Contacts, admin: Admin, job: Job, target: str) -> Job:
    """Wait until a migration is over. Raises if the member on either side says nothing any more."""
    heard_at = checked_at = time.monotonic()
    while not (job := _now(admin, job)).is_over:
        time.sleep(PAUSE)
        now = time.monotonic()
        if now - checked_at < CHECK_EVERY:
            continue
        try:
            _check_alive(grid, target)
            heard_at = now
        except EngineError:
            if now - heard_at > SILENCE:
                raise
        checked_at = time.monotonic()
    return job


def _now(admin: Admin, job: Job) -> Job:
    with held_back():  # an answer that is half read would be taken for that to the next question
        found = next((each for each in jobs(admin) if each.name == job.name), None)
    if found is None:
        raise _Forgotten("the server has forgotten the migration: it was restarted, or has a newer role")
    return found


def _owns(grid: Contacts, step: Move) -> bool:
    """Whether the target says that the slots are its own."""
    with grid.open(step.target) as admin:
        owned = node_rows(admin)[step.target].slots
    return {slot for span in step.slots for slot in span} <= {slot for span in owned for slot in span}


def _take_back(grid: Contacts, step: Move, job: Job) -> None:
    """Cancel a migration; one that is just switching comes to its end, which is as good."""
    with grid.open(step.source) as admin:
        with suppress(ServerRefused):
            admin.run("CLUSTER", "CANCELSLOTMIGRATIONS")
        give_up = time.monotonic() + LET_GO
        while not _now(admin, job).is_over and time.monotonic() < give_up:
            time.sleep(PAUSE)


def _check_alive(grid: Contacts, member: str) -> None:
    with grid.open(member) as admin:
        if admin.facts("replication").get("role") != "master":
            raise Unreachable(f"member {grid.members[member]} is no owner any more", where=str(grid.members[member]))
