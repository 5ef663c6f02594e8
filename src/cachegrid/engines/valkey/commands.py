"""Requests as bytes, and the scripts that run at an entry's owner where one command cannot do it."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from cachegrid._core.ages import AGES

__all__ = [
    "ADD",
    "ADDING",
    "BELL_PREFIX",
    "DROP_IF_STRANGE",
    "DROP_IF_VERSION",
    "EPOCH_PREFIX",
    "FAR",
    "FETCH",
    "FETCH_IDLE",
    "GLANCE",
    "HEALTH",
    "INSPECT",
    "MAKE_EPOCH",
    "MAKE_TAG",
    "RAISE_EPOCH",
    "RAISE_TAG",
    "RING",
    "ROUTES",
    "STORE_IF_VERSION",
    "TAG_BELL_PREFIX",
    "TAG_PREFIX",
    "TOUCH",
    "Script",
    "end_of",
    "fetch",
    "left_of",
    "pack",
    "script",
    "store",
    "unlink",
]

BELL_PREFIX: Final = b"cg!bell:"
TAG_BELL_PREFIX: Final = BELL_PREFIX + b"tags:"  # then the buckets of the tags, and what places it in a slot
EPOCH_PREFIX: Final = b"cg!epoch:"
TAG_PREFIX: Final = b"cg!tag:"

# The end of entries that have none. Members that are short of memory evict what has an end, so that epochs stay, which
# have none at all: an entry without one could never be evicted.
FAR: Final = 1 << 47  # ms: four thousand years
_FAR: Final = b"%d" % FAR


def pack(*words: bytes) -> bytes:
    """One request in RESP, from its words."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


HEALTH: Final = pack(b"CLUSTER", b"INFO")  # see `read_health`
ROUTES: Final = pack(b"CLUSTER", b"SLOTS")  # see `read_routes`


FETCH: Final = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n"  # for many at once: the length of an address, and the address


def fetch(address: bytes) -> bytes:
    """GET."""
    return FETCH % (len(address), address)


def store(address: bytes, frame: bytes, ttl: int | None) -> bytes:
    """SET with PX, also where the entry has no end."""
    end = end_of(ttl)
    return b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$2\r\nPX\r\n$%d\r\n%b\r\n" % (
        len(address),
        address,
        len(frame),
        frame,
        len(end),
        end,
    )


def end_of(ttl: int | None) -> bytes:
    """A time to live, as the members are told."""
    return _FAR if ttl is None else b"%d" % ttl


def left_of(pttl: int) -> int | None:
    """What is left of an entry, in ms; None if it is without end."""
    return None if pttl < 0 or pttl > FAR // 2 else pttl


def unlink(address: bytes) -> bytes:
    """UNLINK."""
    return b"*2\r\n$6\r\nUNLINK\r\n$%d\r\n%b\r\n" % (len(address), address)


class Script(NamedTuple):
    """A script, called by its digest; `source` is sent only to a member that does not know it yet."""

    source: bytes
    digest: bytes

    def call(self, keys: tuple[bytes, ...], *args: bytes) -> bytes:
        """EVALSHA."""
        return pack(b"EVALSHA", self.digest, b"%d" % len(keys), *keys, *args)

    def send(self, keys: tuple[bytes, ...], *args: bytes) -> bytes:
        """EVAL, with the whole source."""
        return pack(b"EVAL", self.source, b"%d" % len(keys), *keys, *args)


def script(source: str) -> Script:
    """A script from its source."""
    raw = source.strip().encode()
    return Script(raw, hashlib.sha1(raw, usedforsecurity=False).hexdigest().encode())


# The version of an entry is bytes 10..18 of a frame (magic 0xC9), or all of an integer's digits.
_VERSION = """
local head = redis.call('GETRANGE', KEYS[1], 0, 23)
if string.byte(head, 1) == 201 then head = string.sub(head, 11, 18) end
"""

