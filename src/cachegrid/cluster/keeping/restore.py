"""The entries of a backup, brought back into a grid, this one or another, while programs use it."""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.keeping.backup import Progress
from cachegrid.cluster.keeping.engine import MANY, KeepingEngine, opened
from cachegrid.cluster.keeping.files import CacheTold, Counted, Manifest, check, read_manifest, records
from cachegrid.cluster.keeping.places import Homes, Moved, Mover
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target
from cachegrid.errors import ConfigError, EngineError, GridError

__all__ = ["CLEARING", "Mode", "RestorePlan", "Restored", "restore"]

CLEARING: Final = "clearing up"  # what is left when programs see all: free memory, wait for replicas
PAGE: Final = 1_000
LEASE: Final = b"restore"  # two at a time would make a muddle
LEASE_MS: Final = 30_000
RENEW: Final = 8.0  # seconds
PASSES: Final = 5
CATCH_UP: Final = 10.0  # seconds in which replicas may get what was restored
BEHIND: Final = 64 << 10  # bytes of lag that other programs' writes may make at any time
PAUSE: Final = 0.02


class Mode(enum.StrEnum):
    """What is done where caches have entries already."""

    EMPTY = "empty"  # it is refused
    REPLACE = "replace"  # they are as they were in the backup afterwards, all at once
    MERGE = "merge"  # what is there stays; what is not comes back


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan(Counted):
    """What is about to be brought back."""

    grid: str
    folder: Path
    mode: Mode
    backup: Manifest
    caches: tuple[CacheTold, ...]
    room: int | None  # bytes of memory that the owners have left; None where there is no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of a restore; each number counts entries."""

    restored: int
    kept: int  # those that were there already, and stayed
    passed: int  # their time was over
    unsigned: int  # signed with a secret that is not known here
    evicted: int  # evicted meanwhile, of whichever cache: there was not enough memory
    cleared: tuple[str, ...]  # caches that somebody cleared meanwhile, and that are empty
    unreplicated: tuple[str, ...]  # replicas (`host:port`) that may lack it: away, or far behind


