# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Conditions."""

from __future__ import annotations

import time
from functools import partial

from cachegrid.testing._aio.bench import AsyncBench, frame_of, promise, version_in
from cachegrid.testing.waits._aio import together

__all__ = ["AsyncConditionsContract"]

RACERS = 8
ROUNDS = 5


class AsyncConditionsContract(AsyncBench):
    """Stores that depend on what is there, decided where it is."""

    @promise("Conditions")
    async def test_if_absent_puts_only_where_nothing_is(self) -> None:
        """
        The first is put and says so; the second is not, and the first stays, its time to live too.
        """

        async def begin(address: bytes) -> None:
            assert await self.engine.store_if_absent(address, b"first", 50) is True
            assert await self.engine.store_if_absent(address, b"second", None) is False
            assert b"first" == await self.engine.fetch(address)

        address, began = await self.promptly(50, begin)
        await self.ends(lambda: self.engine.fetch(address), began, 50)
        assert await self.engine.store_if_absent(address, b"third", None) is True
        assert b"third" == await self.engine.fetch(address)

    @promise("Conditions")
    async def test_an_empty_frame_is_something(self) -> None:
        """
        An empty frame is there: it is no absence.
        """
        await self.engine.store(self.address(), b"", None)
        assert await self.engine.store_if_absent(self.address(), b"late", None) is False
        assert await self.engine.store_if_present(self.address(), b"new", None) is True

    @promise("Conditions")
    async def test_if_present_puts_only_where_something_is(self) -> None:
        """
        Where nothing is, nothing is put; else the frame is, with its own time to live.
        """
        assert await self.engine.store_if_present(self.address(), b"never", None) is False
        assert await self.engine.fetch(self.address()) is None

        async def begin(address: bytes) -> None:
            await self.engine.store(address, b"old", 60_000)
            assert await self.engine.store_if_present(address, b"new", 50) is True
            assert b"new" == await self.engine.fetch(address)

        address, began = await self.promptly(50, begin)
        await self.ends(lambda: self.engine.fetch(address), began, 50)
        assert await self.engine.store_if_present(address, b"late", None) is False

    @promise("Conditions")
    async def test_if_present_may_take_the_end_away(self) -> None:
        """
        Put without a time to live, the entry no longer ends.
        """

        async def begin(address: bytes) -> None:
            await self.engine.store(address, b"old", 30)
            assert await self.engine.store_if_present(address, b"new", None) is True

        address, _ = await self.promptly(30, begin)
        await self.passes(30)
        await self.passes(self.tolerance)
        assert b"new" == await self.engine.fetch(address)

    @promise("Conditions")
    async def test_if_version_puts_only_over_that_version(self) -> None:
        """
        A frame is put over the version that was named; over another one, or nothing, it is not.
        """
        first, second, third = (frame_of(payload) for payload in (b"first", b"second", b"third"))
        assert await self.engine.store_if_version(self.address(), version_in(first), second, None) is False
        assert await self.engine.fetch(self.address()) is None
        await self.engine.store(self.address(), first, None)
        assert await self.engine.store_if_version(self.address(), version_in(first), second, None) is True
        assert await self.engine.store_if_version(self.address(), version_in(first), third, None) is False
        assert second == await self.engine.fetch(self.address())

    @promise("Conditions")
    async def test_if_version_sets_the_time_to_live(self) -> None:
        """
        What is put has its own time to live; what is refused leaves that of the entry alone.
        """
        first, second = frame_of(b"first"), frame_of(b"second")
        endless, short = self.addresses(2)
        await self.engine.store(endless, first, None)
        await self.engine.store(short, first, None)
        assert await self.engine.store_if_version(endless, version_in(second), second, 5) is False
        began = time.monotonic()
        assert await self.engine.store_if_version(short, version_in(first), second, 50) is True
        await self.ends(lambda: self.engine.fetch(short), began, 50)
        assert first == await self.engine.fetch(endless)

    @promise("Conditions")
    async def test_if_version_may_take_the_end_away(self) -> None:
        """
        Put without a time to live, the entry no longer ends.
        """
        first, second = frame_of(b"first"), frame_of(b"second")

        async def begin(address: bytes) -> None:
            await self.engine.store(address, first, 30)
            assert await self.engine.store_if_version(address, version_in(first), second, None) is True

        address, _ = await self.promptly(30, begin)
        await self.passes(30)
        await self.passes(self.tolerance)
        assert second == await self.engine.fetch(address)

    @promise("Conditions")
    async def test_an_integer_is_its_own_version(self) -> None:
        """
        The version of an integer entry is its digits, all of them.
        """
        assert await self.engine.store_if_absent(self.address(), b"1234567890123456789", None) is True
        assert await self.engine.store_if_version(self.address(), b"12345678", b"8", None) is False
        assert await self.engine.store_if_version(self.address(), b"1234567890123456789", b"-8", None) is True
        assert await self.engine.store_if_version(self.address(), b"1234567890123456789", b"9", None) is False
        assert await self.engine.drop_if_version(self.address(), b"8") is False
        assert await self.engine.drop_if_version(self.address(), b"-8") is True
        assert await self.engine.fetch(self.address()) is None

    @promise("Conditions")
    async def test_drop_if_version_drops_only_that_version(self) -> None:
        """
        An entry is dropped if it has the version that was named, else it stays.
        """
        first, second = frame_of(b"first"), frame_of(b"second")
        assert await self.engine.drop_if_version(self.address(), version_in(first)) is False
        await self.engine.store(self.address(), second, None)
        assert await self.engine.drop_if_version(self.address(), version_in(first)) is False
        assert second == await self.engine.fetch(self.address())
        assert await self.engine.drop_if_version(self.address(), version_in(second)) is True
        assert await self.engine.fetch(self.address()) is None

    @promise("Conditions")
    async def test_drop_if_strange_drops_only_what_is_nobodys(self) -> None:
        """
        Bytes that have no version are dropped; frames and integers, and so what took their place meanwhile, stay.
        """
        assert await self.engine.drop_if_strange(self.address()) is False
        for strange in (
            b"",
            b"foreign",
            b"\xc9 damaged",
            b"\xc9\x02" + bytes(40),
            b"1" * 24,
            b"1x",
            b"-",
            b"007",
            b"-0",
            b"9223372036854775808",
        ):
            await self.engine.store(self.address(), strange, None)
            assert await self.engine.drop_if_strange(self.address()) is True
            assert await self.engine.fetch(self.address()) is None
        for entry in (frame_of(b"entry"), b"0", b"-12", b"9223372036854775807", b"-9223372036854775808"):
            await self.engine.store(self.address(), entry, None)
            assert await self.engine.drop_if_strange(self.address()) is False
            assert entry == await self.engine.fetch(self.address())

    @promise("Conditions")
    async def test_large_frames_have_versions_too(self) -> None:
        """
        A condition on a frame of a MiB is decided like any other.
        """
        first, second = frame_of(b"1" * (1 << 20)), frame_of(b"2" * (1 << 20))
        await self.engine.store(self.address(), first, None)
        assert await self.engine.store_if_version(self.address(), version_in(first), second, None) is True
        assert second == await self.engine.fetch(self.address())

    @promise("Conditions")
    async def test_one_of_many_finds_it_absent(self) -> None:
        """
        Of callers who store at once where nothing is, through several engines, exactly one does.
        """
        engines = [self.engine, await self.another()]
        for address in self.addresses(ROUNDS):
            frames = [frame_of(b"%d" % racer) for racer in range(RACERS)]
            won = await together(
                *[
                    partial(engines[racer % 2].store_if_absent, address, frame, None)
                    for racer, frame in enumerate(frames)
                ]
            )
            assert 1 == sum(won)
            assert frames[won.index(True)] == await self.engine.fetch(address)

    @promise("Conditions")
    async def test_one_of_many_replaces_a_version(self) -> None:
        """
        Of callers who replace the same version at once, through several engines, exactly one does.
        """
        engines = [self.engine, await self.another()]
        old = frame_of(b"old")
        await self.engine.store(self.address(), old, None)
        for _ in range(ROUNDS):
            frames = [frame_of(b"%d" % racer) for racer in range(RACERS)]
            won = await together(
                *[
                    partial(engines[racer % 2].store_if_version, self.address(), version_in(old), frame, None)
                    for racer, frame in enumerate(frames)
                ]
            )
            assert 1 == sum(won)
            old = frames[won.index(True)]
            assert old == await self.engine.fetch(self.address())

    @promise("Conditions")
    async def test_one_of_many_drops_a_version(self) -> None:
        """
        Of callers who drop the same version at once, through several engines, exactly one does.
        """
        engines = [self.engine, await self.another()]
        for address in self.addresses(ROUNDS):
            frame = frame_of(b"only")
            await self.engine.store(address, frame, None)
            won = await together(
                *[partial(engines[racer % 2].drop_if_version, address, version_in(frame)) for racer in range(RACERS)]
            )
            assert 1 == sum(won)
