"""Processes that use a grid, from outside: each takes orders as a line, says `ready`, begins and stops at a word."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

__all__ = ["Crew", "Orders"]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PATIENCE: Final = 30.0


class Orders(Protocol):
    """What a process has to do."""

    @property
    def process(self) -> str:
        """Its name."""

    @property
    def file(self) -> str:
        """Where it leaves what it recorded."""

    def line(self) -> str:
        """As the process takes them, without an end of line."""


class Crew:
    """
    The processes, which run `module`: at work on entry, and gone at the end.

    `before` comes before the command of each, such as `ip netns exec ...`; under `root` they find grids by their names.
    """

    def __init__(
        self,
        module: str,
        orders: Sequence[Orders],
        *,
        before: Sequence[Sequence[str]] | None = None,
        root: Path | None = None,
    ) -> None:
        self._module, self._orders = module, orders
        self._environ = os.environ if root is None else {**os.environ, "CACHEGRID_STATE": str(root)}
        self._before = before or [()] * len(orders)
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        try:
            self._hire()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _hire(self) -> None:
        for before in self._before:
            command = [*before, sys.executable, "-m", self._module]
            pipe = subprocess.PIPE
            started = subprocess.Popen(command, cwd=ROOT, env=self._environ, stdin=pipe, stdout=pipe, text=True)
            self._processes.append(started)
        for process, order in zip(self._processes, self._orders, strict=True):
            _tell(process, order.line())
        for process, order in zip(self._processes, self._orders, strict=True):
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise ChildProcessError(f"{order.process} did not begin")
        for process in self._processes:
            _tell(process, "go")

    def finish(self) -> list[Path]:
        """Stop all; the files in which they left what they recorded."""
        for process in self._processes:
            _tell(process, "stop")
        for process, order in zip(self._processes, self._orders, strict=True):
            if process.wait(PATIENCE) != 0:
                raise ChildProcessError(f"{order.process} ended with {process.returncode}")
        return [Path(order.file) for order in self._orders]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # what it was to be told last
                        pipe.close()


def _tell(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(word + "\n")
        process.stdin.flush()
    except BrokenPipeError as error:
        raise ChildProcessError(f"a process ended with {process.wait()}") from error
