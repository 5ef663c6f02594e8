"""Values that codecs are tested with: registered classes, and strategies for any value that `plain` keeps."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from functools import cached_property
from typing import Any, NamedTuple

from hypothesis import strategies as st

from cachegrid.codecs import register

__all__ = [
    "Colour",
    "Frozen",
    "Level",
    "Mark",
    "Pair",
    "Place",
    "Rights",
    "Slotted",
    "Tone",
    "plain_values",
    "records",
]


@register
class Colour(enum.Enum):
    """An enum whose values say nothing."""

    RED = frozenset({"r"})
    GREEN = frozenset({"g"})


@register
class Level(enum.IntEnum):
    """Numbers by name."""

    LOW = 1
    HIGH = 2


@register
class Tone(enum.StrEnum):
    """Text by name."""

    WARM = enum.auto()
    COLD = enum.auto()


@register
class Rights(enum.Flag):
    """Bits by name."""

    READ = 1
    WRITE = 2


@register
@dataclass
class Place:
    """A dataclass with everything that makes one hard to keep."""

    name: Any
    at: Any = (0.0, 0.0)
    seen: int = field(default=0, init=False, compare=False)

    @cached_property
    def label(self) -> str:
        """Computed, and put beside the fields."""
        return f"the place {self.name}"


@register(name="frozen")
@dataclass(frozen=True)
class Frozen:
    """One that takes no attributes after it was made."""

    only: Any


@register
@dataclass(slots=True)
class Slotted:
    """One without a dictionary."""

    left: Any
    right: Any = None


@register
class Pair(NamedTuple):
    """A tuple with names."""

    left: Any
    right: Any


class Mark(str):
    """A class of text, kept by functions of its own."""

    __slots__ = ()


register(Mark, "mark", pack=str, unpack=Mark)


NUMBERS = st.integers() | st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.complex_numbers()
TEXTS = st.text(st.characters(), max_size=12)  # lone surrogates too
BYTES = st.binary(max_size=12)
ZONES = (
    st.none()
    | st.timezones()
    | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
    | st.builds(timezone, st.just(timedelta(hours=1)), TEXTS)
)
TIMES = (
    st.datetimes(timezones=ZONES, allow_imaginary=True)
    | st.dates()
    | st.times(timezones=st.none() | st.builds(timezone, st.just(timedelta(hours=-3))))
    | st.timedeltas()
)
CLASSES = st.sampled_from([*Colour, *Level, *Tone, *map(Rights, range(4)), Mark("x")])
# Atoms that can be keys and members: hashable, and equal to themselves.
NAMES = (
    st.none() | st.booleans() | st.integers() | TEXTS | BYTES | st.dates() | st.uuids() | CLASSES
    | st.decimals(allow_nan=False)
)  # fmt: skip
KEYS = NAMES | st.tuples(NAMES, NAMES) | st.frozensets(NAMES, max_size=3) | st.builds(Frozen, NAMES)
ATOMS = (
    st.none() | NUMBERS | TEXTS | BYTES | BYTES.map(bytearray) | TIMES | st.uuids() | CLASSES | st.decimals()
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9))
)  # fmt: skip


def _containers(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(parts, max_size=5)
    dicts = st.dictionaries(TEXTS, parts, max_size=5)
    return st.one_of(
        lists,
        dicts,
        lists.map(tuple),
        lists.map(deque),
        st.builds(deque, lists, st.integers(5, 9)),
        st.dictionaries(KEYS, parts, max_size=4),
        dicts.map(OrderedDict),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        st.builds(Place, parts, parts),
        st.builds(Slotted, parts),
        st.builds(Frozen, parts),
        st.builds(Pair, parts, parts),
        records(parts),
    )


@st.composite
def records(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> Any:
    """Rows of one shape, now and then with a row that is not."""
    keys = draw(st.lists(TEXTS, min_size=1, max_size=5, unique=True))
    columns = [draw(st.sampled_from([parts, st.integers(), st.floats(), st.text(max_size=5)])) for _ in keys]
    rows = [dict(zip(keys, draw(st.tuples(*columns)), strict=True)) for _ in range(draw(st.integers(8, 10)))]
    match draw(st.integers(0, 5)):
        case 0:
            rows[3] = dict(reversed(rows[3].items()))
        case 1:
            rows[4][draw(TEXTS)] = None
        case 2:
            rows[5] = {Mark(key): value for key, value in rows[5].items()}
        case 3:
            return [tuple(row.values()) for row in rows]
        case _:
            pass
    return rows


def plain_values(max_leaves: int = 20) -> st.SearchStrategy[Any]:
    """Any value that `plain` keeps."""
    return st.recursive(ATOMS, _containers, max_leaves=max_leaves)
