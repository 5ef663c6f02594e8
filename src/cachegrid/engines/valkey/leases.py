"""
Leases at the owner: two keys beside each name, and the scripts that judge them.

A lease says in its value when it ends, by its owner's clock, and has no end in the owner's books: members that are
short of memory evict what has one. One that nobody gave back is a few bytes until it is asked for again.
"""

from __future__ import annotations

from typing import Final

from cachegrid.engines.valkey.commands import script
from cachegrid.engines.valkey.slots import slot_of, tag_of

__all__ = ["ACQUIRE", "LAND", "RELEASE", "RENEW", "fence_key", "lease_key"]


def lease_key(name: bytes) -> bytes:
    """
    Where the lease of a name is: in the slot of the name.

    >>> slot_of(lease_key(b"cg:prices:1:$a}b")) == slot_of(b"cg:prices:1:$a}b")
    True
    """
    return b"cg!lease:" + _within(name)


def fence_key(name: bytes) -> bytes:
    """Where the fencing number of its last holder is, in the same slot."""
    return b"cg!fence:" + _within(name)


def _within(name: bytes) -> bytes:
    """The name, written so that it gives the key around it its slot."""
    if name and b"}" not in name:
        return b"{%b}" % name
    return b"{%b}:%b" % (tag_of(slot_of(name)), name)


# KEYS[1] is the lease. Who has it, and when that ends; a lease that has ended is none, nor is what a foreign hand left.
_HOLDER = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function holder()
  local lease = redis.pcall('GET', KEYS[1])
  if type(lease) ~= 'string' then return false end
  local _, space = string.find(lease, '^%d+ ')
  if not space or tonumber(string.sub(lease, 1, space - 1)) <= now then return false end
  return string.sub(lease, space + 1)
end
local function fenced()
  local fence = redis.pcall('GET', KEYS[2])
  return type(fence) == 'string' and string.find(fence, '^%d') and fence or '0'
end
local function hold(token, ms)
  redis.call('SET', KEYS[1], string.format('%.0f ', now + ms) .. token)
end
"""

# What takes no more memory than before is done by a full member, too: a lock that is held there is not lost.
_OVER = "#!lua flags=allow-oom"

# KEYS[2]: its fencing number. That is the owner's clock in microseconds, and more than the last one while that
# is remembered, so it grows even when a lease was lost with its owner.
# ARGV: the token, the lease, and how long to remember the fencing number, in ms.
ACQUIRE: Final = script(
    _HOLDER
    + """
local held = holder()
if held and held ~= ARGV[1] then return false end
local fence = fenced()
if not held or fence == '0' then
  local number = clock[1] * 1000000 + clock[2]
  local last = tonumber(string.match(fence, '^%d+'))
  if last >= number then number = last + 1 end
  fence = string.format('%.0f', number)
end
hold(ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], fence, 'PX', ARGV[3])
return string.match(fence, '^%d+')
"""
)

RENEW: Final = script(
    _OVER
    + _HOLDER
    + """
if holder() ~= ARGV[1] then return 0 end
hold(ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
"""
)

# ARGV: the token, a word that is new in each call, and how long to remember it in ms. When the answer was lost the same
# call comes again, and must not be told that the lease was lost before.
RELEASE: Final = script(
    _OVER
    + _HOLDER
    + """
local fence = fenced()
if holder() ~= ARGV[1] then
  if string.sub(fence, -#ARGV[2] - 1) == ' ' .. ARGV[2] then return 1 end
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], string.match(fence, '^%d+') .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
"""
)

# KEYS[3]: the entry. ARGV: the token, the frame, and its time to live in ms. When the answer was lost the
# same call comes again, and finds its own frame there. Stored first: where there is no memory nothing is written.
# Nobody fences with a load's number, so that is not kept.
LAND: Final = script(
    _HOLDER
    + """
if holder() ~= ARGV[1] then
  return redis.call('GET', KEYS[3]) == ARGV[2] and 1 or 0
end
local stored, full = 0, nil
if redis.call('EXISTS', KEYS[3]) == 0 then
  local answer = redis.pcall('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
  if answer.err then full = answer else stored = 1 end
end
redis.call('DEL', KEYS[1], KEYS[2])
return full or stored
"""
)
