"""
The measuring: all contenders take turns in short slices, so that what disturbs the machine disturbs all of them.

A contender that cannot be opened, answers wrongly or fails on the way is reported with its reason.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from cachegrid.bench.contenders import Contender
from cachegrid.bench.cpus import side_by_side
from cachegrid.bench.load import Calls, Load, Scenario
from cachegrid.cluster import GridState

__all__ = ["Result", "open_in_time", "race", "reason"]

_PATIENCE: Final = 30.0  # seconds for a contender to connect
_LONGEST_REASON: Final = 300


@dataclass(slots=True)
class Result:
    """What one contender showed in one scenario: microseconds per operation, slice by slice, or why it failed."""

    contender: Contender
    slices: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of threads: how many times the work of one they are, each slice
    failed: str = ""

    @property
    def us(self) -> float:
        """
        Microseconds per operation: the median of the quicker half of the slices.

        Whatever disturbs a slice makes it slower and never quicker, so the quicker half tells more about the client.
        """
        ordered = sorted(self.slices)
        return statistics.median(ordered[: (len(ordered) + 1) // 2])

    @property
    def median(self) -> float:
        """Microseconds per operation: the median of all slices."""
        return statistics.median(self.slices)

    @property
    def loss(self) -> float | None:
        """How many times as much threads take for the same work as one alone: the median of all slices."""
        return statistics.median(self.losses) if self.losses else None


async def race(
    contenders: Sequence[Contender], state: GridState, load: Load, tell: Callable[[str], None]
) -> dict[Scenario, list[Result]]:
    """
    The results of all contenders in all scenarios, on one grid; `tell` hears what is going on.

    Raises nothing for a contender that fails.
    """
    failed: dict[Contender, str] = {}
    async with AsyncExitStack() as stack:
        ready: dict[Contender, Calls] = {}
        for contender in contenders:
            tell(f"connecting {contender.name} ({contender.colour})")
            try:
                ready[contender] = await _opened(contender, state, load, stack)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be measured
                failed[contender] = reason(contender, error)
        raced = {}
        for scenario in Scenario:
            with side_by_side(state) if scenario.is_single else nullcontext():
                raced[scenario] = await _run(scenario, contenders, ready, failed, load, tell)
        return raced


async def open_in_time(contender: Contender, state: GridState, load: Load, stack: AsyncExitStack) -> Any:
    """What the contender opens; closed with the stack. Raises TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        return await stack.enter_async_context(contender.open(state, load))


async def _opened(contender: Contender, state: GridState, load: Load, stack: AsyncExitStack) -> Calls:
    """A client that has shown, in all scenarios, that it stores and reads what it is asked to."""
    async with asyncio.timeout(_PATIENCE):
        calls: Calls = await open_in_time(contender, state, load, stack)
        for key in load.keys:
            await _done(contender, calls.set(key, calls.value))
        _check(calls, [await _done(contender, calls.get(key)) for key in load.keys])
        many = await _done(contender, calls.get_many(load.keys))
        _check(calls, many.values() if isinstance(many, Mapping) else many)
    return calls


async def _done(contender: Contender, result: Any) -> Any:
    return await result if contender.is_async else result


def _check(calls: Calls, values: Iterable[object]) -> None:
    wrong = [value for value in values if value != calls.value]
    if wrong:
        raise AssertionError(f"it answers {wrong[0]!r:.80} where {calls.value!r:.80} was stored")


async def _run(
    scenario: Scenario,
    contenders: Sequence[Contender],
    ready: Mapping[Contender, Calls],
    failed: Mapping[Contender, str],
    load: Load,
    tell: Callable[[str], None],
) -> list[Result]:
    results = [
        Result(contender, failed=failed.get(contender, ""))
        for contender in contenders
        if scenario is not Scenario.CALLERS or contender.is_async
    ]
    for number in range(load.rounds):
        tell(f"{scenario}: round {number + 1} of {load.rounds}")
        for result in results:
            if not result.failed:
                try:
                    result.slices.append(await _slice(scenario, result.contender, ready[result.contender], load))
                except Exception as error:  # noqa: BLE001 - as above
                    result.failed = reason(result.contender, error)
    return results


async def _slice(scenario: Scenario, contender: Contender, calls: Calls, load: Load) -> float:
    """Microseconds per operation in one slice."""
    if scenario is Scenario.CALLERS:
        spent = await _callers(calls, load)
    elif scenario is Scenario.MANY:
        times = [(load.keys,)] * load.batches
        spent = await _turns(contender, calls.get_many, times, warm=1)
    else:
        keys = (load.keys * (load.singles // len(load.keys) + 1))[: load.singles]
        work = [(key,) for key in keys] if scenario is Scenario.GET else [(key, calls.value) for key in keys]
        spent = await _turns(contender, calls.get if scenario is Scenario.GET else calls.set, work, warm=load.warm)
    return spent / load.operations(scenario) / 1000


async def _turns(contender: Contender, call: Callable[..., Any], work: Sequence[tuple[Any, ...]], *, warm: int) -> int:
    """Nanoseconds for calls one after the other."""
    for arguments in work[:warm]:
        await _done(contender, call(*arguments))
    if contender.is_async:
        begun = time.perf_counter_ns()
        for arguments in work:
            await call(*arguments)
    else:
        begun = time.perf_counter_ns()
        for arguments in work:
            call(*arguments)
    return time.perf_counter_ns() - begun


async def _callers(calls: Calls, load: Load) -> int:
    """Nanoseconds for all callers at once."""
    get, keys = calls.get, load.keys

    async def caller(number: int, times: int) -> None:
        for step in range(times):
            await get(keys[(number + step) % len(keys)])

    # Not timed: clients that keep a connection for each caller open them here.
    await asyncio.gather(*[caller(number, 1) for number in range(load.callers)])
    begun = time.perf_counter_ns()
    await asyncio.gather(*[caller(number, load.each) for number in range(load.callers)])
    return time.perf_counter_ns() - begun


def reason(contender: Contender, error: BaseException) -> str:
    """Why a contender did not run, in a line."""
    if isinstance(error, ModuleNotFoundError) and not contender.version:
        return "not installed; pip install 'cachegrid[bench]'"
    if isinstance(error, BaseExceptionGroup):
        return reason(contender, error.exceptions[0])
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
