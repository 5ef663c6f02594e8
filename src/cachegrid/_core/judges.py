"""Functions that say yes or no of something."""

from __future__ import annotations

import inspect

from cachegrid.errors import ConfigError

__all__ = ["check_judge"]


def check_judge(name: str, judge: object, want: str) -> None:
    """
    Refuse what cannot be called, and what has to be awaited: a coroutine is true, whatever it would say.

    Raises ConfigError.
    """
    if not callable(judge):
        raise ConfigError(name, judge, want)
    if inspect.iscoroutinefunction(judge) or inspect.iscoroutinefunction(type(judge).__call__):
        raise ConfigError(name, judge, f"{want}, and no async one: nobody awaits what it says")
