"""How a codec refuses a value: what it is, where in the value it is, and the ways out."""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import Final

from cachegrid._core.shown import with_article
from cachegrid.errors import ValueRefused

__all__ = ["MAX_DEPTH", "Refused", "too_deep"]

MAX_DEPTH: Final = 128  # containers within containers that every codec of ours takes
_SHOWN_STEPS: Final = 16  # of a path; the innermost are the ones that help
_CODE: Final = {  # what runs here is nothing that another process could have
    types.BuiltinFunctionType: "its name, or what it returns",
    types.FunctionType: "its name, or what it returns",
    types.MethodType: "its name, or what it returns",
    types.ModuleType: "its name",
    types.CoroutineType: "what it returns when it is awaited",
    types.GeneratorType: "what it yields, such as list(...) of it",
    types.AsyncGeneratorType: "what it yields, in a list",
}


class Refused(Exception):
    """A value was met that cannot be kept. Every level it passes through on its way up adds its step to the path."""

    def __init__(self, kind: type, why: str, ways: str = "") -> None:
        super().__init__(why)
        self.kind, self.why, self.ways = kind, why, ways
        self.steps: list[str] = []

    def at(self, step: str) -> Refused:
        """The same refusal, one level further out."""
        self.steps.append(step)
        return self

    def as_error(self, codec: str) -> ValueRefused:
        """What the caller of the cache gets to see."""
        steps = self.steps[::-1]
        if len(steps) > _SHOWN_STEPS:
            steps = [*steps[:4], " ... ", *steps[-4:]]
        path = "value" + "".join(steps)
        name = f"{self.kind.__module__}.{self.kind.__qualname__}".removeprefix("builtins.")
        what = f"{path}, {with_article(name)}"
        message = f"codec {codec!r} cannot keep {what}: {self.why}; {self.ways or ways_out(self.kind)}"
        return ValueRefused(message, path=path, kind=self.kind)


def too_deep(kind: type) -> Refused:
    """The refusal of a value that has no end, or none within reach."""
    why = f"it lies under more than {MAX_DEPTH} containers, or in a container that contains itself"
    return Refused(kind, why, "store a flatter value")


def ways_out(kind: type) -> str:
    """What somebody can do who wants to store a value of this class."""
    name = kind.__name__
    if kind in _CODE:
        return f"store {_CODE[kind]}"
    if dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum) or hasattr(kind, "_fields"):
        return f"register the class with cachegrid.register({name})"
    return (
        f"convert it, register the class with cachegrid.register({name}, pack=..., unpack=...), "
        'or give the cache codec="pickle"'
    )
