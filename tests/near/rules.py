"""
The rules that keep copies from being stale, each with a way to disable it in this process.

Some have ways to widen their moments, too: see `moments`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import cachegrid._aio.cell
import cachegrid._aio.loads
import cachegrid._aio.near
import cachegrid._aio.tagbook
import cachegrid._sio.cell
import cachegrid._sio.loads
import cachegrid._sio.near
import cachegrid._sio.tagbook
import cachegrid.engines.valkey._aio.asking
import cachegrid.engines.valkey._sio.asking
from cachegrid._aio.flights import Landed
from cachegrid.engines.valkey.watch.ear import Ear
from cachegrid.engines.valkey.watch.watch import Watch
from cachegrid.near.copies import Copies
from cachegrid.near.nearby import Nearby, seen
from tests.near.moments import (
    FLOWS,
    LOADS,
    far_owners,
    late_news,
    linger,
    patient_ears,
    slow_reloads,
    slow_return,
    slower_return,
    stuck_news,
)

__all__ = ["RULES", "Rule", "prepare"]

ENDLESS: Final = float("inf")
ENGINES: Final[tuple[Any, ...]] = (
    cachegrid.engines.valkey._aio.asking.AsyncAsking,
    cachegrid.engines.valkey._sio.asking.SyncAsking,
)
BOOKS: Final[tuple[Any, ...]] = (cachegrid._aio.tagbook.AsyncTagBook, cachegrid._sio.tagbook.SyncTagBook)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule: what it says, how to disable it, how to widen its moment, and the faults and policy that it takes."""

    says: str
    disable: Callable[[], None]
    widen: tuple[Callable[[], None], ...] = ()
    faults: tuple[str, ...] = ()
    near: dict[str, Any] = field(default_factory=dict)
    clears: bool = False
    kinds: tuple[str, ...] = ("plain",)
    load: dict[str, Any] = field(default_factory=dict)  # how many keys, readers at once, and writes
    staleness: float = 0.5  # seconds, as in the policy
    patience: float | None = None  # seconds that a request waits for its answer


def prepare(without: str | None, widen: tuple[str, ...]) -> None:
    """Disable a rule in this process, and widen the moments of some."""
    for wide in dict.fromkeys(wide for name in widen for wide in RULES[name].widen):
        wide()
    if without is not None:
        RULES[without].disable()


# Disabling.


def _no_tokens() -> None:
    Copies.token = lambda *_: 0  # type: ignore[method-assign]


class _Silent:
    """What is near, but for what it should be told by a reader."""

    def __init__(self, nearby: Nearby) -> None:
        self._nearby = nearby

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nearby, name)

    def changed(self, address: bytes) -> None:
        """Say nothing."""


def _no_spoiling() -> None:
    keeping = threading.local()
    spoil, keep = Copies.spoil, Copies.keep

    def keep_quietly(self: Copies, *args: Any) -> Any:
        keeping.on = True
        try:
            return keep(self, *args)
        finally:
            keeping.on = False

    def spoil_elsewhere(self: Copies, address: bytes) -> None:
        if not getattr(keeping, "on", False):
            spoil(self, address)

    Copies.keep, Copies.spoil = keep_quietly, spoil_elsewhere  # type: ignore[method-assign, assignment]
    for flow in FLOWS:
        _tell_nobody(flow)
    for near in (cachegrid._aio.near, cachegrid._sio.near):
        # Who reads is not told of it himself: that would be taken for news.
        _let(near, "seen", lambda parent, found, but: seen(parent, found, getattr(but, "_nearby", but)))


def _tell_nobody(flow: Any) -> None:
    mark = flow._mark  # what every read that asks the grid begins with

    def quietly(self: Any, address: bytes) -> Any:
        if not isinstance(self._nearby, _Silent):
            self._nearby = _Silent(self._nearby)
        return mark(self, address)

    flow._mark = quietly


def _no_telling() -> None:
    def use(self: Any, engine: Any) -> None:
        self._engine = self._writer = engine

    for flow in FLOWS:
        flow._use = use


def _no_giving_up() -> None:
    ear: Any = Ear
    ear.deafen = lambda *_: None


