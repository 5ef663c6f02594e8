"""Units that let systemd bring a host's part of a grid up, look after it, and take it down in order."""

from __future__ import annotations

import getpass
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cachegrid.cluster.hosts.certificates import files_in
from cachegrid.cluster.state import GridState
from cachegrid.config import DEFAULT_NAME

__all__ = ["units"]

Section = Sequence[tuple[str, str]]

LOOK_EVERY = "1min"
# Seconds that systemd waits for a start, which may read entries from disk, and for owners to hand over and end.
START, STOP = "600", "180"
FILES = "65536"  # that a member may have open: each connection is one


def units(state: GridState, *, for_user: bool = False, python: str = sys.executable) -> dict[str, str]:
    """
    The unit files of a grid of this host, by their names; with `for_user` they are for `systemctl --user`.

    Members are not units of their own: one that crashed, and came back empty at once, would have its replicas copy
    nothing over what they have. `up` lets a replica take over first, and so it is what the timer runs, as a reload of
    the service that members belong to.
    """
    stem = f"cachegrid-{state.name}"
    network = [] if for_user else [("Wants", "network-online.target"), ("After", "network-online.target")]
    service: dict[str, Section] = {
        "Unit": [("Description", f"Members of the cache grid {state.name} on this host"), *network],
        "Service": _members(state, python, for_user=for_user),
        "Install": [("WantedBy", "default.target" if for_user else "multi-user.target")],
    }
    systemctl = "systemctl --user" if for_user else "systemctl"
    look: dict[str, Section] = {
        "Unit": [
            ("Description", f"Start members of the cache grid {state.name} again that died"),
            # One that somebody took down by hand has none: it is not to come back in another shape.
            ("ConditionPathExists", str(state.folder / "grid.json").replace("%", "%%")),
        ],
        "Service": [
            ("Type", "oneshot"),
            ("ExecCondition", f"{systemctl} is-active --quiet {stem}.service"),
            ("ExecStart", f"{systemctl} reload {stem}.service"),
        ],
    }
    timer: dict[str, Section] = {
        "Unit": [("Description", f"Look after the cache grid {state.name}")],
        "Timer": [("OnBootSec", LOOK_EVERY), ("OnUnitInactiveSec", LOOK_EVERY)],
        "Install": [("WantedBy", "timers.target")],
    }
    found = {f"{stem}.service": service, f"{stem}-look.service": look, f"{stem}-look.timer": timer}
    return {name: _text(sections) for name, sections in found.items()}


def _members(state: GridState, python: str, *, for_user: bool) -> Section:
    return [
        ("Type", "oneshot"),  # members go on when it has ended, in the control group of this service
        ("RemainAfterExit", "yes"),
        *([] if for_user else [("User", getpass.getuser())]),
        ("Environment", _quoted(f"CACHEGRID_STATE={state.folder.parent}", "%")),
        ("ExecStart", _command(python, "up", *_wished(state))),
        # Members may have been added or removed since: it is taken as it is.
        ("ExecReload", _command(python, "up", *_named(state))),
        # `up` is refused while copies are out of reach, such as before the network is there.
        ("Restart", "on-failure"),
        ("RestartSec", LOOK_EVERY),
        # On other hosts there may be no copy: a host that goes down is not kept by that.
        ("ExecStop", _command(python, "down", *(["--force"] if state.spread else []), *_named(state))),
        ("TimeoutStartSec", START),
        ("TimeoutStopSec", STOP),
        ("LimitNOFILE", FILES),
        ("NoNewPrivileges", "yes"),
    ]


def _wished(state: GridState) -> list[str]:
    """The words after `up` for this very grid; one that is kept, or on other hosts, is known by its name."""
    if state.persist or state.spread:
        return _named(state)
    words = [*shlex.split(state.options), "--memory", str(state.memory or 0), "--server", str(state.server)]
    folder = state.tls.ca.parent if state.tls else Path()
    return [*words, "--tls", str(folder)] if state.tls == files_in(folder, state.host) else words


def _named(state: GridState) -> list[str]:
    return [] if state.name == DEFAULT_NAME else ["--name", state.name]


def _command(python: str, *words: str) -> str:
    return " ".join(map(_quoted, [python, "-m", "cachegrid", *words]))


def _quoted(word: str, filled_in: str = "%$") -> str:
    """A word as units take it: `%` begins what systemd fills in, and so does `$`, but in commands alone."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    for sign in filled_in:
        escaped = escaped.replace(sign, sign * 2)
    return f'"{escaped}"' if set(escaped) & set(" \t'\"\\;") else escaped


def _text(sections: Mapping[str, Section]) -> str:
    lines = [[f"[{name}]", *(f"{key}={value}" for key, value in section), ""] for name, section in sections.items()]
    return "\n".join(line for section in lines for line in section)
