"""What other processes do in tests of back ends; run as a program, it does one job and tells the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["begin", "create", "fetch"]

ROOT: Final = Path(__file__).resolve().parents[3]
PATIENCE: Final = 30.0  # seconds


def begin(job: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """Let another process do one of these; the result is waited for when it is asked for."""
    command = [sys.executable, "-m", __name__, json.dumps([job.__name__, *args])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def result() -> Any:
        with process:
            try:
                told, _ = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        return json.loads(told)

    return result


def create(url: str, cache: str, key: str, seconds: float) -> tuple[int, int | None]:
    """Ask a region for a value that takes so long to create: who created it, and who this is if it had to."""
    from dogpile.cache import make_region

    region = make_region().configure("cachegrid", arguments={"url": url, "cache": cache})
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
