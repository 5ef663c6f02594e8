"""
Ways to widen the moments that the rules are for, which chance alone would not hit within seconds.

What widens is harmless as long as the rules hold, such as a pause between an answer and its being kept.
"""

from __future__ import annotations

import dataclasses
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import cachegrid._aio.loads
import cachegrid._aio.near
import cachegrid._sio.loads
import cachegrid._sio.near
import cachegrid.engines.valkey.watch.ear
import cachegrid.waits._aio
import cachegrid.waits._sio
from cachegrid.engines.valkey.watch.ear import Ear

__all__ = [
    "FLOWS",
    "LOADS",
    "far_owners",
    "late_news",
    "linger",
    "patient_ears",
    "slow_reloads",
    "slow_return",
    "slower_return",
    "stuck_news",
]

FLOWS: Final[tuple[Any, ...]] = (cachegrid._aio.near.AsyncNearCache, cachegrid._sio.near.SyncNearCache)
LOADS: Final[tuple[Any, ...]] = (cachegrid._aio.loads.AsyncLoads, cachegrid._sio.loads.SyncLoads)


def linger() -> None:
    """Let some answers take their time before they are kept."""
    chance = random.Random(1)
    for flow, waits in zip(FLOWS, (cachegrid.waits._aio, cachegrid.waits._sio), strict=True):
        _linger_in(flow, waits.sleep, chance, is_async=flow is FLOWS[0])


def _linger_in(flow: Any, sleep: Any, chance: random.Random, *, is_async: bool) -> None:
    fetch = flow._fetch

    async def linger_async(self: Any, address: bytes, *how: Any) -> Any:
        raw = await fetch(self, address, *how)
        if chance.random() < 0.4:
            await sleep(chance.uniform(0.005, 0.03))
        return raw

    def linger_sync(self: Any, address: bytes, *how: Any) -> Any:
        raw = fetch(self, address, *how)
        if chance.random() < 0.4:
            sleep(chance.uniform(0.005, 0.03))
        return raw

    flow._fetch = linger_async if is_async else linger_sync


def late_news() -> None:
    """Let news take 10 ms, as between far places."""
    _before_news(lambda _: 0.01)


def stuck_news() -> None:
    """Let news of each owner stand still for 1.5 s, again and again, but not while all begin."""
    begun, last = time.monotonic() + 1.0, dict[Ear, float]()

    def pause(ear: Ear) -> float:
        now = time.monotonic()
        if now < begun or now < last.get(ear, 0) + 2.5:
            return 0
        last[ear] = now
        return 1.5

    _before_news(pause)


def _before_news(pause: Callable[[Ear], float]) -> None:
    tell = Ear.tell

    def late(self: Ear, addresses: object) -> None:
        self.closing.wait(pause(self))
        tell(self, addresses)

    Ear.tell = late  # type: ignore[method-assign]


def far_owners() -> None:
    """Let all that owners tell take 0.4 s, in order, as if they were very far away."""
    told: queue.SimpleQueue[tuple[float, Callable[[], None]]] = queue.SimpleQueue()
    tell, hear, deafen = Ear.tell, Ear.hear, Ear.deafen
    breaks: Counter[Ear] = Counter()
    hearing = threading.Lock()

    def arrive() -> None:
        while True:
            due, say = told.get()
            time.sleep(max(0, due - time.monotonic()))
            say()

    def hear_unless_broken(self: Ear, sent: float, so_far: int) -> None:
        with hearing:
            if breaks[self] == so_far:  # else it was said on a connection that is no more
                hear(self, sent)

    def deafen_and_count(self: Ear) -> Any:
        with hearing:
            breaks[self] += 1
            return deafen(self)

    def later(say: Callable[[], None]) -> None:
        told.put((time.monotonic() + 0.4, say))

    far: Any = Ear
    far.tell = lambda self, addresses: later(lambda: tell(self, addresses))
    far.hear = lambda self, sent: later(partial(hear_unless_broken, self, sent, breaks[self]))
    far.deafen = deafen_and_count
    threading.Thread(target=arrive, daemon=True).start()


def slow_return() -> None:
    """Let it take a while until a broken connection for news is made again, and less than copies are trusted for."""
    _return_after(0.4)


def slower_return() -> None:
    _return_after(1.0)


def _return_after(seconds: float) -> None:
    ear: Any = cachegrid.engines.valkey.watch.ear
    ear._SHORTEST_PAUSE = ear._LONGEST_PAUSE = seconds


def slow_reloads() -> None:
    """Let it take a while to load anew what is served meanwhile."""
    for loads, waits in zip(LOADS, (cachegrid.waits._aio, cachegrid.waits._sio), strict=True):
        _reload_slowly(loads, waits.sleep, is_async=loads is LOADS[0])


def _reload_slowly(loads: Any, sleep: Any, *, is_async: bool) -> None:
    ask = loads._ask_origin

    async def ask_async(self: Any, load: Any) -> Any:
        frame = await ask(self, load)
        if load.reloads is not None:
            await sleep(0.1)
        return frame

    def ask_sync(self: Any, load: Any) -> Any:
        frame = ask(self, load)
        if load.reloads is not None:
            sleep(0.1)
        return frame

    loads._ask_origin = ask_async if is_async else ask_sync


def patient_ears() -> None:
    """Let whoever listens wait for longer than whoever asks."""
    start = Ear.__init__

    def patient(self: Ear, endpoint: Any, target: Any, *args: Any) -> None:
        start(self, endpoint, dataclasses.replace(target, patience=5.0), *args)

    Ear.__init__ = patient  # type: ignore[method-assign, assignment]
