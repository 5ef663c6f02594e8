"""The entries of a grid, taken into a folder while programs use them."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, cast

from cachegrid._core.address import parent_of, prefix_of
from cachegrid._core.glances import epochs_in
from cachegrid._sio.ability import SyncAbleEngine
from cachegrid._sio.tagbook import SyncTagBook
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.keeping.engine import KeepingEngine, Page, Seen, opened
from cachegrid.cluster.keeping.files import (
    MANIFEST,
    CacheTold,
    Manifest,
    Record,
    Writer,
    is_left_over,
    write_manifest,
)
from cachegrid.cluster.keeping.places import Home, Homes
from cachegrid.engines.valkey.target import Target
from cachegrid.errors import ConfigError, GridError

__all__ = ["UNFINISHED", "BackupPlan", "Progress", "backup", "plan_backup"]

Progress = Callable[[str, int, int], None]  # what is done, how far it is, and how far it will come

UNFINISHED: Final = ".unfinished"  # what the folder's name ends with until it is a backup
AHEAD: Final = 1  # pages of a thousand entries that are read while another one is written; more is no faster
NOTES: Final = b"cg!"  # what engines note beside entries
INVITATIONS: Final = b"cachegrid!"  # of hosts: for others to join by, and of no use to them later
STRANGE, OTHERS, ORPHANS = "of another type", "not of cachegrid", "of a cache that is unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPlan:
    """What is about to be kept: entries as the owners count them, and the memory that they take."""

    grid: str
    folder: Path
    cache: str | None  # with its namespace; None: all
    owners: int
    entries: int
    bytes: int


def plan_backup(engine: KeepingEngine, folder: Path, *, grid: str, cache: str | None) -> BackupPlan:
    """What a backup would keep, about. Raises ConfigError or GridError for such a folder as cannot be used."""
    _check_free(folder)
    owners = [member for member in engine.members() if member.role == "owner" and member.up]
    return BackupPlan(
        grid=grid,
        folder=folder,
        cache=cache,
        owners=len(owners),
        entries=sum(owner.entries for owner in owners),
        bytes=sum(owner.memory_bytes for owner in owners),
    )


def backup(
    target: Target,
    folder: Path,
    *,
    grid: str = "",
    cache: str | None = None,
    is_rehearsal: bool = False,
    tell: Callable[[BackupPlan], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Manifest | None:
    """
    Keep all entries of a grid, or those of one cache (`namespace:cache`), in a folder that is not there yet.

    The folder is there when all of it is: until then its name ends with `.unfinished`, and a backup that is begun again
    begins anew. Entries are kept as they are when they are come to. Returns None for a rehearsal. Raises ConfigError or
    GridError for a folder that cannot be used or written, or EngineError.
    """
    folder = folder.absolute()
    with closing(opened(target)) as engine:
        plan = plan_backup(engine, folder, grid=grid, cache=cache)
        tell(plan)
        if is_rehearsal:
            return None
        try:
            with _draft(folder) as draft:
                manifest = _Taking(engine, draft, plan, progress).all()
                if cache is not None and not manifest.caches:
                    raise ConfigError("--cache", cache.partition(":")[2], "one that has entries in this grid")
                write_manifest(draft, manifest)
                draft.rename(folder)
                _sync(folder.parent)
        except OSError as error:
            raise GridError(f"{folder} cannot be written: {error.strerror or error}; nothing is left of it") from error
    return manifest


class _Read(NamedTuple):
    """Entries as their owners had them, and when they were asked, in ms."""

    begun: int
    page: Page


class _Taking:
    """One backup under way."""

    def __init__(self, engine: KeepingEngine, draft: Path, plan: BackupPlan, progress: Progress) -> None:
        self._engine, self._plan, self._progress = engine, plan, progress
        self._writer = Writer(draft)
        self._epochs: dict[str, int | None] = {}  # as they were when their cache was first met
        self._homes = Homes()
        self._tags, self._able = SyncTagBook(), cast("SyncAbleEngine", engine)
        self._met: set[Home] = set()
        self._alive: set[Home] = set()  # those that may be, of the ones that were met
        self._orphans: set[Home] = set()  # those without an epoch
        self._counts: dict[bytes, list[int]] = {}  # by prefix: entries, bytes
        self._left_out = dict.fromkeys((STRANGE, OTHERS, ORPHANS), 0)
        self._done = 0

    def all(self) -> Manifest:
        """Take everything, and tell what was taken."""
        begun = _now()
        shares = self._engine.shares()
        server = next((member.version for member in self._engine.members() if member.up), "")
        try:
            prefix = f"{self._plan.cache}:".encode() if self._plan.cache else b""
            self._walk(prefix)
            parts = self._writer.close()
        finally:
            self._writer.abandon()
        # Now, and not at the beginning: what was cleared while this went on was cleared.
        epochs = self._engine.known_epochs(sorted(self._epochs)) if self._epochs else {}
        alive = {name: epoch for name, epoch in epochs.items() if epoch is not None}
        return Manifest(
            grid=self._plan.grid,
            server=server,
            begun=begun,
            ended=_now(),
            epochs=alive,
            caches=tuple(self._caches(alive)),
            parts=parts,
            is_exact=shares == self._engine.shares(),
            left_out={what: count for what, count in self._left_out.items() if count},
        )

    def _walk(self, prefix: bytes) -> None:
        """Go through all addresses; while owners look for some, others are on their way, and others are written."""
        under_way: deque[Future[_Read]] = deque()
        with ThreadPoolExecutor(AHEAD) as pool:
            for page in self._engine.walk(prefix):
                ours = self._ours(page)
                self._done += len(page)
                under_way.append(pool.submit(self._read, ours))
                if len(under_way) > AHEAD:
                    self._write(under_way.popleft().result())
            while under_way:
                self._write(under_way.popleft().result())

    def _read(self, addresses: list[bytes]) -> _Read:
        return _Read(_now(), self._engine.read(addresses))

    def _write(self, read: _Read) -> None:
        """Write a page of entries; large ones are read only now."""
        begun, (entries, large, strange) = read
        self._left_out[STRANGE] += strange
        self._learn_tags(entries)
        for seen in entries:
            self._add(seen, begun)
        begun = _now()
        for seen in self._engine.read_large(large):
            self._add(seen, begun)
        self._progress("entries", self._done, max(self._plan.entries, self._done))

    def _learn_tags(self, entries: Iterable[Seen]) -> None:
        """Ask at once for the tags of entries."""
        by_cache: dict[bytes, set[bytes]] = {}
        for seen in entries:
            if raw := epochs_in(seen.frame):
                by_cache.setdefault(parent_of(seen.address), set()).add(raw)
        for parent, raws in by_cache.items():
            self._tags.learn(self._able, parent, raws)

    def _is_dead(self, seen: Seen) -> bool:
        """Whether one of an entry's tags was raised since it was written."""
        raw = epochs_in(seen.frame)
        return raw != b"" and self._tags.confirmed(self._able, parent_of(seen.address), raw) is None

    def _add(self, seen: Seen, now: int) -> None:
        if self._is_dead(seen):
            return
        end = 0 if seen.left is None else now + seen.left
        self._writer.add(Record(seen.address, seen.frame, end))
        counts = self._counts[prefix_of(seen.address)]
        counts[0] += 1
        counts[1] += len(seen.address) + len(seen.frame)

    def _ours(self, page: list[bytes]) -> list[bytes]:
        """The addresses of entries that may be alive."""
        homes = {address: self._homes.of(address) for address in page}
        self._meet({home for home in homes.values() if home})
        ours: list[bytes] = []
        for address, home in homes.items():
            if home is None:
                self._left_out[OTHERS] += not address.startswith((NOTES, INVITATIONS))
            elif home in self._alive:
                ours.append(address)
            elif home in self._orphans:
                self._left_out[ORPHANS] += 1
        return ours

    def _meet(self, homes: set[Home]) -> None:
        """Learn of caches that were not met before whether they are alive: cleared ones are not worth the trip."""
        new = homes - self._met
        names = {name for home in new for name in home.names} - self._epochs.keys()
        if names:
            self._epochs |= self._engine.known_epochs(sorted(names))
        for home in new:
            if any(self._epochs[name] is None for name in home.names):
                self._orphans.add(home)
            elif home.may_be_alive(self._epochs):
                self._alive.add(home)
                self._counts[home.prefix(home.epochs)] = [0, 0]
        self._met |= new

    def _caches(self, alive: Mapping[str, int]) -> Iterator[CacheTold]:
        """What was taken of each cache, by name, and is alive."""
        told: dict[str, list[int]] = {}
        for home in self._alive:
            entries, size = self._counts[home.prefix(home.epochs)]
            if home.is_alive(alive) and entries:
                sums = told.setdefault(home.cache, [0, 0])
                sums[0] += entries
                sums[1] += size
        for name, (entries, size) in sorted(told.items()):
            yield CacheTold(name=name, epoch=alive[name], entries=entries, bytes=size)


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """The folder to write into, empty, and this process's alone; removed if the block ends in an error."""
    draft, lock = folder.with_name(folder.name + UNFINISHED), None
    try:
        with held_back():  # else it might be made, and removed by nobody
            lock = _claimed(draft, folder)
        yield draft
    except BaseException:
        if lock is not None:
            shutil.rmtree(draft, ignore_errors=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _claimed(draft: Path, folder: Path) -> int:
    """Make a folder, or empty what a backup has left that was killed; its lock, open."""
    import fcntl

    if draft.is_symlink() or (draft.exists() and not draft.is_dir()):
        raise ConfigError("DIR", str(folder), f"one beside which no {draft.name} is that is not a folder")
    draft.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GridError(f"another backup is being written to {draft}") from None
        there = sorted(draft.iterdir())
        if foreign := [path.name for path in there if not is_left_over(path)]:
            want = f"one beside which {draft.name} has only what a backup left; it holds {foreign[0]!r}"
            raise ConfigError("DIR", str(folder), want)
        draft.chmod(0o700)
        for left in there:
            left.unlink()
    except BaseException:
        os.close(lock)
        raise
    return lock


def _check_free(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        raise GridError(f"{folder} holds a backup already: name a folder that is not there yet")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("DIR", str(folder), "a folder that is not there yet, or is empty")
    if not folder.parent.is_dir():
        raise ConfigError("DIR", str(folder), f"in a folder that is there; {folder.parent} is not")


def _sync(folder: Path) -> None:
    """Let the disk know of what was renamed in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _now() -> int:
    return time.time_ns() // 1_000_000
