"""What a backup asks of owners beyond what programs do: entries with their ends, and epochs as they shall be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from cachegrid.cluster.keeping.places import Moved
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey._sio.pages import Batch
from cachegrid.engines.valkey._sio.tags import tag_key
from cachegrid.engines.valkey.commands import EPOCH_PREFIX, end_of, fetch, left_of, pack, script
from cachegrid.engines.valkey.facts import read_info
from cachegrid.engines.valkey.replies import epoch_in, int_in
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import Effect, LinkError

__all__ = ["MANY", "KeepingEngine", "Page", "Seen", "opened"]

SMALL: Final = 32 << 10  # bytes of values that are sent along at once
FEW: Final = 200  # entries of one trip: an owner answers nobody else meanwhile, about a millisecond
LARGEST: Final = 1 << 40  # bytes: more than any value has
MANY: Final = 8 << 20  # bytes that are read, or written, in one trip

# An entry and what is left of it, in one step. Of a large one its size, so that the asker takes few of them at a time.
# KEYS[1]: the address. ARGV: what is large. Nothing is asked of a member that programs do not ask of it: a user that
# may do what they do can keep a grid.
READ: Final = script("""
local beyond = redis.pcall('GETRANGE', KEYS[1], ARGV[1], ARGV[1])
if type(beyond) == 'table' then
  if string.find(beyond.err, 'WRONGTYPE', 1, true) then return 'strange' end
  return beyond
