"""
What to do when a request met trouble: a pure decision, taken from what went wrong and what the request does.

Requests differ in what repeating them would do. READ changes nothing and may be answered by a replica. REPEATABLE may
be applied twice without harm (`set`, `delete`, and scripts that recognise their own token). RECEIPT is not applied
twice however often it is sent, since its owner keeps a receipt (`receipts.py`); only where nobody answers until the
deadline it is not known whether it was applied. ONCE may not: when that is not known, the caller has to be told.
"""

from __future__ import annotations

import enum
import os
import socket
import ssl
from typing import Any, NamedTuple

from libvalkey import ReplyError

from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.errors import (
    AccessDenied,
    CacheError,
    CircuitOpen,
    EngineError,
    GridFull,
    NotANumber,
    OutcomeUnknown,
    Overloaded,
    ServerRefused,
    Unreachable,
    Unsupported,
    WritesRefused,
)

__all__ = [
    "PROOF_KEPT",
    "REFUSAL_KEPT",
    "Advice",
    "CutOff",
    "Effect",
    "LinkError",
    "Refusal",
    "Shut",
    "Silence",
    "Slow",
    "Step",
    "advise",
    "closed_here",
    "is_down",
    "is_parted",
    "is_strike",
    "overloaded",
    "pause_before",
    "reason_of",
    "refusal",
    "shut_out",
    "still_down",
    "torn",
    "unanswered",
]


_IN_SCRIPT = "ACL failure in script"  # how Valkey says NOPERM of what a script calls
_DOWN_FOR_SCRIPT = "while the cluster is down"  # how they say CLUSTERDOWN of what a script writes
_UNOWNED = "CLUSTERDOWN Hash slot not served"
REFUSAL_KEPT = 0.02  # seconds for which a member that let nobody connect is not tried
PROOF_KEPT = 1.0  # seconds for which a member that was not cut off from the others is taken to be so still


class Effect(enum.Enum):
    """What repeating a request would do."""

    READ = "read"
    REPEATABLE = "repeatable"
    RECEIPT = "receipt"
    ONCE = "once"


class LinkError(Exception):
    """
    A link broke: `sent` is False only if the member certainly did not see the request.

    `waited` says how many seconds it was waited for an answer that did not come, and `spent` how many have gone by
    since the request was sent, whatever came of it.
    """

    def __init__(self, endpoint: Endpoint, reason: str, *, sent: bool, waited: float = 0, spent: float = 0) -> None:
        super().__init__(f"{endpoint}: {reason}")
        self.endpoint, self.reason, self.sent, self.waited = endpoint, reason, sent, waited
        self.spent = max(waited, spent)


