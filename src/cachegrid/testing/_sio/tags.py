# Generated from src/cachegrid/testing/_aio/tags.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Tags."""

from __future__ import annotations

from functools import partial
from typing import Final

from cachegrid._core.tags import bucket_of
from cachegrid.testing._sio.bench import SyncBench, SyncWholeEngine, frame_of, promise, version_in, wall_ms
from cachegrid.testing.waits._sio import together
from cachegrid.waits._sio import sleep

__all__ = ["SyncTagsContract"]

MINUTE: Final = 60_000


class SyncTagsContract(SyncBench):
    """Epochs of many names, each doubted apart from most others."""

    @promise("Tags")
    def test_a_tag_has_no_epoch_until_it_is_made(self) -> None:
        """
        Asking for the epoch of a tag, and raising it, makes none; and made it is the same through every engine.
        """
        engines = [self.engine, self.another()]
        names = self.addresses(3)
        self.engine.raise_tags(names[:1])
        assert [0, 0, 0] == self.engine.tag_epochs(names)
        made = together(*[partial(engines[turn % 2].make_tag_epochs, names, MINUTE) for turn in range(8)])
        epochs = [epoch for epoch, _ in made[0]]
        assert [epochs] * 8 == [[epoch for epoch, _ in told] for told in made]
        assert epochs == engines[1].tag_epochs(names)
        assert max(abs(epoch - wall_ms()) for epoch in epochs) < MINUTE

    @promise("Tags")
    def test_a_tag_is_kept_for_as_long_as_it_is_needed(self) -> None:
        """
        An epoch is kept for so long at least, and for longer when somebody needs it longer; raising it leaves that.
        """
        name = self.address()
        for last in (MINUTE, 100 * MINUTE, MINUTE, None):
            [(epoch, left)] = self.engine.make_tag_epochs([name], last)
            assert left is None or (last is not None and left >= last)
            self.engine.raise_tags([name])
            [(raised, still)] = self.engine.make_tag_epochs([name], 1)
            assert epoch < raised
            assert still is None or (left is not None and still > left - MINUTE // 2)

    @promise("Tags")
    def test_raising_tags_gives_greater_epochs(self) -> None:
        """
        Each tag that is raised has a greater epoch from then on, and the others have theirs.
        """
        names = self.addresses(40)
        before = [epoch for epoch, _ in self.engine.make_tag_epochs(names, MINUTE)]
        for _ in range(3):
            self.engine.raise_tags(names[:20])
            after = self.engine.tag_epochs(names)
            assert all(old < new for old, new in zip(before[:20], after[:20], strict=True))
            assert before[20:] == after[20:]
            before = after

    @promise("Tags")
    def test_a_raise_brings_doubt_of_the_tag_to_all(self) -> None:
        """
        Once a tag has been raised, no engine sees the answer to a later request before it doubts the tag.
        """
        engines = [self.engine, self.another(), self.another()]
        name = self.address()
        self.engine.make_tag_epochs([name], MINUTE)
        for turn in range(30):
            trusted = [(engine.rings, *self._trust_tag(engine, name)) for engine in engines]
            engines[turn % 3].raise_tags([name])
            for engine, (rings, doubt, epoch) in zip(engines, trusted, strict=True):
                engine.fetch(self.address(b"%d" % turn))  # any request, to any owner
                assert doubt != engine.doubts[bucket_of(name)]
                assert rings != engine.rings
                assert epoch < (engine.tag_epochs([name]))[0]

    @promise("Tags")
    def test_a_raise_of_a_tag_among_other_requests_brings_doubt(self) -> None:
        """
        An engine that is busy doubts no later than an idle one does.
        """
        busy, name = self.another(), self.address()
        raised: list[int] = []

        def read() -> None:
            turn = 0
            while len(raised) < 20:
                turn += 1
                doubt, epoch = self._trust_tag(busy, name)
                sleep(0)
                known = max(raised, default=0)  # raised before the next request begins
                busy.fetch(self.address(b"%d" % turn))
                assert doubt != busy.doubts[bucket_of(name)] or known <= epoch

        def drop() -> None:
            while len(raised) < 20:
                self.engine.raise_tags([name])
                raised.append((self.engine.tag_epochs([name]))[0])
                sleep(0)

        self.engine.make_tag_epochs([name], MINUTE)
        together(drop, read, read)

    @promise("Tags")
    def test_a_tag_that_nobody_knows_may_be_raised(self) -> None:
        """
        Who still trusts the epoch of a tag that the grid has lost comes to doubt it as well.
        """
        other, name = self.another(), self.address()
        for turn in range(5):
            doubt, _ = self._trust_tag(other, name)
            self.engine.raise_tags([name])
            other.fetch(self.address(b"%d" % turn))
            assert doubt != other.doubts[bucket_of(name)]

    @promise("Tags", "Epochs")
    def test_raising_a_tag_brings_no_other_doubt(self) -> None:
        """
        The epochs of caches, and most other tags, are trusted as before.
        """
        names = self.addresses(50)
        buckets = {bucket_of(name) for name in names[1:]} - {bucket_of(names[0])}

        def is_calm() -> bool:
            before = self.engine.doubt, [self.engine.doubts[bucket] for bucket in buckets]
            self.engine.raise_tags(names[:1])
            for address in names[:20]:
                self.engine.fetch(address)
            return before == (self.engine.doubt, [self.engine.doubts[bucket] for bucket in buckets])

        assert True in [is_calm() for _ in range(5)]

    @promise("Tags", "Epochs", "Pushes")
    def test_who_doubts_all_doubts_tags(self) -> None:
        """
        Whoever has to doubt every epoch, as after a new connection, doubts those of tags as well.
        """
        bucket = bucket_of(self.address())
        doubt, of_tag = self.engine.doubt, self.engine.doubts[bucket]
        self.engine.suspect()
        assert (doubt == self.engine.doubt) == (of_tag == self.engine.doubts[bucket])

    @promise("Tags", "Batches")
    def test_heads_are_the_beginnings_of_frames(self) -> None:
        """
        Up to the size that is asked for, of those that are there.
        """
        one, two, three, none = self.addresses(4)
        self.engine.store_many([(one, b"0123456789" * 10, None), (two, b"01", None), (three, b"0123", None)])
        assert [b"0123", None, b"01", b"0123"] == self.engine.heads([one, none, two, three], 4)

    @promise("Tags", "Batches")
    def test_only_these_versions_are_dropped(self) -> None:
        """
        What was written meanwhile stays.
        """
        addresses = self.addresses(30)
        frames = [frame_of(b"%d" % number) for number in range(30)]
        self.engine.store_many([(where, frame, None) for where, frame in zip(addresses, frames, strict=True)])
        self.engine.store(addresses[0], frame_of(b"new"), None)
        entries = [(where, version_in(frame)) for where, frame in zip(addresses[:20], frames, strict=False)]
        assert 19 == self.engine.drop_versions(entries)
        assert [0, *range(20, 30)] == [
            place for place, raw in enumerate(self.engine.fetch_many(addresses)) if raw is not None
        ]

    def _trust_tag(self, engine: SyncWholeEngine, name: bytes) -> tuple[int, int]:
        """The doubt of a tag, noted before its epoch was read, and that."""
        doubt = engine.doubts[bucket_of(name)]
        return doubt, (engine.tag_epochs([name]))[0]
