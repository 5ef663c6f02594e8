"""How a command ends: the exit code of each kind of failure, and one line on stderr that says what to do."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand

from cachegrid import errors

__all__ = ["EPILOG", "Command", "Exit", "code_of", "ending_cleanly", "fail", "saying_if_stopped"]

T = TypeVar("T")


class Exit(IntEnum):
    """The exit codes; what each means is in `EPILOG` and in docs/cli.md."""

    DONE = 0
    NO = 1
    USAGE = 2
    NO_GRID = 3
    REFUSED = 4
    NOT_STARTED = 5
    INTERNAL = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


# Line breaks of our own are kept where a paragraph begins with this mark.
EPILOG: Final = """\b
Exit codes:
  0    done
  1    the answer is no: no such entry, a grid that is not whole, a demo that failed
  2    the command line, a setting, a key or a value cannot be used
  3    no grid is there, or it cannot be reached, or have a write safe, in time
  4    the grid refuses: wrong password, full, too old, another shape, value too large
  5    it cannot be started: no server program, a port in use, a missing package
  70   an error in cachegrid itself
  130  stopped by Ctrl-C
  141  nobody reads the output any more
"""

# The first class that an error is an instance of decides.
_CODES: Final = (
    (errors.EntryNotFound, Exit.NO),
    ((errors.ConfigError, errors.KeyRefused, errors.ValueRefused), Exit.USAGE),
    (
        (errors.GridNotFound, errors.Unreachable, errors.EngineTimeout, errors.OutcomeUnknown, errors.NotDurable),
        Exit.NO_GRID,
    ),
    ((errors.ServerMissing, errors.StartFailed), Exit.NOT_STARTED),
    (errors.CacheError, Exit.REFUSED),
    (KeyboardInterrupt, Exit.INTERRUPTED),
    (BrokenPipeError, Exit.PIPE_CLOSED),
)


class Command(TyperCommand):
    """A command that ends with one of our exit codes, and never with a traceback unless `--debug` asks for it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command's function."""
        return guarded(super().invoke, ctx)


def guarded(act: Callable[[Any], T], ctx: Any) -> T:
    """Do something; an error becomes a line on stderr and an exit code. `ctx.obj` is whether to show a traceback."""
    try:
        result = act(ctx)
        sys.stdout.flush()  # here, where a closed pipe is still expected
        return result
    except (typer.Exit, typer.Abort, typer.BadParameter, SystemExit):
        raise
    except BaseException as error:
        code = code_of(error)
        if ctx.obj:
            traceback.print_exc()
        if code is Exit.PIPE_CLOSED:
            # What is buffered still would fail at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif code is Exit.INTERNAL:
            fail(f"an error in cachegrid itself: {type(error).__name__}: {error} (--debug shows where)")
        elif code is not Exit.INTERRUPTED:
            fail(str(error))
        raise typer.Exit(code) from error


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP end what was begun as Ctrl-C does; the exit code is then 128 and their number."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    numbers = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # One that is ignored, as by nohup, goes on being so.
    before = {number: signal.signal(number, end) for number in numbers if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def saying_if_stopped(text: Callable[[], str]) -> Iterator[None]:
    """Inside, Ctrl-C and its kin say what that leaves behind, and what to do; `text` is asked for then."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        fail(text())
        raise


def code_of(error: BaseException) -> Exit:
    """
    The exit code that tells scripts of an error.

    >>> code_of(errors.GridNotFound("no grid")), code_of(ValueError())
    (<Exit.NO_GRID: 3>, <Exit.INTERNAL: 70>)
    """
    if isinstance(error, errors.CacheError) and isinstance(error.__cause__, ModuleNotFoundError):
        return Exit.NOT_STARTED
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), Exit.INTERNAL)


def fail(message: str) -> None:
    """Say on stderr, in one line, what went wrong; what others chose in it, such as keys, steers no terminal."""
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in " ".join(message.split()))
    sys.stderr.write(f"cachegrid: {line}\n")
