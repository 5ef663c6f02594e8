"""Callers who use an engine in every way for as long as a test wants, and see what it costs them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable

from cachegrid.engines.valkey._aio.engine import AsyncValkeyEngine
from cachegrid.errors import OutcomeUnknown
from cachegrid.testing.waits._aio import together
from cachegrid.waits._aio import sleep

__all__ = ["AsyncTraffic"]

PATIENCE = 20.0


class AsyncTraffic:
    """
    Readers, writers and counters on addresses of all owners; every answer is checked.

    `longest` is what the slowest call took, in seconds; `unknown` is how many counts may have been made or not.
    """

    def __init__(self, engine: AsyncValkeyEngine, size: int = 60) -> None:
        self.engine = engine
        self.addresses = [b"cg:traffic:%d" % number for number in range(size)]
        self._sums = [b"cg:traffic:sum:%d" % number for number in range(16)]
        self.rounds: Counter[str] = Counter()
        self.longest: dict[str, float] = {}
        self.unknown = 0
        self._written = 0
        self._is_over = False

    async def flow(self, happens: Callable[[], Awaitable[None]]) -> None:
        """Let traffic flow while `happens` runs, and some rounds before and after it. The first error is raised."""
        await self.engine.store_many([(address, address + b":0", None) for address in self.addresses])
        await self.engine.drop_many(self._sums)
        ways = (self._read, self._read_many, self._write, self._write_many, self._count)
        workers = [self._worker(way) for way in ways]

        async def direct() -> None:
            try:
                await self.rounds_pass()
                await happens()
                await self.rounds_pass()
            finally:
                self._is_over = True

        await together(*workers, direct)

    async def rounds_pass(self, count: int = 5) -> None:
        """Wait until everybody has done something so often."""
        begun = self.rounds.copy()
        deadline = time.monotonic() + PATIENCE
        while any(self.rounds[name] < begun[name] + count for name in self.longest) or not self.longest:
            assert not self._is_over, "somebody met an error"
            assert time.monotonic() < deadline, "a caller hangs"
            await sleep(0.005)

    def _worker(self, way: Callable[[int], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        name = way.__name__
        self.longest[name] = 0

        async def work() -> None:
            try:
                while not self._is_over:
                    begun = time.monotonic()
                    await way(self.rounds[name])
                    self.longest[name] = max(self.longest[name], time.monotonic() - begun)
                    self.rounds[name] += 1
                    await sleep(0)
            finally:
                self._is_over = True

        return work

    async def _read(self, turn: int) -> None:
        address = self.addresses[turn % len(self.addresses)]
        self._check(address, await self.engine.fetch(address))

    async def _read_many(self, turn: int) -> None:
        for address, frame in zip(self.addresses, await self.engine.fetch_many(self.addresses), strict=True):
            self._check(address, frame)

    async def _write(self, turn: int) -> None:
        address = self.addresses[turn % len(self.addresses)]
        await self.engine.store(address, address + b":%d" % turn, None)

    async def _write_many(self, turn: int) -> None:
        await self.engine.store_many([(address, address + b":%d" % turn, None) for address in self.addresses])

    async def _count(self, turn: int) -> None:
        try:
            sum_now = await self.engine.add(self._sums[turn % 16], 1, 0, None)
        except OutcomeUnknown:
            self.unknown += 1
        else:
            # Never more than was asked for: nothing was counted twice.
            assert sum_now <= turn // 16 + 1

    def _check(self, address: bytes, frame: bytes | None) -> None:
        assert frame is not None, "an outage looked like a miss"
        assert frame.startswith(address + b":"), "an answer was meant for another"
