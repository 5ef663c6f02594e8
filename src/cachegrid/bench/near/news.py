"""
How soon a near copy is gone after another process on this machine has changed its entry.

The other process writes into each value when it was sent, by the clock that all processes of a machine share. Here is
noted when its copy was dropped, and afterwards the two are compared. Each key is changed once, so that no news can be
taken for that of another change.
"""

# ruff: noqa: SLF001 - it looks inside on purpose: at the moment when a copy goes

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import cachegrid
from cachegrid.bench.load import Load
from cachegrid.cluster import GridState

__all__ = ["News", "news_of"]

_CACHE: Final = "near-news"
_PATIENCE: Final = 30.0  # seconds for whatever is waited for
_PAGE: Final = 1000  # keys that are read at once
_MS: Final = 1_000_000  # nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Milliseconds from when a change was sent until the copy was gone, and how many changes a second there were."""

    median_ms: float
    p99_ms: float
    longest_ms: float
    writes_per_second: float


def news_of(state: GridState, load: Load, *, is_busy: bool) -> News:
    """
    Time the news of all changes; with `is_busy`, while a thread of this process reads copies without a pause.

    Raises TimeoutError when some of it does not come.
    """
    with cachegrid.connect(state.url, config=cachegrid.Settings()) as grid:
        cache: Any = grid.cache(_CACHE, near=True)
        keys = [str(number) for number in range(load.writes)]
        cache.clear()
        cache.set_many(dict.fromkeys(keys, "1"))
        _until(lambda: _are_near(cache, keys), "copies were not kept")
        told: list[tuple[bytes, int]] = []
        _listen(cache, told)
        with _reading(cache.get, keys[-1], is_busy=is_busy):
            seconds = _write(state.url, load)
            addresses = {cache._space.address(key): key for key in keys}
            _until(lambda: {address for address, _ in told} >= addresses.keys(), "not all changes were told")
        waits = sorted(_waits(cache, told, addresses))
        if len(waits) < len(keys):
            raise TimeoutError(f"of {len(keys):,} changes only {len(waits):,} were told after they were made")
    return News(
        median_ms=waits[len(waits) // 2],
        p99_ms=waits[len(waits) * 99 // 100],
        longest_ms=waits[-1],
        writes_per_second=load.writes / seconds,
    )


def _are_near(cache: Any, keys: list[str]) -> bool:
    for at in range(0, len(keys), _PAGE):
        cache.get_many(keys[at : at + _PAGE])
    return len(cache._space.table) >= len(keys)


def _listen(cache: Any, told: list[tuple[bytes, int]]) -> None:
    """Note when a copy is gone."""
    drop = cache._nearby.changed

    def changed(address: bytes) -> None:
        drop(address)
        told.append((address, time.monotonic_ns()))

    cache._nearby.changed = changed


@contextmanager
def _reading(get: Callable[[str], object], key: str, *, is_busy: bool) -> Iterator[None]:
    """Keep a thread busy with near hits."""
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            get(key)

    thread = threading.Thread(target=read)
    if is_busy:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if is_busy:
            thread.join()


def _write(url: str, load: Load) -> float:
    """Let another process change every key once; the seconds that it took."""
    wanted = json.dumps({"url": url, "cache": _CACHE, "count": load.writes, "rate": load.write_rate})
    command = [sys.executable, "-m", "cachegrid.bench.near.writer"]
    ran = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False, timeout=_PATIENCE * 2)
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1] if ran.stderr else f"it ended with {ran.returncode}")
    return float(ran.stdout)


def _waits(cache: Any, told: list[tuple[bytes, int]], addresses: dict[bytes, str]) -> Iterator[float]:
    """Milliseconds, for each change."""
    sent = {address: int(cache.get(key)) for address, key in addresses.items()}
    for address, gone in told:
        if address in sent and gone >= sent[address]:  # else it is the news of how the key was filled
            yield (gone - sent.pop(address)) / _MS


def _until(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {_PATIENCE:g} s")
        time.sleep(0.01)
