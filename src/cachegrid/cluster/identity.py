"""What programs know a grid by, kept when it ends: the next one of that name has it again, and they go on with that."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from cachegrid.cluster.state import GridState, checked_name, write_atomically

__all__ = ["Identity", "forget", "recall", "remember", "remembered"]

FILE = re.compile(r"\.(.+)\.identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Where a grid listens, and its secrets; nothing of its entries."""

    host: str
    ports: tuple[tuple[int, int], ...]  # of each member: client, bus
    password: str = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, state: GridState) -> Self:
        """That of a grid that is there, or was."""
        return cls(
            host=state.members[0].host,
            ports=tuple((member.port, member.bus_port) for member in state.members),
            password=state.password,
            secret=state.secret,
        )


def remember(state: GridState) -> None:
    """
    Keep the identity of a grid whose folder is about to be removed, in a file that only its owner can read.

    Where there is no room for that it is lost: a full disk keeps no grid from being stopped.
    """
    facts = asdict(Identity.of(state))
    text = json.dumps(facts | {"secret": state.secret.hex()})
    with suppress(OSError):
        write_atomically(_path(state.folder.parent, state.name), text, durable=False)


def recall(root: Path, name: str) -> Identity | None:
    """The identity of the last grid of that name; None if it was forgotten, or the file cannot be read."""
    try:
        facts = json.loads(_path(root, name).read_bytes())
        return Identity(
            host=facts["host"],
            ports=tuple((int(port), int(bus_port)) for port, bus_port in facts["ports"]),
            password=str(facts["password"]),
            secret=bytes.fromhex(facts["secret"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a new grid can do without


def forget(root: Path, name: str) -> bool:
    """Forget the identity of a grid; whether one was known."""
    try:
        _path(root, name).unlink()
    except FileNotFoundError:
        return False
    return True


def remembered(root: Path) -> list[str]:
    """The names of all grids that ended and are remembered, sorted."""
    try:
        found = [FILE.fullmatch(entry.name) for entry in os.scandir(root)]
    except FileNotFoundError:
        return []
    return sorted(match[1] for match in found if match)


def _path(root: Path, name: str) -> Path:
    return root / f".{checked_name(name)}.identity"
