"""Where entries were, and where they are to be: their cache, its epochs, and the same key at other epochs. All pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from cachegrid._core import frame as frames
from cachegrid._core.address import Space, prefix_of
from cachegrid._core.glances import epochs_in
from cachegrid._core.tags import Stamp, unpack_stamps
from cachegrid.cluster.keeping.files import Record
from cachegrid.codecs.signature import MAC_SIZE, Signer
from cachegrid.errors import FrameError

__all__ = ["Home", "Homes", "Moved", "Mover", "home_of", "is_signed", "later"]

_HOME: Final = re.compile(
    rb"(?P<space>[A-Za-z0-9_][A-Za-z0-9_.-]*):(?P<cache>[A-Za-z0-9_][A-Za-z0-9_.-]*):(?P<epoch>[0-9a-z]{1,11}):"
    rb"(?:/:(?P<inner>[^:]+):(?P<within>[0-9a-z]{1,11}):)?"
)
MOST: Final = 100_000  # prefixes that are remembered
_KINDS: Final = frozenset({b"$", b"%", b"#", b"("})  # what a key begins with
_FLAGS: Final = 9  # the byte of a frame that holds its flags
_CREATED: Final = slice(2, 8)  # of a frame: when it was made


class Home(NamedTuple):
    """The cache that an address belongs to, or the caches one inside the other, and the epoch of each."""

    names: tuple[str, ...]  # `namespace:cache`, and `namespace:cache/inner` where there is one
    epochs: tuple[int, ...]

    @property
    def cache(self) -> str:
        """The outer one."""
        return self.names[0]

    def prefix(self, epochs: Sequence[int]) -> bytes:
        """What addresses of it begin with at other epochs."""
        space, _, cache = self.names[0].partition(":")
        inner = [name.removeprefix(self.names[0] + "/") for name in self.names[1:]]
        return Space(space, [cache, *inner], epochs, doubt=0).prefix

    def is_alive(self, epochs: Mapping[str, int]) -> bool:
        """Whether these are the epochs of its caches."""
        return all(epochs.get(name) == epoch for name, epoch in zip(self.names, self.epochs, strict=True))

    def may_be_alive(self, epochs: Mapping[str, int | None]) -> bool:
        """Whether its epochs are none that were raised since."""
        return all(epoch >= (epochs.get(name) or 0) for name, epoch in zip(self.names, self.epochs, strict=True))


def home_of(address: bytes) -> tuple[bytes, Home] | None:
    """
    The prefix of an address, and the cache that it belongs to; None for what is no address of an entry.

    >>> home_of(b"cg:prices:a:$sku-1")
    (b'cg:prices:a:', Home(names=('cg:prices',), epochs=(10,)))
    >>> home_of(b"cg:prices:0:/:rates:4:$EUR")[1].names, home_of(b"user:7:name")
    (('cg:prices', 'cg:prices/rates'), None)
    """
    prefix = prefix_of(address)
    if not prefix or address[len(prefix) : len(prefix) + 1] not in _KINDS:
        return None
    found = _HOME.fullmatch(prefix)
    if found is None:
        return None
    names, epochs = [(found["space"] + b":" + found["cache"]).decode()], [int(found["epoch"], 36)]
    if found["inner"] is not None:
        names.append(f"{names[0]}/{found['inner'].decode(errors='replace')}")
        epochs.append(int(found["within"], 36))
    home = Home(tuple(names), tuple(epochs))
    # Epochs can be written in more ways than one, and only ours is an address.
    return (prefix, home) if home.prefix(epochs) == prefix else None


class Homes:
    """The caches of many addresses: what addresses of one prefix have in common is looked at once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Home | None] = {}

    def of(self, address: bytes) -> Home | None:
        """The cache of an address; None for what is no address of an entry."""
        prefix = prefix_of(address)
        try:
            return self._known[prefix]
        except KeyError:
            known = home_of(address)
            if len(self._known) > MOST:  # what others keep on a server may look alike, and be without end
                self._known.clear()
            home = self._known[prefix] = known[1] if known else None
            return home


