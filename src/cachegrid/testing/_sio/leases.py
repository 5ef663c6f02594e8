# Generated from src/cachegrid/testing/_aio/leases.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Leases."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from cachegrid.testing._sio.bench import SyncBench, promise
from cachegrid.testing.waits._sio import together

__all__ = ["SyncLeasesContract"]

MINUTE: Final = 60_000
MINE: Final = b"mine"
YOURS: Final = b"yours"


class SyncLeasesContract(SyncBench):
    """Locks that end by themselves."""

    @promise("Leases")
    def test_one_has_it(self) -> None:
        """
        While one token has a lease no other gets it, through no engine.
        """
        other = self.another()
        assert self.engine.acquire(self.address(), MINE, MINUTE) is not None
        assert self.engine.acquire(self.address(), YOURS, MINUTE) is None
        assert other.acquire(self.address(), YOURS, MINUTE) is None

    @promise("Leases")
    def test_a_name_has_a_lease_of_its_own(self) -> None:
        """
        A lease keeps nobody from one of another name.
        """
        one, two = self.addresses(2)
        assert self.engine.acquire(one, MINE, MINUTE) is not None
        assert self.engine.acquire(two, YOURS, MINUTE) is not None
        assert self.engine.release(two, MINE) is False

    @promise("Leases")
    def test_its_token_gets_it_again(self) -> None:
        """
        Who has a lease gets it again, with the same number and for the time it now asks for.
        """
        other = self.another()
        fence = self.engine.acquire(self.address(), MINE, MINUTE)
        began = time.monotonic()
        assert fence == other.acquire(self.address(), MINE, 50)
        self._ends(began, 50)

    @promise("Leases")
    def test_it_ends_by_itself(self) -> None:
        """
        A lease that nobody renews ends, to the millisecond, and another token gets it.
        """
        began = time.monotonic()
        self.engine.acquire(self.address(), MINE, 50)
        self._ends(began, 50)

    @promise("Leases")
    def test_renewing_moves_its_end(self) -> None:
        """
        A renewed lease ends as long after the renewal as that says, sooner or later than before.
        """

        def begin(later: bytes) -> None:
            self.engine.acquire(later, MINE, 30)
            assert self.engine.renew(later, MINE, MINUTE) is True

        sooner = self.address()
        later, _ = self.promptly(30, begin)
        self.engine.acquire(sooner, MINE, MINUTE)
        began = time.monotonic()
        assert self.engine.renew(sooner, MINE, 50) is True
        self.ends(lambda: self._is_held(sooner), began, 50)
        assert self._is_held(later)

    @promise("Leases")
    def test_only_its_token_renews_it(self) -> None:
        """
        A lease is not renewed by another token, nor when it was never taken, was released, or has ended.
        """
        assert self.engine.renew(self.address(), MINE, MINUTE) is False
        began = time.monotonic()
        self.engine.acquire(self.address(), MINE, 50)
        assert self.engine.renew(self.address(), YOURS, MINUTE) is False
        self._ends(began, 50)
        assert self.engine.renew(self.address(), MINE, MINUTE) is False
        assert self.engine.release(self.address(), YOURS) is True
        assert self.engine.renew(self.address(), YOURS, MINUTE) is False

    @promise("Leases")
    def test_only_its_token_releases_it(self) -> None:
        """
        A lease is not released by another token, nor twice; once released, anybody gets it.
        """
        assert self.engine.release(self.address(), MINE) is False
        self.engine.acquire(self.address(), MINE, MINUTE)
        assert self.engine.release(self.address(), YOURS) is False
        assert self.engine.acquire(self.address(), YOURS, MINUTE) is None
        assert self.engine.release(self.address(), MINE) is True
        assert self.engine.release(self.address(), MINE) is False
        assert self.engine.acquire(self.address(), YOURS, MINUTE) is not None

    @promise("Leases")
    def test_the_late_do_not_disturb_the_next(self) -> None:
        """
        Who comes back after the end of its lease neither renews nor releases that of the next.
        """
        began = time.monotonic()
        self.engine.acquire(self.address(), MINE, 20)
        self._ends(began, 20)  # and YOURS has it
        assert self.engine.renew(self.address(), MINE, MINUTE) is False
        assert self.engine.release(self.address(), MINE) is False
        assert self.engine.acquire(self.address(), MINE, MINUTE) is None
        assert self.engine.renew(self.address(), YOURS, MINUTE) is True

    @promise("Leases")
    def test_whether_anybody_has_it_can_be_asked(self) -> None:
        """
        Through any engine; asking takes nothing, and leaves the lease its end.
        """
        other = self.another()

        def held() -> tuple[bool, bool]:
            return self.engine.is_held(self.address()), other.is_held(self.address())

        assert [(False, False)] * 2 == [held(), held()]
        self.engine.acquire(self.address(), MINE, MINUTE)
        assert (True, True) == held()
        assert not other.is_held(self.address(b"other"))
        assert other.release(self.address(), MINE)
        assert (False, False) == held()
        began = time.monotonic()
        self.engine.acquire(self.address(), YOURS, 50)
        self.ends(lambda: other.is_held(self.address()), began, 50)

    @promise("Leases")
    def test_fencing_numbers_only_grow(self) -> None:
        """
        Each holder's number is greater than that of the one before, however its lease ended.
        """
        other = self.another()
        fences = [self.engine.acquire(self.address(), MINE, 5) or 0]
        for turn in range(20):
            engine, token = (other, MINE) if turn % 2 else (self.engine, YOURS)
            if turn % 5:
                self.engine.release(self.address(), MINE)
                self.engine.release(self.address(), YOURS)
            else:
                self.passes(5)
                self.passes(self.tolerance)
            fences.append(engine.acquire(self.address(), token, 5) or 0)
        assert sorted(set(fences)) == fences

    @promise("Leases")
    def test_one_of_many_gets_it(self) -> None:
        """
        Of tokens that ask at once, through several engines, exactly one gets the lease.
        """
        engines = [self.engine, self.another()]
        for name in self.addresses(5):
            tokens = [b"%d" % racer for racer in range(8)]
            fences = together(
                *[partial(engines[racer % 2].acquire, name, token, MINUTE) for racer, token in enumerate(tokens)]
            )
            winners = [token for token, fence in zip(tokens, fences, strict=True) if fence is not None]
            assert 1 == len(winners)
            assert self.engine.release(name, winners[0]) is True

    def _ends(self, began: float, lease: int) -> None:
        """Assert that the lease ends when its time is over; YOURS has it then."""
        self.ends(lambda: self._is_held(self.address()), began, lease)

    def _is_held(self, name: bytes) -> bool:
        return self.engine.acquire(name, YOURS, MINUTE) is None
