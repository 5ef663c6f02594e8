"""Grids on the hosts of a test: the command in each host, with a state folder of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.hosts.namespaces import Host, Network

__all__ = ["Hosted", "Writes", "owners_by_host", "wait_for"]

T = TypeVar("T")
USER = str(Path(__file__).with_name("user.py"))
PATIENCE = 15.0  # seconds until what is waited for is taken not to come


def wait_for(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """What a look gives, once that is something."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"{what}: not after {patience} s"
        time.sleep(0.05)
    return found


class Hosted:
    """What is done on the hosts of a network, as their users would."""

    def __init__(self, net: Network, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.net, self.folder, self._environ = net, folder, dict(environ or {})

    def environ(self, host: Host) -> dict[str, str]:
        """The environment of a user on that host."""
        return {"CACHEGRID_STATE": str(self.folder / f"host{host.number}"), **self._environ}

    def use_server(self, program: Path) -> None:
        """Let members that are started from now on be of that program."""
        self._environ["CACHEGRID_SERVER"] = str(program)

    def tried(self, host: Host, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command on a host, which may fail."""
        return host.run(sys.executable, "-m", "cachegrid", *words, environ=self.environ(host), stdin=stdin)

    def run(self, host: Host, *words: str, stdin: str = "") -> str:
        """What the command says on a host, which has to succeed."""
        done = self.tried(host, *words, stdin=stdin)
        assert 0 == done.returncode, f"cachegrid {' '.join(words)} on {host.address}: {done.stderr}{done.stdout}"
        return done.stdout

    def token(self, host: Host, *words: str) -> tuple[str, str]:
        """The address to join at, and a token."""
        told = json.loads(self.run(host, "token", "--json", *words))
        return told["address"], told["token"]

    def join(self, host: Host, at: Host, *words: str, ask: Sequence[str] = ()) -> None:
        """Let a host join the grid that is at another one."""
        address, token = self.token(at, *ask)
        self.run(host, "join", address, "--token-file", "-", *words, stdin=token)

    def members(self, host: Host) -> list[dict[str, Any]]:
        """The members as that host sees them; none where it sees nobody."""
        done = self.tried(host, "status", "--json")
        return json.loads(done.stdout)["members"] if done.returncode == 0 else []

    def is_whole(self, host: Host) -> bool:
        """Whether that host sees all members up, all replicas following, and all slots owned."""
        return self.tried(host, "status", "--check").returncode == 0

    def lose(self, host: Host) -> None:
        """Let a host die, with all that it has on its disk."""
        host.kill_all()
        shutil.rmtree(self.environ(host)["CACHEGRID_STATE"])


class Writes:
    """A program on a host that writes until it is ended, and what it was told."""

    def __init__(self, hosted: Hosted, host: Host, durability: str, log: Path) -> None:
        self._hosted, self._log = hosted, log
        log.touch()
        words = [sys.executable, USER, "write", log.name, durability, str(log)]
        self._process = host.start(*words, environ=hosted.environ(host))

    def end(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()

    def acknowledged(self, since: float = 0.0, until: float = float("inf")) -> list[int]:
        """The numbers that were acknowledged, of those begun and ended in that time."""
        return [number for how, number, begun, ended in self._said() if how == "ok" and begun > since and ended < until]

    def failed(self) -> list[str]:
        """The errors that were met."""
        return [how for how, *_ in self._said() if how != "ok"]

    def lost(self, numbers: Sequence[int], host: Host) -> str:
        """Which of these numbers are not there for a host; empty if all are."""
        words = [sys.executable, USER, "lost", self._log.name, *map(str, numbers)]
        done = host.run(*words, environ=self._hosted.environ(host))
        assert 0 == done.returncode, done.stderr
        return done.stdout.strip()

    def _said(self) -> Iterator[tuple[str, int, float, float]]:
        for line in self._log.read_text().splitlines():
            match line.split():
                case [how, number, begun, ended]:  # the last line may be half a one
                    yield how, int(number), float(begun), float(ended)


def owners_by_host(members: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many owners that are up and have slots are on each host."""
    return Counter(one["host"] for one in members if one["up"] and one["role"] == "owner" and one["slots"])
