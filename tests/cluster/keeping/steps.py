"""What tests of backups do again and again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cachegrid
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.keeping.backup import backup
from cachegrid.cluster.keeping.files import Manifest
from cachegrid.cluster.keeping.restore import Restored, restore
from cachegrid.engines.valkey.target import Target
from cachegrid.testing.loopback import LoopbackGrid

SECRET = "s" * 32
MANY = 4_000  # entries: some pages of each owner


def kept(target: Target, folder: Path, **how: Any) -> Manifest:
    """A backup."""
    manifest = backup(target, folder, **how)
    assert manifest is not None
    return manifest


def brought(target: Target, folder: Path, **how: Any) -> Restored:
    """A restore."""
    done = restore(target, folder, **how)
    assert done is not None
    return done


def once(act: Callable[[], object], what: str = "entries") -> Callable[[str, int, int], None]:
    """A progress that does something, the first time that it is told of some."""
    left = [act]

    def progress(told: str, done: int, total: int) -> None:
        if told == what and left:
            left.pop()()

    return progress


def raising(error: type[BaseException]) -> Callable[[], None]:
    """What interrupts whoever is told how far he is."""

    def act() -> None:
        raise error

    return act


def keys_in(members: LoopbackGrid) -> int:
    """How many keys the owners have, of whatever kind."""
    return sum(index_keys(members, index) for index in range(2))


def index_keys(members: LoopbackGrid, index: int) -> int:
    """How many keys a member has."""
    with members.admin(index) as admin:
        found = admin.run("DBSIZE")
    assert isinstance(found, int)
    return found


def waiting(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    for _ in range(2_000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came")


@contextlib.contextmanager
def servers_of(target: Target) -> Iterator[Callable[..., object]]:
    """Commands to whichever owner has the key."""
    from cachegrid.engines.valkey.slots import slot_of

    contacts = Contacts.of_target(target)

    def run(command: str, key: str, *words: str) -> object:
        slot = slot_of(key.encode())
        owner = next(owner for owner in contacts.owners if any(slot in span for span in owner.slots))
        with contacts.open(owner) as admin:
            return admin.run(command, key, *words)

    yield run


def base36(target: Target, cache: str) -> str:
    """The epoch of a cache, as it is in addresses."""
    from cachegrid._core.address import Space

    with servers_of(target) as run:
        epoch = run("GET", f"cg!epoch:{{cg:{cache}}}")
    assert isinstance(epoch, bytes)
    return Space("cg", [cache], [int(epoch)], doubt=0).prefix.decode().split(":")[2]


def everywhere(members: LoopbackGrid, *words: str) -> None:
    """Tell all members the same."""
    for member in members.state.members:
        with members.admin(member.index) as admin:
            admin.run(*words)


@contextlib.contextmanager
def writing(url: str) -> Iterator[None]:
    """Let another thread write all the while."""
    over = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        try:
            with cachegrid.connect(url) as grid:
                changing, turn = grid.cache("changing"), 0
                while not over.is_set():
                    changing.set(turn % 500, turn)
                    turn += 1
        except Exception as error:  # noqa: BLE001 - told by the test, in its own thread
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert [] == errors
