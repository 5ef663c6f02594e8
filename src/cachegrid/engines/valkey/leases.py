"""
Leases at the owner: one key beside each name, and the scripts that judge it.

A lease is `<when it ends, in ms> <fencing number> <token>`, by its owner's clock, and has no end in the owner's books:
members that are short of memory evict what has one. One that nobody gave back is a few bytes until it is asked for
again.

All of it is in one key, since a slot may move key by key: keys that belong together could be at two members for as long
as that takes, and nobody could judge them.
"""

from __future__ import annotations

from typing import Final

from cachegrid.engines.valkey.commands import script
from cachegrid.engines.valkey.slots import slot_of, tag_of

__all__ = ["ACQUIRE", "HELD", "LAND", "RELEASE", "RENEW", "is_brief", "lease_key"]

_BRIEF: Final = 60_000  # ms; loads are rarely longer


def is_brief(ttl: int | None) -> bool:
    """
    Whether what is stored for `ttl` ms may have come and gone while somebody loads.

    What he has loaded is older and must not land then, though nothing is there: his lease has to end.

    >>> is_brief(1_000), is_brief(3_600_000), is_brief(None)
    (True, False, False)
    """
    return ttl is not None and ttl < _BRIEF


def lease_key(name: bytes) -> bytes:
    """
    Where the lease of a name is: in the slot of the name.

    >>> slot_of(lease_key(b"cg:prices:1:$a}b")) == slot_of(b"cg:prices:1:$a}b")
    True
    """
    if name and b"}" not in name:
        return b"cg!lease:{%b}" % name
    return b"cg!lease:{%b}:%b" % (tag_of(slot_of(name)), name)


# KEYS[1] is the lease. Who has it, or had it last, and the last fencing number. One that has ended is nobody's; what a
# foreign hand left is none.
_HOLDER = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = redis.pcall('GET', KEYS[1])
local holder, former, fence = false, false, '0'
if type(lease) == 'string' then
  local ends, number, who = string.match(lease, '^(%d+) (%d+) (.*)$')
  if ends and #number <= 16 then
    fence = number
    if tonumber(ends) > now then holder = who else former = who end
  end
end
local function hold(ms)
  redis.call('SET', KEYS[1], string.format('%.0f ', now + ms) .. fence .. ' ' .. ARGV[1])
end
"""

# What takes no more memory than before is done by a full member, too: a lock that is held there is not lost.
_OVER = "#!lua flags=allow-oom"

# The fencing number is the owner's clock in microseconds, and more than the last one while that is remembered, so it
# grows even when a lease was lost with its owner. ARGV: the token, and the lease in ms.
ACQUIRE: Final = script(
    _HOLDER
    + """
if holder and holder ~= ARGV[1] then return false end
if not holder then
  local number = clock[1] * 1000000 + clock[2]
  if tonumber(fence) >= number then number = tonumber(fence) + 1 end
  fence = string.format('%.0f', number)
end
hold(ARGV[2])
return fence
"""
)

RENEW: Final = script(
    _OVER
    + _HOLDER
    + """
if holder ~= ARGV[1] then return 0 end
hold(ARGV[2])
return 1
"""
)

# ARGV: the token, a word that is new in each call, and how long to remember it in ms. When the answer was lost the same
# call comes again, and must not be told that the lease was lost before.
RELEASE: Final = script(
    _OVER
    + _HOLDER
    + """
if holder ~= ARGV[1] then return former == ARGV[2] and 1 or 0 end
redis.call('SET', KEYS[1], '0 ' .. fence .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
"""
)

HELD: Final = script("#!lua flags=no-writes" + _HOLDER + "return holder and 1 or 0")

# KEYS[2]: the entry. ARGV: the token, the frame, and its time to live in ms. When the answer was lost the
# same call comes again, and finds its own frame there. Stored first: where there is no memory nothing is written.
# Nobody fences with a load's number, so that is not kept.
LAND: Final = script(
    _HOLDER
    + """
if holder ~= ARGV[1] then
  return redis.call('GET', KEYS[2]) == ARGV[2] and 1 or 0
end
local stored, full = 0, nil
if redis.call('EXISTS', KEYS[2]) == 0 then
  local answer = redis.pcall('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  if answer.err then full = answer else stored = 1 end
end
redis.call('DEL', KEYS[1])
return full or stored
"""
)
