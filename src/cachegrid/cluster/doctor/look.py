"""Looks at a grid: all members at once, each of which tells of itself, and at this host where they run on it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import statistics
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from cachegrid._core.durability import Durability
from cachegrid.cluster.admin import Admin, open_at
from cachegrid.cluster.burden import processors
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.doctor.facts import Examined, HostReport, MemberReport, Socket
from cachegrid.cluster.growth import still_begun
from cachegrid.cluster.memory import memory_there
from cachegrid.cluster.outgoing import at_risk
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import GridState
from cachegrid.engines.valkey.facts import read_info, read_rows
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target
from cachegrid.errors import EngineError, ServerRefused, Unsupported

__all__ = ["examine", "socket_of"]

AT_ONCE: Final = 16  # members that are asked at the same time
SETTINGS: Final = ("maxmemory-policy", "cluster-node-timeout", "appendonly", "appendfsync")
SLOT_ON_ITS_WAY: Final = re.compile(r"\[\d+-[<>]-")
STARTED: Final = re.compile(r"^\d+:\w (\d+ \w+ \d+ [\d:]+)\.\d+ . Ready to accept connections(?! unix)", re.MULTILINE)
ENDED: Final = "bye bye"  # the last word of a server that was told to end
TAIL: Final = 256 << 10  # bytes of a log that are read
WRITES: Final = 5
LONGEST_SOCKET: Final = 107 if sys.platform == "linux" else 103  # bytes of a path that a socket can be reached by


def examine(
    target: Target,
    *,
    name: str = "",
    url: str = "",
    state: GridState | None = None,
    caches: Mapping[str, Durability] | None = None,
) -> Examined:
    """
    A grid, or one server, as it is now; with `state` one of this host. Members that do not answer are told of.

    `caches` says what the writes of programs wait for.

    Raises an EngineError if nobody answers at all.
    """
    try:
        contacts = Contacts.of_target(target)
        members, is_cluster = _reports(contacts), True
    except Unsupported:
        members, is_cluster = (_report_alone(target, target.seeds[0]),), False
    return Examined(
        name=name,
        url=url,
        members=_with_processes(members, state),
        is_cluster=is_cluster,
        host=None if state is None else _host(state),
        here=() if state is None else tuple(member.address for member in state.members),
        replicas=None if state is None else state.shape.replicas,
        wanted=None if state is None or state.spread else state.shape.owners,
        is_spread=state is not None and state.spread,
        options="" if state is None else state.all_options,
        on_disk=state is not None and state.persist,
        password=len(target.password or ""),
        is_secured=target.context is not None,
        caches=caches or {},
        unfinished=() if state is None else tuple(still_begun(state)),
    )


def _reports(contacts: Contacts) -> tuple[MemberReport, ...]:
    members = sorted(contacts.members.values(), key=lambda member: (not member.is_owner, member.endpoint))
    with ThreadPoolExecutor(min(AT_ONCE, len(members))) as pool:
        return tuple(pool.map(lambda member: _report(contacts, member), members))


def _report(contacts: Contacts, member: Contact) -> MemberReport:
    known: dict[str, Any] = {
        "address": str(member),
        "host": member.endpoint.host,
        "id": member.id,
        "is_owner": member.is_owner,
        "follows": member.follows,
        "slots": member.slots,
    }
    try:
        with contacts.open(member) as admin:
            return MemberReport(**known, **_asked(admin, is_cluster=True))
    except EngineError as error:
        return MemberReport(**known, silence=_reason(error))


def _report_alone(target: Target, endpoint: Endpoint) -> MemberReport:
    """What a server tells that is no cluster. Raises an EngineError if it tells nothing."""
    with open_at(target, endpoint) as admin:
        asked = _asked(admin, is_cluster=False)
    is_owner = asked["info"].get("role", "master") == "master"
    return MemberReport(address=str(endpoint), host=endpoint.host, is_owner=is_owner, **asked)


def _asked(admin: Admin, *, is_cluster: bool) -> dict[str, Any]:
    """What a member tells of itself and of the others."""
    facts: dict[str, Any] = {"info": admin.facts(), "settings": _settings(admin)}
    facts["skew"], facts["blur"] = _skew(admin)
    if is_cluster:
        text = admin.text("CLUSTER", "NODES")
        rows = read_rows(text.splitlines())
        facts["health"] = read_info(admin.text("CLUSTER", "INFO"))
        facts["view"] = {
            row.id: (row.owner_id, row.slots) for row in rows.values() if not row.flags & {"handshake", "noaddr"}
        }
        facts["half_moved"] = len(SLOT_ON_ITS_WAY.findall(text))
    return facts


def _settings(admin: Admin) -> Mapping[str, str] | None:
    found: dict[str, str] = {}
    for name in SETTINGS:
        try:
            answer = admin.run("CONFIG", "GET", name)
        except EngineError:
            return None  # a managed service does not tell
        if isinstance(answer, list) and len(answer) == 2:
            found[name] = answer[1].decode(errors="replace")
    return found


def _skew(admin: Admin) -> tuple[float | None, float]:
    """By how many seconds a member's clock is ahead, and by how many that may be wrong."""
    begun = time.time()
    try:
        answer = admin.run("TIME")
    except ServerRefused:
        return None, 0.0
    ended = time.time()
    if not isinstance(answer, list) or len(answer) != 2:
        return None, 0.0
    return int(answer[0]) + int(answer[1]) / 1e6 - (begun + ended) / 2, (ended - begun) / 2