def restore(
    target: Target,
    folder: Path,
    *,
    grid: str = "",
    cache: str | None = None,
    mode: Mode = Mode.EMPTY,
    secret: bytes | None = None,
    goes_on: bool = False,
    is_rehearsal: bool = False,
    tell: Callable[[RestorePlan], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Restored | None:
    """
    Bring back the entries of a backup, or those of one cache of it (`namespace:cache`), at new epochs of their caches.

    Entries end when they would have ended, or with `goes_on` as much later as the backup is old. All of a cache is
    seen at once, when the last of its entries is there, except with `Mode.MERGE`. Interrupted, it may be run again; but
    from when `progress` is told of `CLEARING` programs see all of it. Returns None for a rehearsal. Raises GridError
    for a backup that is damaged, or where caches have entries and `mode` does not say what to do, ConfigError for a
    cache that it has not, or EngineError.
    """
    folder = folder.absolute()
    manifest = read_manifest(folder)
    chosen = _chosen(manifest, cache)
    size = sum(part.size for part in manifest.parts)
    with closing(opened(target)) as engine:
        room = _room(engine)
        plan = RestorePlan(grid=grid, folder=folder, mode=mode, backup=manifest, caches=chosen, room=room)
        tell(plan)
        read = 0

        def count(step: int) -> None:
            nonlocal read
            read += step
            progress("checking", read, size)

        check(folder, manifest.parts, count)
        if is_rehearsal:
            _refuse_occupied(engine, plan)
            return None
        with _alone(engine) as renew:
            return _Bringing(engine, plan, progress, renew, secret=secret, goes_on=goes_on).all()


class _Bringing:
    """One restore under way."""

    def __init__(
        self,
        engine: KeepingEngine,
        plan: RestorePlan,
        progress: Progress,
        renew: Callable[[], None],
        *,
        secret: bytes | None,
        goes_on: bool,
    ) -> None:
        self._engine, self._plan, self._progress, self._renew = engine, plan, progress, renew
        self._secret = secret
        self._shift = _now() - plan.backup.ended if goes_on else 0
        self._written = 0
        self._late: frozenset[str] = frozenset()  # replicas that were given their time

    def all(self) -> Restored:
        """Bring everything, let it be seen, and tell what became of it."""
        engine, plan = self._engine, self._plan
        has_dead = _refuse_occupied(engine, plan)
        evicted = engine.evicted()
        found = self._epochs()
        unseen = {} if plan.mode is Mode.MERGE else dict(found)
        try:
            move = self._put_all(found)
            with held_back():  # else some caches are seen, and others not
                cleared = self._show(unseen)
                self._progress(CLEARING, 0, 0)
        except BaseException:
            if unseen:  # by anybody; it takes the memory of what programs write
                with suppress(EngineError):
                    self._sweep({name: epoch + 1 for name, epoch in unseen.items()}, since=unseen)
            raise
        taken = sum(move.taken.values())
        if has_dead or plan.mode is Mode.REPLACE:
            self._sweep(found)
        unreplicated = self._catch_up()
        return Restored(
            restored=self._written,
            kept=taken - self._written,
            passed=move.passed,
            unsigned=move.unsigned,
            evicted=engine.evicted() - evicted,
            cleared=tuple(cleared),
            unreplicated=tuple(unreplicated),
        )

    def _put_all(self, found: dict[str, int]) -> Mover:
        """Write all entries, and once more what may have been lost with an owner before its replica had it."""
        lives, first = self._engine.lives(), self._mover(found)
        self._written = self._put(first, only_new=self._plan.mode is Mode.MERGE)
        self._catch_up()
        for _ in range(PASSES):
            before, lives = lives, self._engine.lives()
            if before == lives:
                return first
            self._put(self._mover(found), only_new=True)
            self._catch_up()
        raise GridError(
            "owners are replaced again and again: cachegrid doctor says more; nothing was shown to programs"
        )

    def _mover(self, found: dict[str, int]) -> Mover:
        return Mover(self._plan.backup.epochs, found, secret=self._secret, shift=self._shift)

    def _put(self, move: Mover, *, only_new: bool) -> int:
        stored = 0
        for page in self._pages(move):
            self._engine.lift_tags(_tags_of(page))  # first: what has a tag that nobody knows is dead
            stored += self._engine.put(page, only_new=only_new)
            self._renew()
        return stored

    def _epochs(self) -> dict[str, int]:
        """At which epochs entries are written: of caches that nobody has come to yet, or the ones of now."""
        known = self._plan.backup.epochs
        wanted = {cache.name for cache in self._plan.caches}
        names = [name for name in known if name.partition("/")[0] in wanted]
        now = {name: self._engine.epoch(name.encode()) for name in names}
        if self._plan.mode is Mode.MERGE:
            return now
        # Later than all that were ever made here, so that nothing is there: not even of a restore that was cut short.
        # What is inside a cache is at an epoch of both, and so where nothing is, too.
        later = _now()
        return {name: epoch if "/" in name else max(epoch, known[name], later) + 1 for name, epoch in now.items()}

    def _pages(self, move: Mover) -> Iterator[list[Moved]]:
        """Entries as they are to be stored, as many at a time as fit into memory."""
        page: list[Moved] = []
        size = done = 0
        total = sum(part.entries for part in self._plan.backup.parts)
        for block in (block for part in self._plan.backup.parts for block in records(self._plan.folder, part)):
            now = _now()
            for record in block:
                entry = move(record, now)
                if entry is None:
                    continue
                page.append(entry)
                size += len(entry.frame)
                if len(page) >= PAGE or size >= MANY:
                    yield page
                    page, size = [], 0
            done += len(block)
            self._progress("entries", done, total)
        if page:
            yield page

    def _show(self, unseen: dict[str, int]) -> list[str]:
        """
        Let caches be seen as they were restored; those that were cleared since are not, and are told.

        What may be seen is no longer in `unseen`, also if this ends in an error.
        """
        inner = {name: epoch for name, epoch in unseen.items() if "/" in name}
        lost = [name for name, epoch in inner.items() if self._engine.epoch(name.encode()) != epoch]
        for name in inner:  # seen with their cache
            del unseen[name]
        for name in list(unseen):
            epoch = unseen.pop(name)
            if self._engine.lift_epoch(name, epoch) != epoch:
                lost.append(name)
        return sorted(lost)

    def _catch_up(self) -> list[str]:
        """Give replicas the time to have what was restored: until each was close behind once. Those that were not."""
        give_up = time.monotonic() + CATCH_UP
        late = _behind(self._engine)
        while late.keys() - self._late and time.monotonic() < give_up:
            time.sleep(PAUSE)
            self._renew()
            behind = _behind(self._engine)
            late = {id_: address for id_, address in late.items() if id_ in behind}
        self._late = frozenset(late)
        return sorted(late.values())

    def _sweep(self, found: dict[str, int], since: Mapping[str, int] | None = None) -> None:
        """Free the memory of entries of earlier epochs than these, but not of earlier ones than `since`."""
        homes = Homes()
        for page in self._engine.walk(_common({name for name in found if "/" not in name})):
            dead = [
                address
                for address in page
                if (home := homes.of(address))
                and (since or {}).get(home.cache, 0) <= home.epochs[0] < found.get(home.cache, 0)
            ]
            if dead:
                self._engine.drop_many(dead)
            self._renew()


def _refuse_occupied(engine: KeepingEngine, plan: RestorePlan) -> bool:
    """GridError if a cache has entries and nothing is said of them; whether entries of earlier epochs were seen."""
    if plan.mode is not Mode.EMPTY:
        return False
    wanted = {cache.name for cache in plan.caches}
    names = [name for name in plan.backup.epochs if name.partition("/")[0] in wanted]
    epochs = {name: epoch or 0 for name, epoch in engine.known_epochs(names).items()} if names else {}
    has_dead, homes = False, Homes()
    for page in engine.walk(_common(wanted)):
        for home in sorted({home for address in page if (home := homes.of(address))}):
            if home.cache in wanted and home.epochs[0] == epochs.get(home.cache):
                raise GridError(
                    f"cache {home.cache.partition(':')[2]!r} has entries in this grid: --replace lets it be as in the "
                    "backup, --merge brings back what it lacks, and --cache takes another one"
                )
            has_dead = has_dead or home.cache in wanted
    return has_dead


def _chosen(manifest: Manifest, cache: str | None) -> tuple[CacheTold, ...]:
    if cache is None:
        return manifest.caches
    found = tuple(each for each in manifest.caches if each.name == cache)
    if not found:
        there = ", ".join(each.name.partition(":")[2] for each in manifest.caches) or "none"
        raise ConfigError("--cache", cache.partition(":")[2], f"one that the backup has entries of: {there}")
    return found


def _common(names: Iterable[str]) -> bytes:
    """What the addresses of all these caches begin with."""
    first, *others = names or [""]
    return b"" if others or not first else f"{first}:".encode()


def _tags_of(page: Iterable[Moved]) -> dict[bytes, tuple[int, int | None]]:
    """The latest epoch of each tag, and for how many ms the last entry lives that has it; None is without end."""
    found: dict[bytes, tuple[int, int | None]] = {}
    for entry in page:
        for name, epoch in entry.tags:
            latest, last = found.get(name, (0, 0))
            ends = None if last is None or entry.ttl is None else max(last, entry.ttl)
            found[name] = max(latest, epoch), ends
    return found


def _room(engine: KeepingEngine) -> int | None:
    owners = [member for member in engine.members() if member.role == "owner" and member.up]
    if not all(owner.memory_limit_bytes for owner in owners):
        return None
    return sum(max(owner.memory_limit_bytes - owner.memory_bytes, 0) for owner in owners)


@contextmanager
def _alone(engine: KeepingEngine) -> Iterator[Callable[[], None]]:
    """Be the only restore of a grid; what is yielded is to be called every few seconds. Raises GridError."""
    token, renewed = os.urandom(16), time.monotonic()
    if engine.acquire(LEASE, token, LEASE_MS) is None:
        raise GridError(f"another restore is at work in this grid, or was until {LEASE_MS // 1000} s ago")

    def renew() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > RENEW:
            renewed = time.monotonic()
            engine.renew(LEASE, token, LEASE_MS)

    try:
        yield renew
    finally:
        with suppress(EngineError):  # it ends by itself, and what happened before tells more
            engine.release(LEASE, token)


def _behind(engine: KeepingEngine) -> dict[str, str]:
    """The replicas that do not have all, or do not answer: their ids and addresses."""
    return {
        member.id: str(Endpoint(member.host, member.port))
        for member in engine.members()
        if member.role == "replica" and not (member.up and member.link_up and member.lag_bytes <= BEHIND)
    }


def _now() -> int:
    return time.time_ns() // 1_000_000
