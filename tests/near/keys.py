"""The keys that are read and written, by what is done to them, and the values that stand for numbers of writes."""

from __future__ import annotations

from typing import Any, Final

from tests.near.history import NOTHING

__all__ = ["KINDS", "LOADED", "SHARED", "SHORT", "keys_of", "kind_of", "number_of", "value_of"]

# What is done to a key, by the last part of its name:
#   plain     one process stores and deletes it, everybody gets it
#   loaded    the same, and who finds nothing loads it
#   short     as loaded, and everything that is stored has a time to live
#   cached    the result of a cached function: one process invalidates it, everybody calls the function
#   counted   all add to it
#   changed   all update it, or compare and set
KINDS: Final = ("plain", "loaded", "short", "cached", "counted", "changed")
LOADED: Final = frozenset({"loaded", "short", "cached"})
SHARED: Final = frozenset({"counted", "changed"})
SHORT: Final = (0.3, 0.8)  # seconds that a short one lives, at least and at most


def keys_of(process: str, tags: int, kinds: tuple[str, ...]) -> list[str]:
    """The keys that are named for a process: those that only it writes, and its part of those that all do."""
    return [f"{{{tag}}}{process}.{kinds[tag % len(kinds)]}" for tag in range(tags)]


def kind_of(key: str) -> str:
    """What is done to a key."""
    return key.rpartition(".")[2]


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
