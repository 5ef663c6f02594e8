"""Worker processes that do jobs at once; see `jobs`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["PATIENCE", "Crew"]

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30.0  # seconds


class Crew:
    """So many processes; one that was killed is replaced when it gets its next job."""

    def __init__(self, size: int) -> None:
        self._workers = [_hire() for _ in range(size)]

    def begin(self, worker: int, job: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Let one worker do a job of `jobs`."""
        if self._workers[worker].poll() is not None:
            self._workers[worker] = _hire()
        process, answer = self._workers[worker], Future[Any]()

        def work() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps({"job": job.__name__, "args": args, "kwargs": kwargs}) + "\n")
                process.stdin.flush()
                told = json.loads(process.stdout.readline())
            except (OSError, ValueError) as error:
                answer.set_exception(ChildProcessError(f"worker {worker} is gone: {error}"))
                return
            if "error" in told:
                answer.set_exception(AssertionError(told["error"]))
            else:
                answer.set_result(told["result"])

        threading.Thread(target=work, name="a worker's answer", daemon=True).start()
        return answer

    def all(self, job: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Let all do the same job at once; an argument `range` gives each worker its number."""
        begun = [
            self.begin(worker, job, *[worker if arg is range else arg for arg in args], **kwargs)
            for worker in range(len(self._workers))
        ]
        return [answer.result(PATIENCE) for answer in begun]

    def pid(self, worker: int) -> int:
        """The process of one."""
        return self._workers[worker].pid

    def kill(self, worker: int) -> None:
        """SIGKILL one."""
        _dismiss(self._workers[worker])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._workers:
            _dismiss(process)


def _hire() -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.flow.jobs"]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _dismiss(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