end
local frame = redis.call('GET', KEYS[1])
if beyond ~= '' then return #frame end
if not frame then return false end
return {redis.call('PTTL', KEYS[1]), frame}
""")

# ARGV: the epoch that it shall be. Answers the one that it is then: that, or a later one that somebody has made it.
LIFT: Final = script("""#!lua flags=allow-oom
local epoch = redis.pcall('GET', KEYS[1])
local is_one = type(epoch) == 'string' and #epoch <= 15 and string.find(epoch, '^%d+$')
if is_one and tonumber(epoch) >= tonumber(ARGV[1]) then return epoch end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
""")


# The same for a tag. ARGV: besides, for how many ms it has to last.
LIFT_TAG: Final = script("""#!lua flags=allow-oom
local epoch = redis.pcall('GET', KEYS[1])
local is_one = type(epoch) == 'string' and #epoch <= 15 and string.find(epoch, '^%d+$')
if not is_one or tonumber(epoch) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
elseif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
""")


class Seen(NamedTuple):
    """An entry as its owner has it: `left` is in ms, None without end."""

    address: bytes
    frame: bytes
    left: int | None


class Page(NamedTuple):
    """What was found at some addresses: entries, the addresses and sizes of large ones, and how many are no strings."""

    entries: list[Seen]
    large: list[tuple[bytes, int]]
    strange: int


class KeepingEngine(SyncValkeyEngine):
    """The engine, with what a backup and a restore need."""

    def read(self, addresses: Sequence[bytes]) -> Page:
        """What is at addresses, with what is left of it, but for what is large, and for what is no longer there."""
        entries: list[Seen] = []
        large: list[tuple[bytes, int]] = []
        strange = 0
        for few in (addresses[first : first + FEW] for first in range(0, len(addresses), FEW)):
            for address, answer in zip(few, self._read(few, SMALL), strict=True):
                match answer:
                    case [int(left), bytes(frame)]:
                        entries.append(Seen(address, frame, left_of(left)))
                    case int(size):
                        large.append((address, size))
                    case bytes():
                        strange += 1
        return Page(entries, large, strange)

    def read_large(self, large: Sequence[tuple[bytes, int]]) -> Iterator[Seen]:
        """What is at addresses of known sizes; however many that are, little of it is in memory at a time."""
        for page in _pages(large):
            for address, answer in zip(page, self._read(page, LARGEST), strict=True):
                match answer:
                    case [int(left), bytes(frame)]:
                        yield Seen(address, frame, left_of(left))

    def known_epochs(self, names: Sequence[str]) -> dict[str, int | None]:
        """The epochs that names have; none is made for one that has none."""
        keys = [_epoch_key(name) for name in names]
        replies = self._call_many(Batch(keys, [fetch(key) for key in keys], Effect.READ))
        return {name: epoch_in(reply) for name, reply in zip(names, replies, strict=True)}

    def lift_epoch(self, name: str, epoch: int) -> int:
        """Let a name have an epoch, unless it has a later one; the one it has then, which everybody knows on return."""
        key = _epoch_key(name)
        now = int_in(self._run(LIFT, Effect.REPEATABLE, (key,), b"%d" % epoch))
        self._announce(name.encode(), now)
        return now

    def lift_tags(self, tags: Mapping[bytes, tuple[int, int | None]]) -> None:
        """Let tags, by their whole names, have these epochs for so many ms at least, or later ones that they have."""
        keys = {tag_key(name): (b"%d" % epoch, end_of(last)) for name, (epoch, last) in tags.items()}
        requests = [LIFT_TAG.call((key,), *words) for key, words in keys.items()]
        self._call_many(Batch([*keys], requests, Effect.REPEATABLE, lambda key: LIFT_TAG.send((key,), *keys[key])))

    def put(self, entries: Sequence[Moved], *, only_new: bool) -> int:
        """Store entries, with `only_new` only where nothing is; how many were stored."""
        requests = [_set(entry, only_new=only_new) for entry in entries]
        replies = self._call_many(Batch([entry.address for entry in entries], requests, Effect.REPEATABLE))
        return sum(reply is not None for reply in replies)

    def evicted(self) -> int:
        """How many entries the owners have evicted since they were started; those that do not answer count none."""
        return sum(int(facts.get("evicted_keys", 0)) for facts in self._told_by_owners(b"stats"))

    def lives(self) -> frozenset[str]:
        """The owners, each by a word that it has until it ends: another one has taken its place, or it came back."""
        self.members()  # learns who they are
        return frozenset(facts.get("run_id", "") for facts in self._told_by_owners(b"server"))

    def shares(self) -> frozenset[tuple[str, str]]:
        """What is the same only if nobody has taken another's place, and no slot has moved: lives, and their slots."""
        slots = [str(ranges) for _, ranges in self._routing.owned()]
        told = [facts.get("run_id", "") for facts in self._told_by_owners(b"server")]
        return frozenset(zip(told, slots, strict=True))

    def _told_by_owners(self, section: bytes) -> list[Mapping[str, str]]:
        links = [link for link, _ in self._routing.owned()]
        answers = self._all_at_once([(link, pack(b"INFO", section), 1) for link in links])
        return [{} if isinstance(answer, LinkError) else _facts(answer[0]) for answer in answers]

    def _read(self, addresses: Sequence[bytes], limit: int) -> list[object]:
        most = b"%d" % limit
        batch = Batch(
            addresses,
            [READ.call((address,), most) for address in addresses],
            Effect.READ,
            lambda address: READ.send((address,), most),
            lambda address: READ.send((address,), most),  # a replica knows only the scripts that it was sent itself
        )
        return self._call_many(batch)


def opened(target: Target) -> KeepingEngine:
    """The engine, connected. Raises Unreachable, AccessDenied or Unsupported."""
    engine = KeepingEngine(target)
    try:
        engine.open()
    except BaseException:
        engine.close()
        raise
    return engine


def _pages(entries: Sequence[tuple[bytes, int]]) -> Iterator[list[bytes]]:
    """Addresses of entries of known sizes, so many at a time that they fit into memory."""
    page: list[bytes] = []
    size = 0
    for address, bytes_ in entries:
        if page and size + bytes_ > MANY:
            yield page
            page, size = [], 0
        page.append(address)
        size += bytes_
    if page:
        yield page


def _set(entry: Moved, *, only_new: bool) -> bytes:
    condition = (b"NX",) if only_new else ()
    return pack(b"SET", entry.address, entry.frame, *condition, b"PX", end_of(entry.ttl))


def _epoch_key(name: str) -> bytes:
    return EPOCH_PREFIX + b"{" + name.encode() + b"}"


def _facts(reply: object) -> Mapping[str, str]:
    return read_info(reply.decode(errors="replace")) if isinstance(reply, bytes) else {}
