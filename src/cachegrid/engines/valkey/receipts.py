"""
Receipts of counts: one key for each call, by which the same call is known when it comes again.

A count must not be added twice, and who has lost its answer cannot see whether it was added. So the script that adds
leaves the sum under a token of the call, in the slot of the count: both are in the same step of the owner, and come to
its replicas and into its file together or not at all. Who comes again with the token is given the sum that is there.
"""

from __future__ import annotations

from typing import Final

from cachegrid.engines.valkey.commands import ADDING, script
from cachegrid.engines.valkey.slots import slot_of, tag_of
from cachegrid.engines.valkey.trouble import CutOff, LinkError, is_parted, unanswered
from cachegrid.errors import CacheError, GridFull, NotANumber

__all__ = ["ADD_WITH_RECEIPT", "Doubt", "Parted", "kept_for", "receipt_key"]

_KEPT: Final = 5.0  # seconds beyond the deadline of a call: as far as the clocks of two hosts may differ


class Parted(Exception):
    """
    A count and its receipt are on their way to another owner, one without the other.

    Nothing was sent that could have been applied. The call has to be over at `deadline`, in the
    monotonic clock's seconds.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline


class Doubt:
    """Whether a count that met trouble may have been made: `lost` is the last of what was sent and not answered."""

    def __init__(self) -> None:
        self.lost: LinkError | None = None

    def note(self, trouble: Exception, deadline: float) -> None:
        """Take in what a call has met. Raises Parted."""
        if isinstance(trouble, LinkError) and trouble.sent and not isinstance(trouble, CutOff):  # that takes no writes
            self.lost = trouble
        elif self.lost is None and is_parted(trouble):
            raise Parted(deadline)

    def told(self, error: CacheError) -> CacheError:
        """The error to raise where a call ends with this one."""
        if self.lost is None or isinstance(error, NotANumber | GridFull):  # an owner without a receipt says so
            return error
        return unanswered(self.lost, error)


def receipt_key(address: bytes, token: bytes) -> bytes:
    """
    Where the receipt of a call is: in the slot of what it counts.

    >>> slot_of(receipt_key(b"cg:visits:1:$home", b"7f")) == slot_of(b"cg:visits:1:$home")
    True
    """
    return b"cg!receipt:{%b}%b" % (tag_of(slot_of(address)), token)


def kept_for(timeout: float) -> bytes:
    """How long the receipts of calls are kept that may take `timeout` seconds, in ms."""
    return b"%d" % round(1000 * (timeout + _KEPT))


# KEYS[2]: the receipt. ARGV: as `ADD` has them, then for how long it is kept, in ms. It is looked for first: whatever
# this owner refuses by now, it tells what it has done. Where the sum is refused there is none.
ADD_WITH_RECEIPT: Final = script(
    """
local told = redis.call('GET', KEYS[2])
if told then return told end
"""
    + ADDING
    + """
redis.call('SET', KEYS[2], sum, 'PX', ARGV[4])
return sum
"""
)
