"""The keys that are read and written, by what is done to them, and the values that stand for numbers of writes."""

from __future__ import annotations

from typing import Any, Final

from tests.near.history import NOTHING

__all__ = [
    "GRACED",
    "KINDS",
    "LOADED",
    "SHARED",
    "SHORT",
    "TAGGED",
    "TAGS",
    "ends_soon",
    "keys_of",
    "kind_of",
    "number_of",
    "tag_of",
    "value_of",
]

# What is done to a key, by the last part of its name:
#   plain     one process stores and deletes it, everybody gets it
#   loaded    the same, and who finds nothing loads it
#   short     as loaded, and everything that is stored has a time to live
#   cached    the result of a cached function: one process invalidates it, everybody calls the function
#   counted   all add to it
#   changed   all update it, or compare and set
#   tagged    as loaded, and everything that is stored has a tag, that all invalidate
#   graced    as tagged, with a time to live: who loads serves what is past its end, and loads it anew early, behind
#             the backs of all
KINDS: Final = ("plain", "loaded", "short", "cached", "counted", "changed", "tagged", "graced")
LOADED: Final = frozenset({"loaded", "short", "cached", "tagged", "graced"})
TAGGED: Final = frozenset({"tagged", "graced"})
TAGS: Final = ("tag0", "tag1", "tag2", "tag3", "tag4")
SHARED: Final = frozenset({"counted", "changed"})
SHORT: Final = (0.3, 0.8)  # seconds that a short one lives, at least and at most
GRACED: Final = (0.6, 10.0)  # seconds of grace, and how eagerly they are loaded anew


def keys_of(process: str, tags: int, kinds: tuple[str, ...]) -> list[str]:
    """The keys that are named for a process: those that only it writes, and its part of those that all do."""
    return [f"{{{tag}}}{process}.{kinds[tag % len(kinds)]}" for tag in range(tags)]


def kind_of(key: str) -> str:
    """What is done to a key."""
    return key.rpartition(".")[2]


def tag_of(key: str) -> str:
    """The tag of what is stored there; nothing where that has none."""
    return TAGS[int(key[1 : key.index("}")]) % len(TAGS)] if kind_of(key) in TAGGED else ""


def ends_soon(key: str) -> bool:
    """Whether what is stored there has a time to live."""
    return kind_of(key) in ("short", "graced")


def value_of(key: str, number: int) -> Any:
    """A number as a value of some kind: of those that may be handed out as they are, and of those that may not."""
    if kind_of(key) == "counted":
        return number
    at = len(key) + ord(key[1]) + ord(key[2])
    return (number, f"{number}", [number, {"is": key}], ("n", number))[at % 4]


def number_of(value: Any) -> int:
    """The number that a value stands for; NOTHING for None."""
    if value is None:
        return NOTHING
    if isinstance(value, list):
        return int(value[0])
    return int(value[1] if isinstance(value, tuple) else value)
