"""A PostgreSQL server for tests: on loopback, in a folder of its own, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from tests.engines.servers import HOST, free_port

__all__ = ["Postgres", "programs"]

PATIENCE: Final = 20.0  # seconds
SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "max_prepared_transactions": "10",
}


def programs() -> Path:
    """The folder of PostgreSQL's programs; the test is skipped where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")
    return folders[-1]


class Postgres:
    """Started on entry, as a user without rights where the tests run as root: it refuses to run as that."""

    def __init__(self) -> None:
        self._programs = programs()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, driver: str = "psycopg") -> str:
        """Where SQLAlchemy finds it."""
        return f"postgresql+{driver}://cachegrid@{HOST}:{self.port}/postgres"

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="cg-postgres-", dir="/tmp"))
        try:
            if self._as:
                os.chown(self.folder, self._as["user"], self._as["group"])
            self._run("initdb", "--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust", "--username=cachegrid")
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "--pgdata", str(self.folder / "data"), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **self._as)
        assert 0 == done.returncode, done.stderr

    def _start(self) -> None:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-h", HOST, "-p", str(self.port)]
        command += ["-k", str(self.folder), *settings]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, **self._as)
        deadline = time.monotonic() + PATIENCE
        lines = self.folder / "data" / "postmaster.pid"
        # It writes there what it is doing, in the last line.
        while not (lines.exists() and lines.read_text().rstrip().endswith("ready")):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.01)

    def close(self) -> None:
        """End it, whoever is connected, and leave nothing behind."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