STORE_IF_VERSION: Final = script(
    _VERSION
    + """
if head == '' or head ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
)

DROP_IF_VERSION: Final = script(
    _VERSION
    + """
if head == '' or head ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
"""
)

# What is of another type has no head. What has a version: a frame of our format that has its whole header, and an
# integer of 64 bits, written as everybody writes it.
DROP_IF_STRANGE: Final = script("""
local head = redis.pcall('GETRANGE', KEYS[1], 0, 23)
if type(head) == 'string' then
  if string.byte(head, 1) == 201 and string.byte(head, 2) == 1 and #head == 24 then return 0 end
  local sign, digits = string.match(head, '^(-?)([1-9]%d*)$')
  local most = sign == '-' and '9223372036854775808' or '9223372036854775807'
  if head == '0' or digits and (#digits < 19 or #digits == 19 and digits <= most) then return 0 end
end
return redis.call('UNLINK', KEYS[1])
""")

# A script's numbers are doubles, and would lose the low bits of a large sum: that is read back as text.
# ARGV: where to start, what to add, and how long it lives where it starts, in ms.
ADDING: Final = """
local fresh = redis.call('EXISTS', KEYS[1]) == 0
if fresh then redis.call('SET', KEYS[1], ARGV[1]) end
local sum = redis.pcall('INCRBY', KEYS[1], ARGV[2])
if type(sum) == 'table' and sum.err then
  if fresh then redis.call('DEL', KEYS[1]) end
  if string.find(sum.err, 'WRONGTYPE', 1, true) then return redis.error_reply('ERR value is not an integer') end
  return sum
end
if fresh then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if math.abs(sum) < 9007199254740992 then sum = string.format('%.0f', sum) else sum = redis.call('GET', KEYS[1]) end
"""

ADD: Final = script(ADDING + "return sum")

# A number of 48 bits, big-endian, at 1-based position `at`; all ones mean that there is none.
_NUMBER = """
local function number(text, at)
  local a, b, c, d, e, f = string.byte(text, at, at + 5)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end
local NONE = 281474976710655
"""

# ARGV: the idle time of frames that name none. One of ages is none: the end of the entry stays as it is.

FETCH_IDLE: Final = script(
    _NUMBER
    + f"local AGES = {AGES}"
    + """
local frame = redis.call('GET', KEYS[1])
if not frame then return false end
local idle = tonumber(ARGV[1])
local is_ours = string.byte(frame, 1) == 201 and #frame >= 24
if is_ours and math.floor(string.byte(frame, 10) / 2) % 2 == 1 and #frame >= 30 then idle = number(frame, 25) end
if idle >= AGES then return frame end
if is_ours then
  local ttl = number(frame, 19)
  if ttl ~= NONE then
    local clock = redis.call('TIME')
    local left = number(frame, 3) + ttl - (clock[1] * 1000 + math.floor(clock[2] / 1000))
    if left < 1 then -- or each read would give it another millisecond
      redis.call('DEL', KEYS[1])
      return false
    end
    if left < idle then idle = left end
  end
end
if idle < 1 then idle = 1 end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', idle))
return frame
"""
)

# ARGV: the new time to live, whether that is one, and the time of the call, in ms. An entry with an idle time
# ends at whichever comes first; its header is changed in place, so a large value is not copied.
TOUCH: Final = script(
    _NUMBER
    + """
local head = redis.call('GETRANGE', KEYS[1], 0, 29)
if head == '' and redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local last = tonumber(ARGV[1])
if string.byte(head, 1) == 201 and #head >= 24 then
  local kept = NONE
  if ARGV[2] == '1' then kept = tonumber(ARGV[3]) + last - number(head, 3) end
  if kept < 0 then kept = 0 end
  local text, rest = '', kept
  for _ = 1, 6 do
    text = string.char(rest % 256) .. text
    rest = math.floor(rest / 256)
  end
  redis.call('SETRANGE', KEYS[1], 18, text)
  if math.floor(string.byte(head, 10) / 2) % 2 == 1 and #head >= 30 then
    local idle, left, old = number(head, 25), redis.call('PTTL', KEYS[1]), number(head, 19)
    if left >= 0 and left < idle and (old == NONE or left < number(head, 3) + old - tonumber(ARGV[3])) then
      idle = left
    end
    if idle < last then last = idle end
  end
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', last))
return 1
"""
)

INSPECT: Final = script("""
local frame = redis.call('GET', KEYS[1])
if not frame then return false end
return {redis.call('PTTL', KEYS[1]), frame}
""")

GLANCE: Final = script("""
local frame = redis.call('GET', KEYS[1])
if not frame then return false end
return {redis.call('PTTL', KEYS[1]), #frame, string.sub(frame, 1, tonumber(ARGV[1]))}
""")

# Epochs are few and small, and raising one is how a full grid is emptied: they may go over the limit.
# What a foreign hand has put in the place of one is none; more digits than these are inexact in a script.
_NOW = """#!lua flags=allow-oom
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function known()
  local epoch = redis.pcall('GET', KEYS[1])
  if type(epoch) == 'string' and #epoch <= 15 and string.find(epoch, '^%d+$') then return epoch end
end
"""

# Answers the epoch, and whether it was made just now.
MAKE_EPOCH: Final = script(
    _NOW
    + """
local epoch = known()
if epoch then return {epoch, 0} end
epoch = string.format('%.0f', now)
redis.call('SET', KEYS[1], epoch)
return {epoch, 1}
"""
)

# Set, and counted up: so who listens to the events of keys can tell a raise from an epoch that was made.
RAISE_EPOCH: Final = script(
    _NOW
    + """
local last = tonumber(known() or '0')
redis.call('SET', KEYS[1], string.format('%.0f', math.max(last + 1, now) - 1))
redis.call('INCRBY', KEYS[1], 1)
return redis.call('GET', KEYS[1])
"""
)

# A tag's epoch ends some time after the last entry that has the tag: there may be millions of tags.
# ARGV: how long it has to last, and how long it is given where it would not. Answers the epoch, and what it has left.
MAKE_TAG: Final = script(
    _NOW
    + """
local epoch = known()
local left = redis.call('PTTL', KEYS[1])
if not epoch then
  epoch = string.format('%.0f', now)
  redis.call('SET', KEYS[1], epoch, 'PX', ARGV[2])
  left = tonumber(ARGV[2])
elseif left < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  left = tonumber(ARGV[2])
end
return {epoch, left}
"""
)

# What has no epoch has no live entry; whoever still trusts one that was evicted is told all the same.
RAISE_TAG: Final = script(
    _NOW
    + """
local last = known()
if last then
  redis.call('SET', KEYS[1], string.format('%.0f', math.max(tonumber(last) + 1, now) - 1), 'KEEPTTL')
  redis.call('INCRBY', KEYS[1], 1)
end
redis.call('SET', KEYS[2], '')
redis.call('UNLINK', KEYS[2])
return 1
"""
)

# A bell that stayed would be an entry: it is taken away at once, and rings all the same.
RING: Final = script("""#!lua flags=allow-oom
redis.call('SET', KEYS[1], '')
return redis.call('UNLINK', KEYS[1])
""")
