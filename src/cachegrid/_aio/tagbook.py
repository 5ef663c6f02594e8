"""What is known in this process of the epochs of tags: asked for once, and trusted until one may have been raised."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from cachegrid._aio.ability import AsyncAbleEngine
from cachegrid._core.tags import Stamp, bucket_of, pack_stamps, unpack_stamps
from cachegrid.errors import FrameError

__all__ = ["NO_STAMPS", "AsyncTagBook", "Mark", "Stamped", "holds"]

_MOST: Final = 100_000  # tags that are remembered; then it begins anew
_ENDLESS: Final = float("inf")


class Mark(NamedTuple):
    """The doubt of a tag when its epoch was read: while it is the same, what was concluded holds."""

    bucket: int
    doubt: int


class Stamped(NamedTuple):
    """The tags of an entry as its frame has them, and what they rest on."""

    stamps: bytes
    marks: tuple[Mark, ...]


NO_STAMPS: Final = Stamped(b"", ())


class _Known(NamedTuple):
    epoch: int
    mark: Mark
    kept_until: float  # at least; monotonic seconds


def holds(engine: AsyncAbleEngine, marks: Iterable[tuple[int, int]]) -> bool:
    """Whether no tag of these may have been raised since. Written out: hits of near copies pay for it."""
    doubts = engine.doubts
    for bucket, doubt in marks:  # noqa: SIM110 - as said
        if doubts[bucket] != doubt:
            return False
    return True


class AsyncTagBook:
    """Remembers epochs by the whole name of a tag, cache included. Serves all threads."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

    @property
    def is_used(self) -> bool:
        """Whether any tag was met."""
        return bool(self._known)

    async def stamped(
        self, engine: AsyncAbleEngine, parent: bytes, tags: Sequence[bytes], last: int | None, *, afresh: bool = False
    ) -> Stamped:
        """
        What an entry carries that is written now, or whose load begins now, and lives for `last` ms.

        `afresh` asks the grid in any case, for writes that cannot be repeated when the news was not here yet.
        """
        if not tags:
            return NO_STAMPS
        needed_until = _ENDLESS if last is None else time.monotonic() + last / 1000
        names = [parent + tag for tag in tags]
        found = {} if afresh else self._trusted(engine, names)
        missing = [name for name in names if name not in found or found[name].kept_until < needed_until]
        if missing:
            marks = _marks(engine, missing)
            now = time.monotonic()
            made = await engine.make_tag_epochs(missing, last)
            for name, mark, (epoch, left) in zip(missing, marks, made, strict=True):
                found[name] = self._note(name, _Known(epoch, mark, _ENDLESS if left is None else now + left / 1000))
        stamps = [Stamp(tag, found[name].epoch) for tag, name in zip(tags, names, strict=True)]
        return Stamped(pack_stamps(stamps), tuple([found[name].mark for name in names]))

    async def confirmed(self, engine: AsyncAbleEngine, parent: bytes, raw: bytes) -> tuple[Mark, ...] | None:
        """
        What it rests on that an entry with these stamps is alive; None for one that is dead.

        So is one whose stamps are none: what cannot be read is a miss, and never an error.
        """
        try:
            stamps = {parent + tag: epoch for tag, epoch in unpack_stamps(raw)}
        except FrameError:
            return None
        found = self._trusted(engine, list(stamps))
        # An entry may have been written by who knows of a later epoch than is known here.
        unsure = [name for name, epoch in stamps.items() if name not in found or found[name].epoch < epoch]
        if unsure:
            found |= await self._asked(engine, unsure)
        if any(found[name].epoch != epoch for name, epoch in stamps.items()):
            return None
        return tuple([found[name].mark for name in stamps])

    async def learn(self, engine: AsyncAbleEngine, parent: bytes, raws: Iterable[bytes]) -> None:
        """Ask at once for what has to be known to confirm many entries."""
        names = {parent + stamp.tag for raw in set(raws) for stamp in _stamps_in(raw)}
        unknown = list(names.difference(self._trusted(engine, list(names))))
        if unknown:
            await self._asked(engine, unknown)

    async def _asked(self, engine: AsyncAbleEngine, names: list[bytes]) -> dict[bytes, _Known]:
        found = await self._answered(engine, names)
        fallen = [name for name, known in found.items() if 0 < known.epoch < self._epoch(name)]
        # Where there is doubt again by the time of the answer, it may be of a replica, or older than what is known.
        lost = [name for name in fallen if holds(engine, [found[name].mark])]
        if lost:
            # With an owner that went away: without another raise, dead entries would live again. Just one, for where
            # the clock of the new owner is behind that of the old one, it would take many to be where the epoch was.
            await engine.raise_tags(lost)
            found |= await self._answered(engine, lost)
        for name in set(fallen).difference(lost):
            found[name] = found[name]._replace(epoch=self._epoch(name))
        return {name: self._note(name, known) for name, known in found.items()}

    async def _answered(self, engine: AsyncAbleEngine, names: list[bytes]) -> dict[bytes, _Known]:
        marks = _marks(engine, names)
        epochs = await engine.tag_epochs(names)
        return {
            name: _Known(epoch, mark, self._kept_until(name, epoch))
            for name, mark, epoch in zip(names, marks, epochs, strict=True)
        }

    def _trusted(self, engine: AsyncAbleEngine, names: list[bytes]) -> dict[bytes, _Known]:
        doubts = engine.doubts
        found = {name: known for name in names if (known := self._known.get(name)) is not None}
        return {name: known for name, known in found.items() if doubts[known.mark.bucket] == known.mark.doubt}

    def _epoch(self, name: bytes) -> int:
        known = self._known.get(name)
        return 0 if known is None else known.epoch

    def _kept_until(self, name: bytes, epoch: int) -> float:
        known = self._known.get(name)
        return known.kept_until if known is not None and known.epoch == epoch else 0.0

    def _note(self, name: bytes, known: _Known) -> _Known:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[name] = known
        return known


def _stamps_in(raw: bytes) -> list[Stamp]:
    try:
        return unpack_stamps(raw)
    except FrameError:
        return []


def _marks(engine: AsyncAbleEngine, names: Sequence[bytes]) -> list[Mark]:
    doubts = engine.doubts
    buckets = map(bucket_of, names)
    return [Mark(bucket, doubts[bucket]) for bucket in buckets]
