"""What the lanes of a process call, and how each call is recorded. All calls are awaited, in either colour."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

from cachegrid.errors import CacheError
from tests.near.history import NOTHING, Clear, History, Load, Recorder, Write
from tests.near.keys import GRACED, LOADED, SHARED, SHORT, TAGGED, ends_soon, kind_of, number_of, tag_of, value_of

__all__ = ["Grid", "Loader", "Reads", "Writes", "note_near", "reloading"]

_MARKS: Final = 1000  # processes there may be: each gives its loads numbers of its own
_BATCH: Final = 6
_PAUSES: Final = (0, 0, 0.005, 0.03)  # seconds that a loader takes

_was_near: ContextVar[list[bool]] = ContextVar("_was_near")
_loaded: ContextVar[list[tuple[int, float]]] = ContextVar("_loaded")  # what this call has loaded, and since when

Sleep = Callable[[float], Awaitable[None]]


class Grid(Protocol):
    """What is read and written. The colours differ in what a loader is."""

    cache: Any
    function: Any  # whose results are kept

    def loader(self, key: str) -> Callable[[], Any]:
        """What loads a key."""


def note_near(cache: Any) -> None:
    """Let a cache note which of its reads were answered by a copy."""
    look = getattr(cache, "_near", None)
    if look is None:
        return
    unknown = look("not yet")

    def near(key: Any, **how: Any) -> Any:
        value = look(key, **how)
        _was_near.get([]).append(value is not unknown)
        return value

    cache._near = near


@contextmanager
def reloading(history: History, process: str, key: str, terms: Any) -> Iterator[None]:
    """Record what is loaded behind the backs of all; `terms` are those of the load."""
    loaded = list[tuple[int, float]]()
    noted = _loaded.set(loaded)
    done, asked = False, time.monotonic()
    try:
        yield
        done = True
    finally:
        _loaded.reset(noted)
        ended, grace = time.monotonic(), (terms.rules.grace or 0) / 1000
        history.count("loads behind all backs", len(loaded))
        for number, began in loaded:
            history.loads.append(Load(process, key, number, asked, began, ended, done, terms.ttl or 0, grace))


def _note() -> list[bool]:
    """Where it is noted of the keys asked for next, in this thread or task, whether they were near."""
    noted: list[bool] = []
    _was_near.set(noted)
    return noted


class Loader:
    """Gives values of its own; `at` is the number of the process."""

    def __init__(self, at: int, sleep: Sleep) -> None:
        self._marks = itertools.count(1)
        self._at, self._sleep = at, sleep

    async def load(self, key: str) -> Any:
        """A value that no other load gives."""
        mark = next(self._marks)
        number = -(mark * _MARKS + self._at)
        _loaded.get().append((number, time.monotonic()))
        await self._sleep(_PAUSES[mark % len(_PAUSES)])
        return value_of(key, number)


class Reads:
    """The reads of one lane, of its own keys and of all."""

    def __init__(
        self, grid: Grid, own: list[str], everybodys: list[str], chance: random.Random, process: str, history: History
    ) -> None:
        self._grid, self._own, self._all, self._chance = grid, own, everybodys, chance
        self._many = [key for key in everybodys if kind_of(key) != "cached"]
        self._process, self._history = process, history
        self.recorder = Recorder(process)

    async def read(self) -> None:
        """Read an entry, or a few."""
        if self._chance.random() < 0.05 and len(self._many) >= _BATCH:
            await self._get_many(self._chance.sample(self._many, _BATCH))
            return
        key = self._chance.choice(self._own if self._chance.random() < 0.3 else self._all)
        kind = kind_of(key)
        if kind == "cached":
            await self._load(key, 0, lambda: self._grid.function(key))
        elif kind in ("changed", "tagged") and self._chance.random() < 0.05:
            await self._entry(key)  # not of all kinds: it would end what is stale elsewhere before it shows
        elif kind in LOADED and self._chance.random() < 0.5:
            ttl = self._chance.uniform(*SHORT) if ends_soon(key) else 0
            await self._load(key, ttl, lambda: self._get_or_load(key, ttl))
        else:
            await self._get(key)

    async def _get(self, key: str) -> None:
        was_near = _note()
        began = time.monotonic()
        value = await self._grid.cache.get(key)
        ended = time.monotonic()
        self.recorder.read(key, began, ended, number_of(value), near=bool(was_near) and was_near[0])

    async def _entry(self, key: str) -> None:
        began = time.monotonic()
        entry = await self._grid.cache.entry(key)  # past all copies
        ended = time.monotonic()
        self.recorder.read(key, began, ended, NOTHING if entry is None else number_of(entry.value), near=False)

    async def _get_many(self, keys: Sequence[str]) -> None:
        was_near = _note()
        began = time.monotonic()
        found = await self._grid.cache.get_many(keys)
        ended = time.monotonic()
        for at, key in enumerate(keys):
            near = bool(was_near) and was_near[at]
            self.recorder.read(key, began, ended, number_of(found.get(key)), near=near)

    async def _get_or_load(self, key: str, ttl: float) -> Any:
        grace, early = GRACED
        rules = {"grace": grace, "early": early} if kind_of(key) == "graced" else {}
        tags = tag_of(key) or ()
        return await self._grid.cache.get_or_load(key, self._grid.loader(key), ttl=ttl or None, tags=tags, **rules)

    async def _load(self, key: str, ttl: float, call: Callable[[], Awaitable[Any]]) -> None:
        grace = GRACED[0] if kind_of(key) == "graced" else 0
        was_near, loaded = _note(), list[tuple[int, float]]()
        _loaded.set(loaded)
        done, asked = False, time.monotonic()
        try:
            value = await call()
            done = True
        finally:
            ended = time.monotonic()
            for number, began in loaded:
                self._history.loads.append(Load(self._process, key, number, asked, began, ended, done, ttl, grace))
                # It was called because there was nothing.
                self.recorder.read(key, asked, began, NOTHING, near=False, graced=bool(grace))
        near = bool(was_near) and was_near[0]
        self.recorder.read(key, asked, ended, number_of(value), near=near, graced=bool(grace))


class Writes:
    """The writes of one process, one after the other."""

    def __init__(
        self,
        grid: Grid,
        own: Sequence[str],
        everybodys: Sequence[str],
        *,
        process: str,
        zero: float,
        history: History,
        sleep: Sleep,
        seed: int,
    ) -> None:
        self._grid, self._process, self._zero, self._history, self._sleep = grid, process, zero, history, sleep
        self._chance = random.Random(seed)
        self._own, self._shared = own, [key for key in everybodys if kind_of(key) in SHARED]
        self._numbers = dict.fromkeys(own, 0)
        self._cycle = itertools.cycle(self._chance.sample(own, len(own)))
        self._hot = own[: max(2, len({kind_of(key) for key in own}))]  # are written all the time

    async def burst(self) -> None:
        """Write a few times."""
        chance, key = self._chance, next(self._cycle)
        if kind_of(key) in SHARED:
            key = chance.choice(self._shared)
        hot = chance.choice(self._hot)
        for _ in range(chance.choice((1, 1, 2, 3))):
            await self._write(hot if chance.random() < 0.2 else key)
            await self._sleep(chance.choice((0, 0.01)))
        both = list(dict.fromkeys([hot, key]))
        if chance.random() < 0.3 and all(kind_of(one) in ("plain", "loaded") for one in both):
            values = self._next_values(both)
            await self._recorded(both, self._grid.cache.set_many, values)

    async def clear(self, tag: str = "") -> None:
        """Clear all, or invalidate a tag."""
        done, began = False, time.monotonic()
        try:
            await (self._grid.cache.invalidate(tag) if tag else self._grid.cache.clear())
            done = True
        except CacheError as error:
            self._history.count(f"clears that failed: {type(error).__name__}")
        self._history.clears.append(Clear(self._process, began, time.monotonic(), done, tag))

    async def _write(self, key: str) -> None:
        match kind_of(key):
            case "cached":
                self._next_values([key])
                await self._recorded([key], self._grid.function.invalidate, key, drops=True)
            case "counted":
                with self._counted(key) as done:
                    done += [await self._grid.cache.incr(key, 1, start=self._start())]
            case "changed":
                with self._counted(key) as done:
                    await self._change(key, done)
            case kind if kind in TAGGED and self._chance.random() < 0.2:
                await self.clear(tag_of(key))
            case kind:
                await self._store(key, kind)

    async def _store(self, key: str, kind: str) -> None:
        values = self._next_values([key])
        if self._chance.random() < (0.2 if kind == "plain" else 0.4):
            await self._recorded([key], self._grid.cache.delete, key, drops=True)
            return
        # In whole milliseconds, as it is kept.
        ttl = round(self._chance.uniform(*SHORT), 3) if ends_soon(key) else 0
        tags: Any = {"tags": tag_of(key)} if kind in TAGGED else {}
        if self._chance.random() < 0.2:
            await self._recorded([key], self._grid.cache.set_many, values, ttl=ttl, **tags)
        else:
            await self._recorded([key], self._grid.cache.set, key, values[key], ttl=ttl, **tags)

    def _next_values(self, keys: Sequence[str]) -> dict[str, Any]:
        for key in keys:
            self._numbers[key] += 1
        return {key: value_of(key, self._numbers[key]) for key in keys}

    async def _recorded(
        self, keys: Sequence[str], call: Any, *args: Any, drops: bool = False, ttl: float | None = None, **how: str
    ) -> None:
        done, began = False, time.monotonic()
        try:
            await (call(*args) if ttl is None else call(*args, ttl=ttl or None, **how))
            done = True
        except CacheError as error:
            self._history.count(f"writes that failed: {type(error).__name__}")
        ended = time.monotonic()
        for key in keys:
            write = Write(self._process, key, self._numbers[key], began, ended, drops, done, ttl or 0)
            self._history.writes.append(write)

    # Where several write.

    @contextmanager
    def _counted(self, key: str) -> Iterator[list[int]]:
        """Record that the numbers that come to be in the list were written, or nobody knows which one."""
        numbers: list[int] = []
        done, began = False, time.monotonic()
        try:
            yield numbers
            done = True
        except CacheError as error:
            self._history.count(f"writes that failed: {type(error).__name__}")
            numbers.append(NOTHING)
        ended = time.monotonic()
        self._history.writes += [Write(self._process, key, one, began, ended, done=done) for one in numbers]

    async def _change(self, key: str, numbers: list[int]) -> None:
        cache, start = self._grid.cache, self._start()
        if self._chance.random() < 0.5:
            value = await cache.update(
                key, lambda value: value_of(key, number_of(value) + 1), default=value_of(key, start)
            )
            numbers.append(number_of(value))
            return
        entry = await cache.entry(key)
        number = start if entry is None else number_of(entry.value) + 1
        if entry is None:
            is_stored = await cache.add(key, value_of(key, number))
        else:
            is_stored = await cache.compare_and_set(key, entry.version, value_of(key, number))
        if is_stored:
            numbers.append(number)

    def _start(self) -> int:
        """Where a count begins anew: beyond all that can have been counted so far."""
        return int((time.monotonic() - self._zero) * 1_000_000)
