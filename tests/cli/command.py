"""Runs the real command, as a shell would: a process of its own, with pipes instead of a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

__all__ = ["Done", "cachegrid", "environment"]

PROGRAM = [sys.executable, "-W", "error", "-m", "cachegrid"]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """What it printed as JSON, and nothing beside."""
        return json.loads(self.out)


def environment(**changes: str) -> dict[str, str]:
    """The environment of the test, changed."""
    return {**os.environ, **changes}


def cachegrid(*words: str, stdin: bytes = b"", timeout: float = 60, **changes: str) -> Done:
    """Run `cachegrid` with these arguments; `changes` are environment variables."""
    done = subprocess.run(
        [*PROGRAM, *words], input=stdin, capture_output=True, env=environment(**changes), timeout=timeout, check=False
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())