def _no_heartbeats() -> None:
    hear = Ear.hear
    Ear.hear = lambda self, *_: hear(self, ENDLESS)  # type: ignore[method-assign]


def _anybody() -> None:
    for flow in FLOWS:
        _without_trouble(flow)


def _without_trouble(flow: Any) -> None:
    mark = flow._mark
    flow._mark = lambda self, address: mark(self, address)._replace(trouble=0)


def _no_moves() -> None:
    adopt, tell_all = Watch._adopt, Watch._tell_all
    adopting = threading.local()

    def adopt_quietly(self: Watch, routes: Any) -> None:
        adopting.on = True
        try:
            adopt(self, routes)
        finally:
            adopting.on = False

    def tell(self: Watch, is_lost: Any) -> None:
        if not getattr(adopting, "on", False):
            tell_all(self, is_lost)

    Watch._adopt, Watch._tell_all = adopt_quietly, tell  # type: ignore[method-assign]
    # The new owner's ear would take along what has come to its slots, when it breaks.
    Watch.lost = lambda *_: None  # type: ignore[method-assign]


def _no_bells() -> None:
    for engine in ENGINES:
        engine._bell = lambda *_: None


def _no_ends() -> None:
    cachegrid._aio.near.AsyncNearCache._life = lambda *_: cachegrid._aio.near._NEVER  # type: ignore[method-assign]
    cachegrid._sio.near.SyncNearCache._life = lambda *_: cachegrid._sio.near._NEVER  # type: ignore[method-assign]


def _no_seeing() -> None:
    cells: tuple[Any, ...] = (cachegrid._aio.cell.AsyncCell, cachegrid._sio.cell.SyncCell)
    for cell in cells:
        cell._saw = lambda *_: None


def _no_landings() -> None:
    for loads in LOADS:
        _store_anyhow(loads, is_async=loads is LOADS[0])


def _store_anyhow(loads: Any, *, is_async: bool) -> None:
    async def store_async(self: Any, load: Any, frame: bytes, _: bytes | None) -> Landed:
        await self._writer.store(load.address, frame, load.ends.engine)
        return Landed(is_for_all=True, is_released=False)

    def store_sync(self: Any, load: Any, frame: bytes, _: bytes | None) -> Landed:
        self._writer.store(load.address, frame, load.ends.engine)
        return Landed(is_for_all=True, is_released=False)

    loads._store_loaded = store_async if is_async else store_sync


def _no_marks() -> None:
    for near in (cachegrid._aio.near, cachegrid._sio.near):
        _let(near, "holds", lambda *_: True)


def _no_doubts() -> None:
    for book in BOOKS:
        book._trusted = _known_by


def _known_by(book: Any, engine: Any, names: list[bytes]) -> dict[bytes, Any]:
    """What a book remembers of tags, as if no epoch had been raised since."""
    found = {name: book._known[name] for name in names if name in book._known}
    return {
        name: known._replace(mark=known.mark._replace(doubt=engine.doubts[known.mark.bucket]))
        for name, known in found.items()
    }


def _no_tag_bells() -> None:
    for engine in ENGINES:
        engine._doubt_tags = lambda *_: None


def _late_stamps() -> None:
    for loads in LOADS:
        _stamp_late(loads, is_async=loads is LOADS[0])


def _stamp_late(loads: Any, *, is_async: bool) -> None:
    ask = loads._ask_origin

    async def ask_async(self: Any, load: Any) -> bytes:
        await ask(self, load)
        load.stamped = await self._stamped(load.terms.tags, load.ends.last)
        return self._freeze(load.address, load.key, load.value, load.ends, load.stamped.stamps)  # type: ignore[no-any-return]

    def ask_sync(self: Any, load: Any) -> bytes:
        ask(self, load)
        load.stamped = self._stamped(load.terms.tags, load.ends.last)
        return self._freeze(load.address, load.key, load.value, load.ends, load.stamped.stamps)  # type: ignore[no-any-return]

    loads._ask_origin = ask_async if is_async else ask_sync


def _share_all() -> None:
    for loads in (cachegrid._aio.loads, cachegrid._sio.loads):
        _let(loads, "holds", lambda *_: True)


def _no_versions() -> None:
    for loads in LOADS:
        _replace_anyhow(loads, is_async=loads is LOADS[0])