class Moved(NamedTuple):
    """An entry as it is to be stored: where, what, and for how many ms; None is without end. And its tags' epochs."""

    address: bytes
    frame: bytes
    ttl: int | None
    tags: tuple[tuple[bytes, int], ...] = ()  # whole names, and epochs


class Mover:
    """
    Says of each entry of a backup where it is to be: the same key, at the epochs that its cache has here.

    `shift` is how many ms later than it would have ended an entry shall end. `passed`, `unsigned` and `dead` count what
    is not to come back: entries that have ended, such as were signed with another secret, and such as were cleared.
    """

    def __init__(
        self, alive: Mapping[str, int], epochs: Mapping[str, int], *, secret: bytes | None = None, shift: int = 0
    ) -> None:
        self._alive, self._epochs = alive, epochs
        self._secret, self._shift = secret, shift
        self._prefixes: dict[bytes, tuple[bytes, str] | None] = {}
        self._signers: dict[str, Signer] = {}
        self.passed = self.unsigned = self.dead = 0
        self.taken: dict[str, int] = {}  # entries that are to come back, by cache

    def __call__(self, record: Record, now: int) -> Moved | None:
        """What is to be stored at `now`, ms since 1970; None for an entry that is not to come back."""
        prefix = prefix_of(record.address)
        place = self._prefixes[prefix] if prefix in self._prefixes else self._place(prefix, record.address)
        if place is None:
            self.dead += 1
            return None
        ttl = record.end + self._shift - now if record.end else None
        if ttl is not None and ttl < 1:
            self.passed += 1
            return None
        address = place[0] + record.address[len(prefix) :]
        frame = self._frame(record, address, place[1])
        if frame is None:
            self.unsigned += 1
            return None
        self.taken[place[1]] = self.taken.get(place[1], 0) + 1
        stamps = [(f"{place[1]}:".encode() + tag, epoch) for tag, epoch in _stamps_in(frame)]
        return Moved(address, frame, ttl, tuple(stamps))

    def _place(self, prefix: bytes, address: bytes) -> tuple[bytes, str] | None:
        """The new prefix, and the name of the cache; None if it was cleared, or is not asked for."""
        known = home_of(address)
        place = None
        if known and known[1].is_alive(self._alive) and known[1].cache in self._epochs:
            home = known[1]
            place = home.prefix([self._epochs[name] for name in home.names]), home.cache
        self._prefixes[prefix] = place
        return place

    def _frame(self, record: Record, address: bytes, cache: str) -> bytes | None:
        raw = later(record.frame, self._shift) if self._shift else record.frame
        if not is_signed(raw) or (raw is record.frame and address == record.address):
            return raw
        if self._secret is None:
            return None
        signer = self._signers.get(cache) or self._signers.setdefault(
            cache, Signer(self._secret, cache.partition(":")[2])
        )
        try:
            start = frames.unpack(raw).start
        except FrameError:  # nobody could read it where it was, either
            return None
        end = start + MAC_SIZE
        # Signed anew is only what was signed with this very secret: else whoever can write to the folder could
        # have anything signed.
        if not signer.is_valid(record.address, record.frame[:start], record.frame[start:end], record.frame[end:]):
            return None
        return raw[:start] + signer.sign(address, raw[:start], raw[end:]) + raw[end:]


def is_signed(raw: bytes) -> bool:
    """Whether a stored entry is a frame with a signature."""
    return len(raw) >= frames.HEADER_SIZE and raw[0] == frames.MAGIC and bool(raw[_FLAGS] & frames.SIGNED)


def _stamps_in(raw: bytes) -> list[Stamp]:
    """The tags of a stored entry, with their epochs."""
    try:
        return unpack_stamps(epochs_in(raw))
    except FrameError:
        return []


def later(raw: bytes, by: int) -> bytes:
    """The same frame, made `by` ms later; what is no frame stays as it is."""
    if frames.is_int(raw):
        return raw
    try:
        created = frames.unpack(raw).created
    except FrameError:
        return raw
    return raw[: _CREATED.start] + (created + by).to_bytes(6, "big") + raw[_CREATED.stop :]
