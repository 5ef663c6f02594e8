"""One process at a time starts or stops a grid, however many want to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachegrid.errors import StartFailed

__all__ = ["locked"]

PAUSE = 0.003  # seconds between two tries; starting a grid takes 20 times as long


@contextmanager
def locked(root: Path, name: str, *, timeout: float = 60.0) -> Iterator[None]:
    """Hold the lock of a grid's name; it ends with the process that holds it. `StartFailed` after `timeout` s."""
    path = root / f".{name}.lock"
    file = _take(path, time.monotonic() + timeout)
    try:
        yield
    finally:
        # Removed while still held: whoever waits on it notices in `_take` that it is no longer the lock.
        path.unlink(missing_ok=True)
        os.close(file)


def _take(path: Path, deadline: float) -> int:
    import fcntl

    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(file)
                raise StartFailed(f"another process has been starting or stopping this grid: {path}") from None
            time.sleep(PAUSE)
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.fstat(file).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
