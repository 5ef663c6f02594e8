"""
The files of a backup: parts with entries, and a manifest that is written last and knows what every part has to be.

A part is `HEAD`, then blocks: two lengths of 4 bytes (stored, plain), and a zstd frame, or the plain bytes where the
lengths are the same. In a block are records: the length of the address (2 bytes), that of the frame (4), when the entry
ends (8: ms since 1970; 0 is never), the address and the frame. All numbers are big-endian.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Self

from cachegrid.cluster.state import write_atomically
from cachegrid.codecs.squeeze import expand, squeeze
from cachegrid.errors import FrameError, GridError

__all__ = [
    "MANIFEST",
    "CacheTold",
    "Counted",
    "Manifest",
    "Part",
    "Record",
    "Writer",
    "check",
    "is_left_over",
    "read_manifest",
    "records",
    "write_manifest",
]

MANIFEST: Final = "manifest.json"
HEAD: Final = b"cachegrid backup 1\n"
FORMAT: Final = 1
BLOCK: Final = 1 << 20  # bytes of records that are compressed together
LARGEST: Final = 1 << 30  # bytes of a block: one record may be as large as a server lets it
PART: Final = 256 << 20  # bytes of a part, about
STEP: Final = 1 << 20
_PART_NAME: Final = re.compile(r"entries-\d{5,}")
_LEFT_OVER: Final = re.compile(r"entries-\d{5,}|manifest\.json\.\d+\.new")
_LENGTHS: Final = struct.Struct(">II")
_RECORD: Final = struct.Struct(">HIQ")


class Record(NamedTuple):
    """An entry: where it was, what was stored there, and when it ends, in ms since 1970; 0 is never."""

    address: bytes
    frame: bytes
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a file of entries has to be."""

    file: str
    size: int
    sha256: str
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTold:
    """A cache in a backup: the entries that were alive when it ended, and the bytes they take."""

    name: str  # with its namespace
    epoch: int
    entries: int
    bytes: int


