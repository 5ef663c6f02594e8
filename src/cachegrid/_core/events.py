"""What happens to a cache and its entries, as those are told who listen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, get_args

from cachegrid._core.address import Key, Space, epoch_in, prefix_of
from cachegrid.errors import ConfigError

__all__ = ["HERE", "Event", "EventKind", "Happening", "Listener", "Topic", "Voice", "checked_kind", "event_of"]

EventKind: TypeAlias = Literal["set", "deleted", "expired", "evicted", "invalidated", "loaded", "outage"]

HERE: Final = "here"
_KINDS: Final[tuple[str, ...]] = get_args(EventKind)
_OWNERS_ONLY: Final = ("expired", "evicted")  # nobody else is there when it happens
_HERE_ONLY: Final = ("loaded", "outage")  # owners see a write, or nothing at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened, as told to who listens."""

    kind: EventKind
    cache: str  # its name; for the result of a function that it keeps, with "/" and the function's
    key: Key | None = None  # None: the cache as a whole, or those of its entries that have one of the tags
    tags: tuple[str, ...] = ()  # those that were written or invalidated; owners tell of an entry without its tags
    origin: str = HERE  # this process, or the owner that told it, as "host:port"
    error: Exception | None = None  # of an outage


class Topic(NamedTuple):
    """What owners are asked to tell of: a cache, by what its addresses begin with; its entries, or its epochs."""

    parent: bytes
    of_epochs: bool


class Happening(NamedTuple):
    """
    What an owner tells: of an entry its address, and what happened to it.

    Of epochs the name of the one that was raised: of a cache, of the results of a function, or of a tag.
    """

    kind: EventKind
    address: bytes
    owner: str


class Listener(Protocol):
    """Who is told. Called from any thread; must not block."""

    def happened(self, topic: Topic, happening: Happening) -> None:
        """An owner has told something."""


class Voice:
    """What is listened to of one cache in this process. Hot paths look at `kinds`, and at nothing else."""

    __slots__ = ("kinds",)

    def __init__(self) -> None:
        self.kinds: frozenset[str] = frozenset()


def checked_kind(kind: str, *, everywhere: bool) -> None:
    """Raise ConfigError for a kind that there is not, or not there."""
    if kind not in _KINDS:
        raise ConfigError("the kind of an event", kind, "one of " + ", ".join(_KINDS))
    if kind in _OWNERS_ONLY and not everywhere:
        raise ConfigError("everywhere", everywhere, f"True for {kind!r}: only the owner of an entry knows of it")
    if kind in _HERE_ONLY and everywhere:
        want = f"False for {kind!r}: only the process knows of it where it happens"
        raise ConfigError("everywhere", everywhere, want)


def event_of(topic: Topic, happening: Happening, epoch: int) -> Event | None:
    """
    The event in what an owner tells; None where it is of what is out of reach since the cache's `epoch` was raised.

    >>> event_of(Topic(b"cg:prices:", False), Happening("set", b"cg:prices:0:$sku-1", "10.0.0.1:7001"), 0).key
    'sku-1'
    """
    kind, address, owner = happening
    if topic.of_epochs:
        name, _, tag = address.partition(b":")[2].partition(b":")
        return Event(kind=kind, cache=_text(name), tags=(_text(tag),) if tag else (), origin=owner)
    space = _space_at(prefix_of(address))
    key = None if space is None else space.key(address)
    if space is None or key is None or (epoch_in(address, topic.parent) or 0) < epoch:
        return None
    return Event(kind=kind, cache=_text(b"/".join(space.names[1:3])), key=key, origin=owner)


@lru_cache(maxsize=256)
def _space_at(prefix: bytes) -> Space | None:
    """The space that has a prefix (see `prefix_of`)."""
    try:
        fields = prefix.decode().split(":")  # namespace, name, epoch and, of an inner one, "/", name, epoch
        if len(fields) not in (4, 7):
            return None
        names, epochs = fields[1:-1:3], [int(epoch, 36) for epoch in fields[2::3]]
        return Space(fields[0], names, epochs, doubt=0)
    except ValueError:  # of foreign hands
        return None


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
