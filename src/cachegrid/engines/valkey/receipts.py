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

__all__ = ["ADD_WITH_RECEIPT", "kept_for", "receipt_key"]

_KEPT: Final = 5.0  # seconds beyond the deadline of a call: as far as the clocks of two hosts may differ


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
sum = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[2], sum, 'PX', ARGV[4])
return sum
"""
)
