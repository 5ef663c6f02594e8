"""Server processes: started detached, known again by their command line, and ended by their id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["command_of", "is_running", "send_signal", "spawn"]

# The shell starts each server in the background and ends: the servers then belong to init and not to the
# starter, whom a grid outlives; and yet their ids are known at once. Only the log is open in them.
SCRIPT = 'server=$1; shift; while [ $# -gt 0 ]; do "$server" "$1" </dev/null >>"$2" 2>&1 & echo $!; shift 2; done'
# What a server may need of the starter's environment; nothing else of it lives on in them.
PASSED_ON = ("PATH", "HOME", "TZ", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "TMPDIR")


def spawn(program: Path, jobs: Sequence[tuple[Path, Path]]) -> list[int]:
    """Start `program` once for each (settings file, log file), detached from this process; their ids."""
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
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


def command_of(pid: int) -> str:
    """The command line of a process; empty if there is none, or if it has ended and is only not buried yet."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="surrogateescape")
        except OSError:
            return ""
    words = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def is_running(pid: int, conf: Path) -> bool:
    """Whether process `pid` is the server with that settings file: a number alone may be another's by now."""
    return pid > 0 and str(conf) in command_of(pid)


def send_signal(pid: int, conf: Path, number: signal.Signals) -> bool:
    """Signal the server with that settings file; False if it is gone, or the number is another's by now."""
    if not is_running(pid, conf):
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
