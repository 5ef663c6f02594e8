"""What other processes do in tests of back ends; run as a program, it does one job and tells the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["Begun", "begin", "create", "fetch"]

ROOT: Final = Path(__file__).resolve().parents[3]
PATIENCE: Final = 30.0  # seconds


class Begun(NamedTuple):
    """A process that does a job."""

    process: subprocess.Popen[str]

    def result(self) -> Any:
        """What the job gives; waits for it."""
        with self.process:
            try:
                told, _ = self.process.communicate(timeout=PATIENCE)
            finally:
                self.process.kill()
        return json.loads(told)

    def kill(self) -> None:
        """SIGKILL it."""
        with self.process:
            self.process.kill()


def begin(job: Callable[..., Any], *args: Any) -> Begun:
    """Let another process do one of these."""
    command = [sys.executable, "-m", __name__, json.dumps([job.__name__, *args])]
    return Begun(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))


def create(url: str, cache: str, key: str, seconds: float) -> tuple[int, int | None]:
    """Ask a region for a value that takes so long to create: who created it, and who this is if it had to."""
    from dogpile.cache import make_region

    region = make_region().configure("cachegrid", arguments={"url": url, "cache": cache, "lease": "500ms"})
    created: list[int] = []

    def creator() -> int:
        created.append(os.getpid())
        time.sleep(seconds)
        return os.getpid()

    value = region.get_or_create(key, creator)
    return value, created[0] if created else None


def fetch(url: str, cache: str, address: str) -> tuple[str, bool]:
    """Get a page, as a process of its own; its text, and whether it came out of the cache."""
    import httpx
    from hishel.httpx import CacheTransport

    import cachegrid
    from cachegrid.integrations.hishel import SyncGridStorage

    with cachegrid.connect(url) as grid:
        transport = CacheTransport(httpx.HTTPTransport(), SyncGridStorage(grid.cache(cache)), rfc=True)
        with httpx.Client(transport=transport) as client:
            response = client.get(address)
            return response.text, response.extensions["caching"]["from_cache"]


if __name__ == "__main__":
    name, *said = json.loads(sys.argv[1])
    jobs: dict[str, Callable[..., Any]] = {"create": create, "fetch": fetch}
    print(json.dumps(jobs[name](*said)))  # noqa: T201 - that is how it tells
