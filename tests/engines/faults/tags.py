"""Engines whose tags are otherwise than promised."""

from __future__ import annotations

from collections.abc import Sequence

from cachegrid._core.tags import BUCKETS
from tests.engines.faults.fault import Engine, fault

__all__: list[str] = []


@fault("tag_epochs", "makes what is not there", "a_tag_has_no_epoch_until_it_is_made")
async def _(self: Engine, names: Sequence[bytes]) -> list[int]:
    return self._store.make_tag_epochs(names)


@fault("tag_epochs", "trusts itself", "a_raise_brings_doubt_of_the_tag_to_all", "raising_tags_gives_greater_epochs")
async def _(self: Engine, names: Sequence[bytes]) -> list[int]:
    return [self.seen.setdefault(name, self._store.tag_epochs([name])[0]) for name in names]


@fault("make_tag_epochs", "keeps none for long", "a_tag_is_kept_for_as_long_as_it_is_needed")
async def _(self: Engine, names: Sequence[bytes], last: int | None) -> list[tuple[int, int | None]]:
    return [(epoch, 60_000) for epoch in self._store.make_tag_epochs(names)]


@fault("raise_tags", "raises one", "raising_tags_gives_greater_epochs")
async def _(self: Engine, names: Sequence[bytes]) -> None:
    self._store.raise_tags(names[:1])


@fault("raise_tags", "raises all", "raising_tags_gives_greater_epochs")
async def _(self: Engine, names: Sequence[bytes]) -> None:
    self._store.raise_tags(list(self._store._tags._epochs))


@fault("raise_tags", "tells of what it knows", "a_tag_that_nobody_knows_may_be_raised")
async def _(self: Engine, names: Sequence[bytes]) -> None:
    self._store.raise_tags([name for name in names if self._store.tag_epochs([name])[0]])


@fault("raise_tags", "lets all be doubted", "raising_a_tag_brings_no_other_doubt")
async def _(self: Engine, names: Sequence[bytes]) -> None:
    self._store.raise_tags(names)
    self._store.doubts[:] = [doubt + 1 for doubt in self._store.doubts]


@fault("suspect", "doubts no tags", "who_doubts_all_doubts_tags")
def _(self: Engine, tags: Sequence[int] = ()) -> None:
    self._store.doubt += 1


@fault("heads", "gives whole frames", "heads_are_the_beginnings_of_frames")
async def _(self: Engine, addresses: Sequence[bytes], size: int) -> list[bytes | None]:
    return self._store.fetch_many(addresses)


@fault("drop_versions", "drops all", "only_these_versions_are_dropped")
async def _(self: Engine, entries: Sequence[tuple[bytes, bytes]]) -> int:
    return self._store.drop_many([address for address, _ in entries]) - 1


@property  # type: ignore[misc]
def _rings_for_itself(self: Engine) -> int:
    return len(self.seen)


fault("rings", "does not hear of others", "a_raise_brings_doubt_of_the_tag_to_all")(_rings_for_itself)


@property  # type: ignore[misc]
def _doubts_itself(self: Engine) -> list[int]:
    return [len(self.seen)] * BUCKETS


fault(
    "doubts",
    "does not hear of others",
    "a_raise_brings_doubt_of_the_tag_to_all",
    "a_raise_of_a_tag_among_other_requests_brings_doubt",
)(_doubts_itself)