def _replace_anyhow(loads: Any, *, is_async: bool) -> None:
    keep = loads._keep

    async def keep_async(self: Any, load: Any, frame: bytes) -> bool:
        if load.reloads is None:
            return await keep(self, load, frame)  # type: ignore[no-any-return]
        await self._writer.store(load.address, frame, load.ends.engine)
        return True

    def keep_sync(self: Any, load: Any, frame: bytes) -> bool:
        if load.reloads is None:
            return keep(self, load, frame)  # type: ignore[no-any-return]
        self._writer.store(load.address, frame, load.ends.engine)
        return True

    loads._keep = keep_async if is_async else keep_sync


def _let(module: Any, name: str, be: object) -> None:
    setattr(module, name, be)


RULES: Final = {
    "tokens": Rule(
        says="an answer is kept only if nothing was heard of its address since it was asked for",
        disable=_no_tokens,
        widen=(linger,),
        load={"lanes": 5},
    ),
    "spoils": Rule(
        says="an answer that was given lets no older one be kept after it",
        disable=_no_spoiling,
        widen=(linger, late_news),
        load={"lanes": 8, "tags": 2, "rate": 40, "readers": 3},
    ),
    "ways": Rule(
        says="what was read past the copies lets no older one stay",
        disable=_no_seeing,
        widen=(late_news,),
        kinds=("changed",),
        load={"tags": 4, "rate": 30},
    ),
    "own writes": Rule(
        says="what this process writes is dropped here before its caller goes on",
        disable=_no_telling,
        widen=(late_news,),
    ),
    "guards": Rule(
        says="when a connection for news breaks, copies that it guarded are given up",
        disable=_no_giving_up,
        widen=(slow_return,),
        faults=("ears",),
        staleness=1.0,
    ),
    "heartbeats": Rule(
        says="a copy whose guard was not heard lately is not handed out",
        disable=_no_heartbeats,
        widen=(stuck_news,),
        staleness=0.25,
    ),
    "owners": Rule(
        says="an answer of anybody but the owner is not kept",
        disable=_anybody,
        widen=(patient_ears,),
        faults=("lag",),
        staleness=0.2,
        patience=0.15,
        load={"tags": 48, "rate": 20},
    ),
    "moves": Rule(
        says="copies whose slot has another owner are given up",
        disable=_no_moves,
        widen=(slower_return,),
        faults=("deaf move",),
        near={"absent": True},
        load={"tags": 96, "rate": 40},
    ),
    "bells": Rule(
        says="a raised epoch is heard by who only reads copies",
        disable=_no_bells,
        clears=True,
    ),
    "ends": Rule(
        says="a copy ends when its entry does, though nobody tells",
        disable=_no_ends,
        widen=(far_owners,),
        kinds=("short",),
        staleness=1.0,
    ),
    "landings": Rule(
        says="what was loaded is not stored where something was set or deleted meanwhile",
        disable=_no_landings,
        kinds=("loaded", "cached"),
        load={"tags": 6, "rate": 30},
    ),
    "marks": Rule(
        says="a copy with tags is not handed out when one of them may have been raised",
        disable=_no_marks,
        kinds=("tagged",),
    ),
    "doubts": Rule(
        says="the epoch of a tag is asked for again when it may have been raised",
        disable=_no_doubts,
        kinds=("tagged",),
    ),
    "tag bells": Rule(
        says="a raised tag is heard by who only reads copies",
        disable=_no_tag_bells,
        kinds=("tagged",),
    ),
    "stamps": Rule(
        says="what is loaded has its tags as they were before it was loaded",
        disable=_late_stamps,
        kinds=("tagged",),
        load={"tags": 6, "rate": 30},
    ),
    "flights": Rule(
        says="who asks after a tag was raised is not given what was being loaded then",
        disable=_share_all,
        kinds=("tagged",),
        load={"tags": 1, "rate": 60, "lanes": 8},
    ),
    "reloads": Rule(
        says="what was loaded behind the backs of all takes the place of what it was loaded for, and of nothing else",
        disable=_no_versions,
        widen=(slow_reloads,),
        kinds=("graced",),
        load={"tags": 6, "rate": 30},
    ),
}
