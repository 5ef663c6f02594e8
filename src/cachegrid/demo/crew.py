"""The worker processes, as the demo sees them: started together, heard through one queue, and all gone at the end."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import IO, Self

from cachegrid.demo.worker import STOP, Report, Task

__all__ = ["Crew", "WorkerLost"]

PATIENCE = 10.0  # seconds: more than any call of a worker may take


class WorkerLost(Exception):
    """A worker ended by itself; it has said why on stderr."""


class Crew:
    """Worker processes, one for each task, for as long as the `with` lasts."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._processes: list[subprocess.Popen[bytes]] = []
        self._listeners: list[threading.Thread] = []
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        try:
            for task in self._tasks:
                self._start(task)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def reports(self, seconds: float) -> Iterator[Report]:
        """What comes in, for so long; WorkerLost if a worker has ended."""
        with suppress(queue.Empty):
            report = self._reports.get(timeout=seconds)
            while True:
                if report is None:
                    raise WorkerLost("a worker process ended by itself")
                yield report
                report = self._reports.get_nowait()

    def finish(self) -> Iterator[Report]:
        """Tell all to stop, and give what they still report. Returns when they have ended."""
        for process in self._processes:
            with suppress(OSError):  # it has ended by itself
                _pipe(process.stdin).write(STOP)
                _pipe(process.stdin).close()
        for process in self._processes:
            if _ended(process) != 0:
                raise WorkerLost("a worker process did not end as it should")
        for listener in self._listeners:
            listener.join()
        while not self._reports.empty():
            if report := self._reports.get():
                yield report

    def end(self) -> None:
        """Kill those that are still there."""
        for process in self._processes:
            process.kill()
            process.wait()
        for listener in self._listeners:
            listener.join()
        for process in self._processes:
            with suppress(OSError):
                _pipe(process.stdin).close()
            _pipe(process.stdout).close()

    def _start(self, task: Task) -> None:
        # In a session of its own: Ctrl-C in the terminal is for the demo, which then ends its workers.
        process = subprocess.Popen(
            [sys.executable, "-m", "cachegrid.demo.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._processes.append(process)
        _pipe(process.stdin).write(json.dumps(asdict(task)).encode() + b"\n")
        _pipe(process.stdin).flush()
        listener = threading.Thread(target=self._listen, args=(_pipe(process.stdout),), name="demo-listener")
        self._listeners.append(listener)
        listener.start()

    def _listen(self, said: IO[bytes]) -> None:
        for line in said:
            self._reports.put(Report(**json.loads(line)))
        self._reports.put(None)


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process; None if it takes too long."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(PATIENCE)
    return None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - asked for in Popen
    return pipe
