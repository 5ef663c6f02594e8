"""
How long what was loaded is good for.

A little less than was said, so that not all ends at once; a little longer, while somebody loads it anew; and whether
somebody should do that already.

Times are whole milliseconds. `draw` is a random number from 0 up to 1, but for 1.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["DRAWS", "EARLIEST", "GRACE_AND_IDLE", "NO_RULES", "Rules", "early_by", "is_due", "jittered"]


class Rules(NamedTuple):
    """What holds for loads besides their times; None and 0 are off."""

    grace: int | None = None  # how long a value is served after its end, while it is loaded anew
    early: float = 0.0  # how eagerly a value is loaded anew before its end; 1 is the optimum of the source below
    jitter: float = 0.0  # the share of the time to live by which it is cut at most
    negative: int | None = None  # the time to live of None
    failure: int | None = None  # how long a failure is remembered


NO_RULES = Rules()
EARLIEST: Final = 8  # times the cost: of 3,000 reads sooner than that before the end, chance has one load anew
DRAWS: Final = 32  # in the time of the cost: with as many, of 100,000 ends one comes before the value is there anew
# What grace has to be beside an idle time.
GRACE_AND_IDLE: Final = (
    "off where the entry has an idle time: what nobody reads for so long is gone, with nothing to serve"
)


def jittered(ttl: int, share: float, draw: float) -> int:
    """A time to live, cut by up to a share of it; 1 or more."""
    return max(1, round(ttl * (1 - share * draw)))


def early_by(cost: int, draw: float) -> float:
    """
    How long before its end a value of some cost is loaded anew: what it took to load it, times `Rules.early`.

    Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015 (XFetch).
    """
    return -cost * math.log(1 - draw)


def is_due(left: float, cost: int, draw: float) -> bool:
    """Whether a value that ends `left` from now shall be loaded anew already."""
    return early_by(cost, draw) >= left