def _reason(error: EngineError) -> str:
    """Why a member tells nothing, without its name, so that the same reason is said once."""
    said = str(error).replace(error.where, "").strip() if error.where else str(error)
    return said.removeprefix("member").strip().removeprefix("the connection to member").strip()


def _with_processes(members: tuple[MemberReport, ...], state: GridState | None) -> tuple[MemberReport, ...]:
    """The reports with what is known of members of this host without asking them: their processes, and their logs."""
    since = datetime.now(UTC).astimezone() - timedelta(hours=1)
    here = {} if state is None else {member.id: member for member in state.members}
    return tuple(
        replace(report, process=pid_of(member), deaths=_deaths(member.log, since), socket=socket_of(member.socket))
        if (member := here.get(report.id))
        else report
        for report in members
    )


def socket_of(path: Path) -> Socket:
    """Whether programs of this host reach a member by its unix socket, and why not."""
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        return Socket.FAR
    return Socket.THERE if path.is_socket() else Socket.MISSING


def _deaths(log: Path, since: datetime) -> int:
    """How often a server was started, since then, after one that has not said that it ends."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return 0
    found, starts = 0, list(STARTED.finditer(text))
    for before, start in pairwise(starts):
        if ENDED not in text[before.end() : start.start()]:
            with suppress(ValueError):  # month names of another language
                found += datetime.strptime(start[1], "%d %b %Y %H:%M:%S").astimezone() > since
    return found


def _host(state: GridState) -> HostReport:
    usage = shutil.disk_usage(state.folder)
    return HostReport(
        memory=memory_there(),
        overcommit=_number_in(Path("/proc/sys/vm/overcommit_memory")),
        huge_pages=_chosen_in(Path("/sys/kernel/mm/transparent_hugepage/enabled")),
        fsync=_fsync(state.folder),
        disk_free=usage.free / usage.total if usage.total else None,
        loose=tuple(_loose(state)),
        processors=processors(),
        outgoing=tuple(one.address for one in state.members if at_risk([one.port, one.bus_port])),
    )


def _fsync(folder: Path) -> float | None:
    """Seconds that a small write takes until it is on disk, as a rule; None where none can be made."""
    path = folder / f".doctor.{os.getpid()}"
    took: list[float] = []
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb", buffering=0) as file:
            for _ in range(WRITES):
                begun = time.monotonic()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                took.append(time.monotonic() - begun)
    except OSError:
        return None
    finally:
        path.unlink(missing_ok=True)
    return statistics.median(took)


def _loose(state: GridState) -> list[str]:
    """Files with secrets, and folders around them, that others may look into."""
    paths = [state.folder, state.folder / "secrets.json", *(member.conf for member in state.members)]
    return [str(path) for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]


def _number_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _chosen_in(path: Path) -> str:
    """The word in brackets."""
    try:
        found = re.search(r"\[(\w+)\]", path.read_text())
    except OSError:
        return ""
    return found[1] if found else ""
