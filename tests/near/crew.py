"""The processes of the checker, from outside."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.near.history import History, load
from tests.near.worker import Orders

__all__ = ["Crew"]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PATIENCE: Final = 30.0


class Crew:
    """The processes: ready on entry, and gone at the end."""

    def __init__(self, orders: Sequence[Orders]) -> None:
        self._orders = orders
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        try:
            self._hire()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _hire(self) -> None:
        for _ in self._orders:
            command = [sys.executable, "-m", "tests.near.worker"]
            pipe = subprocess.PIPE
            self._processes.append(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True))
        for process, order in zip(self._processes, self._orders, strict=True):
            _tell(process, order.line())
        for process, order in zip(self._processes, self._orders, strict=True):
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise ChildProcessError(f"{order.process} did not begin")
        for process in self._processes:
            _tell(process, "go")

    def finish(self) -> History:
        """Stop all, and take what they recorded."""
        for process in self._processes:
            _tell(process, "stop")
        history = History()
        for process, order in zip(self._processes, self._orders, strict=True):
            if process.wait(PATIENCE) != 0:
                raise ChildProcessError(f"{order.process} ended with {process.returncode}")
            history.add(load(Path(order.file)))
        return history

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
