"""A broken promise, told with what happened around it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.near.history import Clear, Event, Fault, History, Load, Read, Write
from tests.near.judge import Violation
from tests.near.keys import tag_of

__all__ = ["events_of", "keep", "story"]

_TOLD = 40  # events at most


def story(violation: Violation, history: History) -> str:
    """A violation with what happened around it."""
    read = violation.read
    since = min([read.began, *(event.began for event in violation.against)]) - 0.05
    told = [
        event
        for event in events_of(read.key, history)
        if event.ended >= since and event.began <= read.ended and _is_near(event, read)
    ]
    told += [event for event in violation.against if event not in told]
    told.sort(key=lambda event: event.began)
    lines = [f"{violation.promise}: {_line(read, read.began)}, against:"]
    lines += [f"    {_line(event, read.began)}" for event in violation.against]
    lines.append("  among:")
    lines += [f"    {_line(event, read.began)}" for event in told[-_TOLD:]]
    return "\n".join(lines)


def events_of(key: str, history: History) -> list[Event]:
    """All that happened to a key, from the first to begin."""
    events: list[Event] = [
        *(event for events in (history.writes, history.loads, history.reads) for event in events if event.key == key),
        *(clear for clear in history.clears if clear.tag in ("", tag_of(key))),
        *(fault for fault in history.faults if not fault.keys or key in fault.keys),
    ]
    return sorted(events, key=lambda event: event.began)


def keep(violations: Iterable[Violation], history: History, seed: int, folder: Path) -> list[Path]:
    """Write all that happened to the keys of some violations, a file for each key; which files."""
    paths = []
    for key, broken in groupby(sorted(violations, key=lambda one: one.read.key), key=lambda one: one.read.key):
        folder.mkdir(parents=True, exist_ok=True)
        told = {
            "seed": seed,
            "violations": [[one.promise, _row(one.read), *map(_row, one.against)] for one in broken],
            "events": list(map(_row, events_of(key, history))),
        }
        paths.append(folder / f"seed-{seed}-{key.strip('{').replace('}', '-')}.json")
        paths[-1].write_text(json.dumps(told, indent=1))
    return paths


def _row(event: Event) -> list[Any]:
    if isinstance(event, Fault):
        return ["Fault", event.kind, event.began, event.ended, event.losing]
    return [type(event).__name__, *event]


def _is_near(event: Event, read: Read) -> bool:
    return not isinstance(event, Read) or event.process == read.process


def _line(event: Event, zero: float) -> str:
    when = f"[{event.began - zero:+.4f} {event.ended - zero:+.4f}]"
    match event:
        case Read():
            how = (" near" if event.near else "") + (" with grace" if event.graced else "")
            return f"{when} {event.process} reads {event.key} = {event.number}{how}"
        case Write():
            did = "drops" if event.drops else "writes"
            return f"{when} {event.process} {did} {event.key} = {event.number}{_ending(event)}"
        case Load():
            asked = f"asked {event.asked - zero:+.4f}"
            return f"{when} {event.process} loads {event.key} = {event.number}, {asked}{_ending(event)}"
        case Clear():
            what = f"invalidates {event.tag}" if event.tag else "clears"
            return f"{when} {event.process} {what}{'' if event.done else ' and fails'}"
        case Fault():
            losing = "".join(f" losing [{since - zero:+.4f} {until - zero:+.4f}]" for since, until in event.losing)
            return f"{when} {event.kind}{losing}"


def _ending(event: Write | Load) -> str:
    return (f" for {event.ttl:.3f} s" if event.ttl else "") + ("" if event.done else " and fails")