class CutOff(LinkError):
    """
    A member answers, and finds itself cut off from the others, who may have put another one in its place by now.

    Only requests that may be repeated meet this: a member that is cut off takes no writes.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, "is cut off from the other members", sent=True)


class Slow(LinkError):
    """
    A member has not answered for a moment: there is time to ask another one, and the answer may still come.

    `rest` is the exchange that waits for it, to `finish`, to `leave` or to `abandon`; None where nothing was sent,
    since what was asked of the member before is not answered yet.
    """

    def __init__(self, endpoint: Endpoint, rest: Any = None, *, waited: float = 0) -> None:
        super().__init__(endpoint, "no answer for a moment", sent=rest is not None, waited=waited)
        self.rest = rest


class Shut(LinkError):
    """A member has not answered for so long that it is not asked: its circuit is open, for so many seconds more."""

    def __init__(self, endpoint: Endpoint, left: float) -> None:
        super().__init__(endpoint, f"is asked again in {left:.1f} s", sent=False)


class Silence:
    """
    Whether to try a member that did not answer in time: one caller does, now and then, and the others need not wait.

    Times are in seconds of one clock.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._until = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it did not answer the last time."""
        return self._until > 0

    def note(self, now: float) -> None:
        """It has not answered: let it be for half as long as one waits for an answer."""
        self._until = now + self._patience / 2

    def end(self) -> None:
        """It has answered."""
        self._until = 0.0

    def may_try(self, now: float) -> bool:
        """Whether to try now; until that has had its time, nobody else shall."""
        if now < self._until:
            return False
        if self._until:
            self._until = now + self._patience
        return True


class Refusal:
    """
    A member that let nobody connect: who comes in the moment after is told the same, and does not try.

    Who reads a thousand entries a second from a replica would try as often, and hardly come to anything else.
    """

    def __init__(self) -> None:
        self._reason, self._until = "", 0.0

    def note(self, reason: str, now: float) -> None:
        """It has refused just now."""
        self._reason, self._until = reason, now + REFUSAL_KEPT

    def reason(self, now: float) -> str:
        """Why it refuses, where that was a moment ago; else nothing."""
        return self._reason if now < self._until else ""


class Step(enum.Enum):
    """The next thing to do for a request that met trouble."""

    WAIT = "wait"  # the member will be able soon: the same again, after a pause
    LEARN = "learn"  # the routes are out of date: learn them, after a pause, then again
    CHECK = "check"  # the member may have been replaced: learn by whom, then there, at once; or to itself again
    MOVE = "move"  # the slot has another owner, named in the answer: there, at once
    ASK = "ask"  # this one request belongs to another member, named in the answer: there, at once
    TEACH = "teach"  # the member does not know the script: send its source
    STRANGE = "strange"  # a foreign hand keeps a list, or the like, there: as bytes that are no entry
    FAIL = "fail"  # tell the caller


class Advice(NamedTuple):
    """A step, with where to go or what to raise."""

    step: Step
    endpoint: Endpoint | None = None
    error: CacheError | None = None


_STEPS = {
    "MOVED": Step.MOVE,
    "ASK": Step.ASK,
    "NOSCRIPT": Step.TEACH,
    "WRONGTYPE": Step.STRANGE,
    **dict.fromkeys(("TRYAGAIN", "LOADING", "BUSY"), Step.WAIT),
    **dict.fromkeys(("CLUSTERDOWN", "READONLY", "MASTERDOWN", "PRIMARYDOWN", "NOREPLICAS"), Step.LEARN),
}


def advise(trouble: Exception, effect: Effect, asked: Endpoint) -> Advice:
    """The next step for a request with this effect, after this trouble with the member `asked`."""
    if isinstance(trouble, CutOff):
        return Advice(Step.CHECK)
    if isinstance(trouble, LinkError):
        if trouble.sent and effect is Effect.ONCE:
            return Advice(Step.FAIL, error=_unknown(trouble))
        return Advice(Step.LEARN)
    if not isinstance(trouble, ReplyError):
        raise trouble
    step, rest = _step_after(str(trouble))
    if step in (Step.MOVE, Step.ASK):
        target = _target(rest, asked)
        # Members that are to be known by names, and this one has none: the routes tell another way to it.
        return Advice(Step.LEARN) if target is None else Advice(step, target)
    return Advice(step, error=refusal(trouble, asked) if step is Step.FAIL else None)


def _step_after(text: str) -> tuple[Step, str]:
    """What an error reply asks for, and what follows its first word."""
    word, _, rest = text.partition(" ")
    return _STEPS.get(word, Step.LEARN if _DOWN_FOR_SCRIPT in rest else Step.FAIL), rest


def refusal(reply: ReplyError, asked: Endpoint | str) -> CacheError:
    """The error to raise for an error reply that trying again does not help."""
    text = str(reply)
    word = text.partition(" ")[0]
    where = str(asked)
    if word in ("WRONGPASS", "NOAUTH", "NOPERM") or "invalid username-password" in text or _IN_SCRIPT in text:
        return AccessDenied(_access(word, where, text), where=where)
    if word == "OOM":
        return GridFull(
            f"{where} has no memory left, and nothing that it may evict ({text}); give the grid more memory or "
            "members, and servers that you run yourself the eviction policy volatile-lru",
            where=where,
        )
    if word == "MISCONF":
        return WritesRefused(
            f"{where} takes no writes because it cannot keep its data on disk ({text}); free space on its disk, "
            "or look into its log",
            where=where,
        )
    if "not an integer" in text or "would overflow" in text:
        return NotANumber("the entry holds no integer, or the sum leaves 64 bits; nothing was changed")
    if "unknown command" in text or "syntax error" in text:
        return Unsupported(f"{where} is too old for this ({text}); use Valkey 7.2 or Redis 7.0, or newer", where=where)
    return ServerRefused(f"{where} refused: {text}", where=where)


def _access(word: str, where: str, text: str) -> str:
    if word == "NOAUTH":
        return f"{where} asks for a password and none was given; put it into the URL (valkey://user:password@host:port)"
    if word == "NOPERM" or _IN_SCRIPT in text:
        return f"{where} does not let this user do that ({text}); give the user the commands that docs/access.md lists"
    return f"{where} does not accept the user or password; check the URL, or CACHEGRID_URL"


def _unknown(trouble: LinkError) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the connection to {trouble.endpoint} broke ({trouble.reason}) after a write was sent that must not be "
        "repeated: it may have been applied; read the entry, then decide",
        where=str(trouble.endpoint),
    )


def unanswered(trouble: LinkError, last: CacheError) -> OutcomeUnknown:
    """The error to raise for a count that may have been made, where nobody could tell until its deadline."""
    return OutcomeUnknown(
        f"the connection to {trouble.endpoint} broke ({trouble.reason}) after a count was sent, and no owner told in "
        f"time whether it was made: it may have been; read the entry, then decide (last, {last})",
        where=str(trouble.endpoint),
    )


def _target(rest: str, asked: Endpoint) -> Endpoint | None:
    """The member in `3999 127.0.0.1:6381`; None if it is named by a name that it does not have."""
    host, _, port = rest.partition(" ")[2].rpartition(":")
    if not port.isdigit():
        raise Unreachable(f"{asked} sent a redirection that cannot be read: {rest!r}", where=str(asked))
    return None if host == "?" else asked.beside(host, int(port))


def closed_here(endpoint: Endpoint) -> EngineError:
    """The error to raise for a call that finds its engine closed."""
    return EngineError("the grid was closed here; connect again", where=str(endpoint))


def is_strike(trouble: Exception) -> bool:
    """Whether it speaks against the member that was asked: that it is away, or cannot serve."""
    if isinstance(trouble, ReplyError):
        text = str(trouble)
        if text.startswith(_UNOWNED):  # it is well, and serves what it owns
            return False
        return text.startswith("LOADING") or _step_after(text)[0] is Step.LEARN
    return isinstance(trouble, LinkError)


def is_down(trouble: Exception) -> bool:
    """Whether a member answers, and says that it is cut off from most of the others: it takes no writes."""
    if not isinstance(trouble, ReplyError):
        return isinstance(trouble, CutOff)
    text = str(trouble)
    return (text.startswith("CLUSTERDOWN") and not text.startswith(_UNOWNED)) or _DOWN_FOR_SCRIPT in text


def is_parted(trouble: Exception) -> bool:
    """Whether a slot is on its way, and keys that a request needs together are at two members."""
    return isinstance(trouble, ReplyError) and str(trouble).startswith("TRYAGAIN")


def torn(asked: Endpoint) -> WritesRefused:
    """The error to raise when they stay there."""
    return WritesRefused(
        f"{asked} is giving away, or getting, the part of the grid that the entry belongs to, and does not judge a "
        "lease and its entry together meanwhile; nothing was stored. If nobody moves entries now, look at "
        "`cachegrid status`",
        where=str(asked),
    )


def shut_out(trouble: Shut) -> CircuitOpen:
    """The error to raise for a call to a member whose circuit is open."""
    return CircuitOpen(
        f"{trouble.endpoint} has not answered for longer than a call may take, and {trouble.reason}; nothing was sent. "
        "Look at `cachegrid status`",
        where=str(trouble.endpoint),
    )


def still_down(asked: Endpoint, trouble: Exception) -> CircuitOpen:
    """The error to raise for a call to a member that has been cut off for longer than calls wait."""
    return CircuitOpen(
        f"{asked} has been cut off from most members for longer than a call may take, and still says so ({trouble}); "
        "nothing was changed. Look at `cachegrid status`",
        where=str(asked),
    )


def overloaded(endpoint: Endpoint, taken: str, seconds: float) -> Overloaded:
    """The error to raise where no more calls may wait for a member."""
    return Overloaded(
        f"{taken} to {endpoint} were taken by other calls for {seconds:.3g} s; nothing was sent. Let fewer calls "
        "run at a time, or look at `cachegrid status` whether that member is slow",
        where=str(endpoint),
    )


def reason_of(error: Exception) -> str:
    """What an error of the connection says, in the same words in both colours."""
    number = getattr(error, "errno", None)
    if not number or isinstance(error, (socket.gaierror, ssl.SSLError)):
        return str(error) or type(error).__name__
    return os.strerror(number)


def pause_before(attempt: int, chance: float) -> float:
    """Seconds to wait before trying again: none, then growing to 0.08 s, spread by `chance` (0 to 1)."""
    if attempt == 0:
        return 0.0
    return min(0.08, 0.005 * (1 << min(attempt, 10))) * (0.5 + chance / 2)
