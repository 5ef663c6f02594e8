"""
Keeps the tests away from the developer's own grids, and sees to it that they leave nothing behind.

Every test has a state folder of its own under the session's; at the end no process may know that folder, no
child may live, nothing of ours may listen, and no thread of ours may run. A leftover names its test in its path.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

__all__: list[str] = []

ROOT = pytest.StashKey[Path]()
COUNT = itertools.count(1)
PATIENCE = 5.0  # seconds that something may take to end, once it was told to
# Python's own helpers for multiprocessing live as long as we do.
PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the developer's settings, and give the session a state folder."""
    for name in [name for name in os.environ if name.startswith("CACHEGRID_")]:
        del os.environ[name]
    # The path is short because those of unix sockets must be; a Mac's own temporary folder is too deep for them.
    root = Path(tempfile.mkdtemp(prefix="cg-", dir="/tmp" if Path("/tmp").is_dir() else None)).resolve()
    config.stash[ROOT] = root
    os.environ["CACHEGRID_STATE"] = os.environ["XDG_STATE_HOME"] = str(root / "session")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's folder."""
    shutil.rmtree(config.stash[ROOT], ignore_errors=True)


@pytest.fixture(autouse=True)
def _own_state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    name = re.sub(r"\W+", "-", request.node.name.removeprefix("test_"))[:24].strip("-")
    folder = request.config.stash[ROOT] / f"{next(COUNT)}-{name}"
    monkeypatch.setenv("CACHEGRID_STATE", str(folder))
    return folder


@pytest.fixture
def state_folder(_own_state: Path) -> Path:
    """The test's own state folder, where `CACHEGRID_STATE` points; nothing has made it yet."""
    return _own_state


@pytest.fixture(scope="session", autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    # Set up before every other fixture of the session, and so torn down after them.
    yield
    root = request.config.stash[ROOT]
    end = time.monotonic() + PATIENCE
    while (left := list(_left(root))) and time.monotonic() < end:
        time.sleep(0.02)
    for trace in left:
        if trace.pid:
            with contextlib.suppress(ProcessLookupError):  # it has ended at last
                os.kill(trace.pid, signal.SIGKILL)
    if left:
        pytest.fail("the tests left behind: " + "; ".join(trace.what for trace in left), pytrace=False)


class Trace(NamedTuple):
    """Something that should have ended."""

    what: str
    pid: int = 0  # of a process that is ours to end


def _left(root: Path) -> Iterator[Trace]:
    for pid, parent, facts in _processes():
        is_child = parent == os.getpid() and not any(word in facts for word in PYTHONS_OWN)
        if pid != os.getpid() and (is_child or str(root) in facts):
            yield Trace(f"process {pid}: {facts}", pid)
    for thread in threading.enumerate():
        if thread.name.startswith("cachegrid"):
            yield Trace(f"thread {thread.name}")
    for address in _listening():
        yield Trace(f"a socket that listens at {address}")


def _processes() -> Iterator[tuple[int, int, str]]:
    """The id, the parent and the facts (command line, folder, environment) of every process we may look at."""
    if sys.platform != "linux":
        listing = subprocess.check_output(["/bin/ps", "-ww", "-axo", "pid=,ppid=,command="], text=True)
        for pid, parent, facts in (line.split(None, 2) for line in listing.splitlines()):
            if "/bin/ps" not in facts:
                yield int(pid), int(parent), facts
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or it is another user's
            _, _, rest = (folder / "stat").read_text().rpartition(")")
            state, parent = rest.split()[:2]
            if state == "Z":  # has ended, and is ours to bury only if it is our child
                yield int(folder.name), int(parent), "a zombie"
                continue
            facts = _command_of(folder) + b" in " + os.fsencode((folder / "cwd").readlink())
            chosen = re.search(rb"CACHEGRID_STATE=[^\0]*", (folder / "environ").read_bytes())
            yield (
                int(folder.name),
                int(parent),
                (facts + b" " + (chosen[0] if chosen else b"")).replace(b"\0", b" ").decode(),
            )


def _command_of(folder: Path) -> bytes:
    """
    The command line of a process; where that has none, the program that it runs.

    Raises OSError for a process of the kernel, which runs none.
    """
    end = time.monotonic() + 1
    while not (command := (folder / "cmdline").read_bytes()):
        # So it is for a moment while a process becomes another program; then its environment cannot be read either.
        program = (folder / "exe").readlink()
        if time.monotonic() > end:
            return os.fsencode(program)
    return command


def _listening() -> list[str]:
    """The addresses that this process itself listens at; where it can be told, on Linux."""
    mine = set()
    for descriptor in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            mine.add(str(descriptor.readlink()))
    rows = []
    for table in (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6")):
        if table.exists():
            rows += [line.split() for line in table.read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine]
