"""On a terminal: colours, a picture that moves, and Ctrl-C from the keyboard."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachegrid.cluster import stop
from cachegrid.cluster.state import names
from tests.cli.command import PROGRAM, environment

pytestmark = pytest.mark.grid
CTRL_C = b"\x03"


@pytest.fixture(autouse=True)
def _all_end(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True, root=state_folder)


def on_terminal(*words: str, typed: Callable[[str], bytes] = lambda _shown: b"") -> tuple[int, str]:
    """The exit code of a command and what it showed; `typed` may type something, given what was shown so far."""
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    # The terminal is its controlling one, so that Ctrl-C becomes a signal to the foreground group.
    take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [PROGRAM[0], "-c", take, *PROGRAM, *words],
        stdin=screen,
        stdout=screen,
        stderr=screen,
        env=environment(TERM="xterm-256color"),
        start_new_session=True,
    )
    os.close(screen)
    shown = ""
    while part := read(keyboard):
        shown += part
        os.write(keyboard, typed(shown))
    os.close(keyboard)
    return process.wait(20), shown


def read(keyboard: int) -> str:
    """What the terminal shows next; nothing when the command has ended."""
    try:
        return os.read(keyboard, 65536).decode(errors="replace")
    except OSError:  # how Linux says so
        return ""


def test_up_and_status_are_in_colour(state_folder: Path) -> None:
    """
    And end with what to do next.
    """
    code, shown = on_terminal("up", "--members", "1", "--replicas", "0")
    assert 0 == code
    assert "\x1b[" in shown
    assert "cachegrid.connect()" in shown
    code, shown = on_terminal("status")
    assert 0 == code
    assert "\x1b[1m" in shown


@pytest.mark.slow
def test_the_demo_is_a_moving_picture_that_ctrl_c_ends(state_folder: Path) -> None:
    """
    It is erased and drawn again while it moves; typing Ctrl-C again and again leaves neither a process nor a folder.
    """
    pictures = 0

    def typed(shown: str) -> bytes:
        nonlocal pictures
        pictures = shown.count("hit ratio")
        return CTRL_C if pictures > 3 else b""

    code, shown = on_terminal("demo", "--seconds", "30", typed=typed)
    assert (130, True) == (code, pictures > 3)
    assert "\x1b[2K" in shown
    assert "Traceback" not in shown, shown[shown.index("Traceback") :].replace("^C", "")
    assert [] == names(state_folder)
