"""Runs the real command: as a shell would, in a process of its own, with pipes instead of a terminal; or here."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple
from unittest import mock

from cachegrid.cli.app import main

__all__ = ["Done", "cachegrid", "environment", "here"]

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


def here(*words: str, **changes: str) -> Done:
    """The same without a process, which takes ten times as long: for commands that only read their arguments."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, changes),
        mock.patch.object(sys, "argv", ["cachegrid", *words]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            return Done(int(end.code or 0), out.getvalue(), err.getvalue())
    return Done(0, out.getvalue(), err.getvalue())
