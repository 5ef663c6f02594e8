"""Server processes: started detached, known again by their command line, and ended by their id."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from cachegrid.errors import StartFailed

__all__ = ["command_of", "is_gone", "is_running", "is_stopped", "send_signal", "spawn", "wait_gone"]

PAUSE = 0.002  # seconds between two looks at processes that are ending
BIRTH_WAIT = 0.5  # seconds that a process may take to get its command line: by far less, on any host that still works
EXITING = 0x4  # a process that ends, in the flags that Linux tells
KILL_WAIT = 10.0  # seconds until a killed process is gone: the system may be writing its memory away

# The shell starts each server in the background and ends: the servers then belong to init and not to the
# starter, whom a grid outlives; and yet their ids are known at once. Only the log is open in them.
SCRIPT = 'server=$1; shift; while [ $# -gt 0 ]; do "$server" "$1" </dev/null >>"$2" 2>&1 & echo $!; shift 2; done'
# What a server may need of the starter's environment; nothing else of it lives on in them.
PASSED_ON = ("PATH", "HOME", "TZ", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


def spawn(program: Path, jobs: Sequence[tuple[Path, Path]]) -> list[int]:
    """
    Start `program` once for each (settings file, log file), detached from this process; their ids.

    Raises `StartFailed` if the shell that starts them is ended, as by a Ctrl-C that comes before it is detached.
    """
    import subprocess  # here: whoever only looks at processes does not need it

    words = [str(path) for job in jobs for path in job]
    done = subprocess.run(
        ["/bin/sh", "-c", SCRIPT, "sh", program, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        cwd="/",
        umask=0o077,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        raise StartFailed(f"the servers were not started: the shell that starts them ended with {done.returncode}")
    return [int(word) for word in done.stdout.split()]


def command_of(pid: int) -> str:
    """The command line of a process; empty if there is none, or if it has ended and is only not buried yet."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="surrogateescape")
        except OSError:
            return ""
    return _asked_of_ps(pid, "command=")


def is_running(pid: int, conf: Path) -> bool:
    """
    Whether process `pid` is the server with that settings file: a number alone may be another's by now.

    While a process turns from the shell that starts it into the server it has no command line: that is waited for.
    """
    if pid <= 0:
        return False
    give_up = time.monotonic() + BIRTH_WAIT
    while not (command := command_of(pid)) and _is_being_made(pid) and time.monotonic() < give_up:
        time.sleep(PAUSE / 10)
    return str(conf) in command


def is_gone(pid: int, conf: Path) -> bool:
    """
    Whether the server with that settings file has let go of everything, its ports too.

    A killed process has no command line for a while before that.
    """
    command = command_of(pid)
    return str(conf) not in command if command else _is_over(pid)


def is_stopped(pid: int) -> bool:
    """Whether a process stands still because somebody told it to (SIGSTOP), and goes on by SIGCONT."""
    if sys.platform != "linux":
        return _asked_of_ps(pid, "state=")[:1] == "T"
    facts = _Facts.of(pid)
    return facts is not None and facts.stage in {"T", "t"}


def wait_gone(jobs: Iterable[tuple[int, Path]], timeout: float = KILL_WAIT) -> bool:
    """Wait until the servers (process id, settings file) are gone; False if some are not after `timeout` seconds."""
    left, give_up = list(jobs), time.monotonic() + timeout
    while left := [(pid, conf) for pid, conf in left if not is_gone(pid, conf)]:
        if time.monotonic() > give_up:
            return False
        time.sleep(PAUSE)
    return True


def send_signal(pid: int, conf: Path, number: signal.Signals) -> bool:
    """Signal the server with that settings file; False if it is gone, or the number is another's by now."""
    if not is_running(pid, conf):
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _is_over(pid: int) -> bool:
    """Whether there is no such process, or only its entry in the table is left, until its parent looks."""
    if sys.platform != "linux":
        return _asked_of_ps(pid, "state=")[:1] in {"", "Z"}
    facts = _Facts.of(pid)
    # The first thread may end before the others, who then still hold the ports.
    return facts is None or (facts.stage in {"Z", "X"} and facts.threads <= 1)


def _is_being_made(pid: int) -> bool:
    """Whether a process without a command line is about to have one; else it ends, or has ended."""
    if sys.platform != "linux":
        return False  # there, the one of before is told until there is a new one
    facts = _Facts.of(pid)
    return facts is not None and facts.stage not in {"Z", "X"} and not facts.flags & EXITING


class _Facts(NamedTuple):
    """What Linux tells of a process."""

    stage: str
    flags: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        try:
            stage, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return cls(stage, int(numbers[5]), int(numbers[16]))


def _asked_of_ps(pid: int, column: str) -> str:
    import subprocess

    words = ["/bin/ps", "-ww", "-o", column, "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
