# Generated from src/cachegrid/testing/_aio/basics.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""What every engine promises: to fetch, store and drop, to the byte and to the millisecond."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from cachegrid.errors import EngineError
from cachegrid.testing._sio.bench import ABILITIES, SyncBench, promise
from cachegrid.testing.waits._sio import together

__all__ = ["SyncBasicsContract"]

EVERY_BYTE: Final = bytes(range(256))
MIB: Final = 1 << 20
CENTURY: Final = 100 * 365 * 86_400_000  # in ms; more than 32 and less than 48 bits

FRAMES: Final = {
    "empty": b"",
    "every byte": EVERY_BYTE,
    "line ends": b"\r\n\r\n$-1\r\n",
    "an integer": b"42",
    "text like a miss": b"None",
    "zeros": bytes(1000),
    "over a MiB": EVERY_BYTE * (MIB // 256) + b"!",
}
NAMES: Final = [
    b"a",
    b"A",
    b"a ",
    b"a\x00",
    b"a\r\n",
    b"{a}",
    b"{}a",
    b"}a{",
    b"{a}{b}",
    b"{",
    b"*",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"x" * 900,
    EVERY_BYTE,
]


class SyncBasicsContract(SyncBench):
    """The part of the contract that every engine keeps."""

    @promise()
    def test_has_the_abilities_it_does_not_lack(self) -> None:
        """
        An engine has every ability, but for those that its test names in `lacks`.
        """
        has = {name for name, ability in ABILITIES.items() if isinstance(self.engine, ability)}
        assert set(ABILITIES) - self.lacks == has
        assert self.lacks - set(ABILITIES) <= {"Outages", "Shortage"}, "lacks names abilities that do not exist"
        gives_outages = type(self).open_cut_off is not SyncBench.open_cut_off
        assert gives_outages is ("Outages" not in self.lacks)

    @promise()
    def test_nothing_is_none(self) -> None:
        """
        Where nothing was stored, nothing is fetched.
        """
        assert self.engine.fetch(self.address()) is None

    @promise()
    def test_frames_come_back_as_they_were(self) -> None:
        """
        An engine never looks inside a frame: any bytes come back, none of them too.
        """
        for kind, frame in FRAMES.items():
            self.engine.store(self.address(), frame, None)
            assert frame == self.engine.fetch(self.address()), kind

    @promise()
    def test_addresses_are_any_bytes(self) -> None:
        """
        Addresses that differ in one byte are two, whatever bytes they are.
        """
        for name in NAMES:
            self.engine.store(self.address(name), b"at " + name, None)
        for name in NAMES:
            assert b"at " + name == self.engine.fetch(self.address(name))

    @promise()
    def test_store_puts_whatever_was_there(self) -> None:
        """
        A later frame takes the place of an earlier one, be it longer, shorter, or a number.
        """
        for frame in (b"long" * 1000, b"s", b"7", b"longer again", b""):
            self.engine.store(self.address(), frame, None)
            assert frame == self.engine.fetch(self.address())

    @promise()
    def test_a_time_to_live_ends_to_the_millisecond(self) -> None:
        """
        An entry is there until its time to live is over, and not a millisecond longer.
        """
        began = time.monotonic()
        self.engine.store(self.address(), b"short", 60)
        self.ends(lambda: self.engine.fetch(self.address()), began, 60)

    @promise()
    def test_a_millisecond_is_a_time_to_live(self) -> None:
        """
        1 ms is short, and not without end.
        """
        began = time.monotonic()
        self.engine.store(self.address(), b"brief", 1)
        self.ends(lambda: self.engine.fetch(self.address()), began, 1)

    @promise()
    def test_a_time_to_live_may_be_long(self) -> None:
        """
        A century is a time to live, and so is none.
        """
        self.engine.store(self.address(b"century"), b"long", CENTURY)
        self.engine.store(self.address(b"endless"), b"longer", None)
        self.passes(5)
        assert b"long" == self.engine.fetch(self.address(b"century"))
        assert b"longer" == self.engine.fetch(self.address(b"endless"))

    @promise()
    def test_store_starts_a_new_life(self) -> None:
        """
        A stored entry lives as long as its own store said, not as long as what was there before.
        """
        longer, endless, shorter = self.addresses(3)
        self.engine.store(longer, b"old", 30)
        self.engine.store(endless, b"old", 30)
        self.engine.store(longer, b"new", 60_000)
        self.engine.store(endless, b"new", None)
        self.engine.store(shorter, b"old", None)
        began = time.monotonic()
        self.engine.store(shorter, b"new", 30)
        self.ends(lambda: self.engine.fetch(shorter), began, 30)
        self.passes(10)
        assert b"new" == self.engine.fetch(longer)
        assert b"new" == self.engine.fetch(endless)

    @promise()
    def test_drop_says_whether_something_was_there(self) -> None:
        """
        What is dropped is gone, and can be dropped once.
        """
        self.engine.store(self.address(), b"", None)
        assert self.engine.drop(self.address()) is True
        assert self.engine.fetch(self.address()) is None
        assert self.engine.drop(self.address()) is False

    @promise()
    def test_what_has_ended_cannot_be_dropped(self) -> None:
        """
        An entry that has ended is not there for a drop either.
        """
        self.engine.store(self.address(), b"short", 5)
        self.passes(5)
        self.passes(self.tolerance)
        assert self.engine.drop(self.address()) is False

    @promise()
    def test_engines_on_one_grid_see_the_same(self) -> None:
        """
        What one engine has stored or dropped, the next request of another one sees.
        """
        other = self.another()
        for frame in (b"first", b"second"):
            self.engine.store(self.address(), frame, None)
            assert frame == other.fetch(self.address())
        assert other.drop(self.address()) is True
        assert self.engine.fetch(self.address()) is None

    @promise()
    def test_callers_at_once_get_their_own_answers(self) -> None:
        """
        Many callers share an engine, and nobody gets an answer meant for another.
        """

        def work(number: int) -> None:
            address = self.address(b"%d" % number)
            for turn in range(20):
                frame = b"%d:%d" % (number, turn) * (number + 1)
                self.engine.store(address, frame, None)
                assert frame == self.engine.fetch(address)

        together(*[partial(work, number) for number in range(16)])

    @promise("Outages")
    def test_an_outage_is_no_miss(self) -> None:
        """
        An engine that cannot reach its grid raises an EngineError, and answers nothing.
        """
        engine = self.closing(self.open_cut_off)
        assert self.refuses(EngineError, lambda: engine.fetch(self.address()))
        assert self.refuses(EngineError, lambda: engine.store(self.address(), b"lost", None))
        assert self.refuses(EngineError, lambda: engine.drop(self.address()))

    @promise()
    def test_close_may_be_called_twice(self) -> None:
        """
        Closing releases everything, used or not, and closing again does nothing.
        """
        used, unused = self.another(), self.another()
        used.store(self.address(), b"stays", None)
        for engine in (used, used, unused, unused):
            engine.close()
        assert b"stays" == self.engine.fetch(self.address())
