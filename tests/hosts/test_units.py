"""The command lines of units do, as they are printed, what systemd is to do with them."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from cachegrid.cluster import GridState, add, find, kill, start
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.systemd import units

pytestmark = pytest.mark.grid


def service(state: GridState) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The environment and the command lines of the unit that members belong to, as systemd reads them."""
    environ: dict[str, str] = {}
    commands: dict[str, list[str]] = {}
    for line in units(state)[f"cachegrid-{state.name}.service"].splitlines():
        key, _, said = line.replace("%%", "%").partition("=")
        if key == "Environment":
            name, _, value = shlex.split(said)[0].partition("=")
            environ[name] = value
        elif key.startswith("Exec"):
            commands[key] = shlex.split(said.replace("$$", "$"))
    return environ, commands


def test_they_start_look_after_and_end_the_grid(tmp_path: Path) -> None:
    """
    With nothing but what the unit says: it is ended and started; a member that died is started again, of a grown one.
    """
    root = tmp_path / "a folder, 100% mine"
    state = start("shop", owners=1, replicas=1, memory=32 << 20, root=root)
    environ, commands = service(state)
    bare = {key: value for key, value in os.environ.items() if not key.startswith("CACHEGRID_")}

    def run(key: str) -> GridState | None:
        whole = {**bare, **environ}
        done = subprocess.run(commands[key], env=whole, cwd="/", capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr
        return find("shop", root=root)

    assert run("ExecStop") is None
    started = run("ExecStart")
    assert started is not None
    assert (state.shape, True) == (started.shape, all(map(pid_of, started.members)))
    kill(add("shop", root=root), 1)
    looked_after = run("ExecReload")
    assert looked_after is not None
    assert (4, True) == (len(looked_after.members), all(map(pid_of, looked_after.members)))
    assert run("ExecStop") is None
