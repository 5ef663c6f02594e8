"""The measuring of near copies: all contenders take turns in short slices, as in the race on the grid."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from cachegrid.bench.contenders import Contender
from cachegrid.bench.load import Load
from cachegrid.bench.near.hits import CURRENCY, RECORD, Hits, Near, priced, text_of
from cachegrid.bench.race import Result, open_in_time, reason
from cachegrid.cluster import GridState

__all__ = ["race_near"]

_WARM: Final = 20  # operations before each slice that are not timed: the others have just had the caches


async def race_near(
    contenders: Sequence[Contender], state: GridState, load: Load, tell: Callable[[str], None]
) -> dict[Near, list[Result]]:
    """
    The results of all contenders that have such a thing; `tell` hears what is going on.

    Raises nothing for a contender that fails: it is in the results with its reason.
    """
    failed: dict[Contender, str] = {}
    ready: dict[Contender, Hits] = {}
    async with AsyncExitStack() as stack:
        for contender in contenders:
            tell(f"filling {contender.name} ({contender.colour})")
            try:
                ready[contender] = await open_in_time(contender, state, load, stack)
                await _check(contender, ready[contender], load)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be measured
                failed[contender] = reason(contender, error)
        return {near: await _run(near, contenders, ready, failed, load, tell) for near in Near}


async def _check(contender: Contender, hits: Hits, load: Load) -> None:
    """Whether everything is there, and a record is another one each time."""
    wanted = [(text_of(load), hits.constant), (text_of(load), hits.threads), (RECORD, hits.record)]
    for key in load.keys:
        for expected, call in wanted:
            if call is not None:
                _same(expected, await _done(contender, call(key)))
        if hits.function is not None:
            _same(priced(key, CURRENCY), await _done(contender, hits.function(key, CURRENCY)))
    if hits.record is not None:
        first, second = [await _done(contender, hits.record(load.keys[0])) for _ in range(2)]
        if first is second:
            raise AssertionError("it hands out the same record to everybody")


def _same(expected: object, got: object) -> None:
    if got != expected:
        raise AssertionError(f"it answers {got!r:.80} where {expected!r:.80} is kept")


async def _done(contender: Contender, result: Any) -> Any:
    return await result if contender.is_async else result


async def _run(
    near: Near,
    contenders: Sequence[Contender],
    ready: Mapping[Contender, Hits],
    failed: Mapping[Contender, str],
    load: Load,
    tell: Callable[[str], None],
) -> list[Result]:
    results = [
        Result(contender, failed=failed.get(contender, ""))
        for contender in contenders
        if contender in failed or ready[contender].of(near) is not None
    ]
    for number in range(near.rounds(load)):
        tell(f"{near}: round {number + 1}")
        for result in results:
            if not result.failed:
                try:
                    await _slice(near, result, ready[result.contender], load)
                except Exception as error:  # noqa: BLE001 - as above
                    result.failed = reason(result.contender, error)
    return results


async def _slice(near: Near, result: Result, hits: Hits, load: Load) -> None:
    """Add a slice: microseconds per operation."""
    call = hits.of(near)
    assert call is not None  # noqa: S101 - else it has no result
    if near is Near.THREADS:
        among, loss = _threads(call, load)
        result.slices.append(among)
        result.losses.append(loss)
        return
    times = [(key, CURRENCY) if near is Near.FUNCTION else (key,) for key in load.keys]
    rounds = load.hits // len(load.keys)
    spent = await _awaited(call, times, rounds) if result.contender.is_async else _called(call, times, rounds)
    result.slices.append(spent / (rounds * len(load.keys)) / 1000)


# One loop for each number of arguments: to unpack them would cost as much as a hit of the quickest.


def _called(call: Callable[..., Any], times: Sequence[tuple[str, ...]], rounds: int) -> int:
    """Nanoseconds for calls one after the other."""
    keys = [key for key, *_ in times]
    for arguments in times[:_WARM]:
        call(*arguments)
    begun = time.perf_counter_ns()
    if len(times[0]) == 1:
        for _ in range(rounds):
            for key in keys:
                call(key)
    else:
        for _ in range(rounds):
            for key in keys:
                call(key, CURRENCY)
    return time.perf_counter_ns() - begun


async def _awaited(call: Callable[..., Awaitable[Any]], times: Sequence[tuple[str, ...]], rounds: int) -> int:
    """The same, awaited."""
    keys = [key for key, *_ in times]
    for arguments in times[:_WARM]:
        await call(*arguments)
    begun = time.perf_counter_ns()
    if len(times[0]) == 1:
        for _ in range(rounds):
            for key in keys:
                await call(key)
    else:
        for _ in range(rounds):
            for key in keys:
                await call(key, CURRENCY)
    return time.perf_counter_ns() - begun


def _threads(call: Callable[[str], Any], load: Load) -> tuple[float, float]:
    """
    Microseconds per operation by all threads at once, and how many times as much they take as one that does it all.

    There is as much to do for everybody as takes some time: the interpreter goes from thread to thread every 5 ms, and
    what is over before that shows no loss. The second is reckoned in time of the processor: threads that keep the
    interpreter busy take that of one between them, and what other programs take is no loss of theirs.
    """
    once = _called(call, [(key,) for key in load.keys], 1)
    each = max(1, load.thread_ms * 1_000_000 // once // load.threads)
    begun = time.process_time_ns()
    _at_once(call, load.keys, 1, each * load.threads)
    alone = time.process_time_ns() - begun
    spent = _at_once(call, load.keys, load.threads, each)
    among = time.process_time_ns() - begun - alone
    return spent / (each * load.threads * len(load.keys)) / 1000, among / alone


def _at_once(call: Callable[[str], Any], every: list[str], count: int, rounds: int) -> int:
    """Nanoseconds from when the first of some threads begins until the last one ends."""
    gate = threading.Barrier(count)
    times: list[tuple[int, int]] = []

    def read(number: int) -> None:
        keys = every[number:] + every[:number]
        gate.wait()
        begun = time.perf_counter_ns()
        for _ in range(rounds):
            for key in keys:
                call(key)
        times.append((begun, time.perf_counter_ns()))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(ended for _, ended in times) - min(begun for begun, _ in times)
