"""
Whether to ask a member at all: pure decisions, taken from what became of earlier calls.

Times are seconds of one clock. Nothing in here waits, and no lock is needed: threads that come in between each other
let one probe more through, or one retry.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LONG_ENOUGH", "STRIKES", "Budget", "Circuit"]

STRIKES: Final = 3  # attempts without an answer before one call that failed opens a circuit
LONG_ENOUGH: Final = 1.0  # seconds without an answer before it does
_PAUSE: Final = 1.0  # seconds between two probes, at first
_LONGEST: Final = 5.0  # and at last
_FLOOR: Final = 100.0  # retries a second that are always allowed
_SHARE: Final = 0.1  # of the calls, that may be retries besides
_KEPT: Final = 2.0  # seconds for which what was not used stays: so much may come at once


class Circuit:
    """
    Closed while a member answers; open when it does not, so that calls fail at once instead of after their time.

    It opens when a call has failed at its deadline, after several attempts that got no answer in a second or more, and
    nobody has got one since that call began. Then one call may try now and then: any answer closes it.
    """

    __slots__ = ("_opened_at", "_passed", "_pause", "_since", "_strikes", "_until", "is_open", "opened")

    def __init__(self) -> None:
        self.is_open = False
        self.opened = 0  # how often
        self._strikes = 0
        self._since = 0.0  # the first of them
        self._passed = float("-inf")
        self._opened_at = self._until = 0.0
        self._pause = _PAUSE

    def struck(self, now: float) -> None:
        """An attempt got no answer that helped."""
        if not self._strikes:
            self._since = now
        self._strikes += 1

    def passed(self, now: float) -> None:
        """A call got its answer: whatever was before is over."""
        self._passed, self._strikes = now, 0
        self.is_open, self._pause = False, _PAUSE

    def failed(self, began: float, now: float) -> None:
        """A call that began then has failed at its deadline; a probe that fails lets the next one wait longer."""
        if self._passed >= began:
            return
        if self.is_open:
            if began >= self._opened_at:  # else it is one of many that began before that, and no probe
                self._pause = min(2 * self._pause, _LONGEST)
                self._until = now + self._pause
        elif self._strikes >= STRIKES and now - self._since >= LONG_ENOUGH:
            self.is_open = True
            self.opened += 1
            self._opened_at = now
            self._until = now + self._pause

    def may_try(self, now: float) -> bool:
        """Whether a call may ask the member now; while it is open one may, and no other until that had its time."""
        if not self.is_open:
            return True
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def left(self, now: float) -> float:
        """Seconds until the next call may try."""
        return max(0.0, self._until - now) if self.is_open else 0.0

    def state(self, now: float) -> str:
        """As people call it."""
        if not self.is_open:
            return "closed"
        return "open" if now < self._until else "half-open"


class Budget:
    """
    How many retries a member gets: a share of the calls that it had lately, and some always.

    In any time it allows at most what may come at once, `floor` for each second, `share` of the calls in it, and two
    for each retry that got its answer: a member that has recovered serves all who waited for that soon.
    """

    __slots__ = ("_calls", "_floor", "_share", "_then", "_tokens", "denied")

    def __init__(self, *, floor: float = _FLOOR, share: float = _SHARE) -> None:
        self._floor, self._share = floor, share
        self._tokens = floor
        self._then: float | None = None
        self._calls = 0
        self.denied = 0

    def may_retry(self, now: float, calls: int) -> bool:
        """Whether one more retry may go out now; `calls` is how many requests the member has been sent in all."""
        since = 0.0 if self._then is None else max(0.0, now - self._then)
        earned = since * self._floor + max(0, calls - self._calls) * self._share
        most = _KEPT * self._floor + max(0, calls - self._calls) * self._share
        self._tokens = max(self._tokens, min(self._tokens + earned, most))
        self._then, self._calls = now, calls
        if self._tokens < 1:
            self.denied += 1
            return False
        self._tokens -= 1
        return True

    def helped(self) -> None:
        """A retry got its answer."""
        self._tokens += 2