class Counted:
    """What has caches has their entries."""

    __slots__ = ()
    caches: tuple[CacheTold, ...]

    @property
    def entries(self) -> int:
        """How many entries can be brought back."""
        return sum(cache.entries for cache in self.caches)

    @property
    def bytes(self) -> int:
        """The bytes of their addresses and frames; in memory they take more."""
        return sum(cache.bytes for cache in self.caches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Counted):
    """What a backup is, and from when; times are ms since 1970 by the clock of the host that made it."""

    grid: str
    server: str
    begun: int
    ended: int
    epochs: dict[str, int]  # of each cache, and of each one inside a cache (`namespace:cache/inner`)
    caches: tuple[CacheTold, ...]
    parts: tuple[Part, ...]
    is_exact: bool = True  # else owners were replaced, or slots moved, meanwhile: some entries may be in it twice
    left_out: dict[str, int] = field(default_factory=dict)  # what was there and is not kept, and how many of each

    def told(self) -> dict[str, Any]:
        """As it is written."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """From what was written. KeyError, TypeError or ValueError for what is none."""
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}, and this version of cachegrid reads {FORMAT}")
        said = {name: value for name, value in told.items() if name != "format"}
        caches = tuple(CacheTold(**each) for each in said.pop("caches"))
        parts = tuple(Part(**each) for each in said.pop("parts"))
        if not all(_PART_NAME.fullmatch(part.file) for part in parts):
            raise ValueError("it names files that no backup has")
        return cls(caches=caches, parts=parts, **said)


class Writer:
    """Writes parts into a folder; `close` returns what they are. Only their owner can read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[Part] = []
        self._records: list[bytes] = []
        self._waiting = self._entries = self._size = 0
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    def add(self, record: Record) -> None:
        """Write an entry, soon. Raises OSError."""
        address, frame, end = record
        whole = _RECORD.pack(len(address), len(frame), end) + address + frame
        self._records.append(whole)
        self._waiting += len(whole)
        self._entries += 1
        if self._waiting >= BLOCK:
            self._flush()

    def close(self) -> tuple[Part, ...]:
        """Write what is left, and see to it that it is on the disk. Raises OSError."""
        self._flush()
        self._end_part()
        return tuple(self._parts)

    def abandon(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flush(self) -> None:
        if not self._records:
            return
        plain = b"".join(self._records)
        self._records, self._waiting = [], 0
        stored = squeeze(plain) or plain
        if self._file is None:
            self._begin_part()
        self._put(_LENGTHS.pack(len(stored), len(plain)) + stored)
        if self._size >= PART:
            self._end_part()

    def _begin_part(self) -> None:
        path = self._folder / self._name
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._digest, self._size = hashlib.sha256(), 0
        self._put(HEAD)

    def _put(self, raw: bytes) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        self._file.write(raw)
        self._digest.update(raw)
        self._size += len(raw)

    def _end_part(self) -> None:
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self.abandon()
        digest = self._digest.hexdigest()
        self._parts.append(Part(file=self._name, size=self._size, sha256=digest, entries=self._entries))
        self._entries = 0

    @property
    def _name(self) -> str:
        return f"entries-{len(self._parts) + 1:05}"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make a backup of a folder with parts. Raises OSError."""
    told = manifest.told()
    write_atomically(
        folder / MANIFEST, json.dumps(told | {"sha256": _digest_of(told)}, indent=1, sort_keys=True), durable=True
    )


def is_left_over(path: Path) -> bool:
    """Whether a file is one as a backup leaves them that is killed before it is whole."""
    return bool(_LEFT_OVER.fullmatch(path.name)) and path.is_file() and not path.is_symlink()


def read_manifest(folder: Path) -> Manifest:
    """What a backup is. Raises GridError where the folder holds none, or a damaged one."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        if told.pop("sha256") != _digest_of(told):
            raise ValueError("its checksum is another")
        return Manifest.of(told)
    except FileNotFoundError:
        if not folder.exists():
            raise GridError(f"{folder}: there is no such folder, nor a backup") from None
        raise GridError(f"{folder} is no backup, or one that did not come to its end: it has no {MANIFEST}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise GridError(
            f"{folder / MANIFEST} cannot be used ({error}): the backup is damaged, or a newer one"
        ) from error


def check(folder: Path, parts: Iterable[Part], progress: Callable[[int], None] = lambda _: None) -> None:
    """
    Read all parts, and see that they are what was written; `progress` is told how many bytes were read.

    Raises GridError, naming the file that is missing, cut short or damaged.
    """
    for part in parts:
        path, digest, size = folder / part.file, hashlib.sha256(), 0
        try:
            with path.open("rb") as file:
                while step := file.read(STEP):
                    digest.update(step)
                    size += len(step)
                    progress(len(step))
        except OSError as error:
            raise GridError(f"{path} of the backup cannot be read: {error.strerror}") from error
        if size != part.size:
            raise GridError(f"{path} has {size:,} bytes, and had {part.size:,}: nothing was restored")
        if digest.hexdigest() != part.sha256:
            raise GridError(f"{path} is damaged, its checksum is another: nothing was restored")


def records(folder: Path, part: Part) -> Iterator[list[Record]]:
    """The entries of a part, some at a time, in the order they were written. GridError for what is no part."""
    path = folder / part.file
    try:
        with path.open("rb") as file:
            if file.read(len(HEAD)) != HEAD:
                raise GridError(f"{path} is no part of a backup")
            while lengths := file.read(_LENGTHS.size):
                stored, plain = _LENGTHS.unpack(lengths)
                yield list(_records_in(_block(file.read(stored), stored, plain)))
    except (FrameError, struct.error, OSError) as error:
        raise GridError(f"{path} is damaged: {error}") from error


def _block(raw: bytes, stored: int, plain: int) -> bytes:
    if len(raw) != stored:
        raise FrameError(f"it ends {stored - len(raw)} bytes too early")
    return raw if stored == plain else expand(raw, LARGEST)


def _records_in(block: bytes) -> Iterator[Record]:
    at = 0
    while at < len(block):
        address, frame, end = _RECORD.unpack_from(block, at)
        start = at + _RECORD.size
        middle, at = start + address, start + address + frame
        if at > len(block):
            raise FrameError("a record is longer than its block")
        yield Record(block[start:middle], block[middle:at], end)


def _digest_of(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
